//! Extended attributes of open files and directories, POSIX ACLs among them.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::checksum::Sha256;

/// The kernel's limit on a value (XATTR_SIZE_MAX in limits.h).
const VALUE_MAX_BYTES: usize = 65536;

/// The kernel's limit on all names together (XATTR_LIST_MAX in limits.h).
const NAMES_MAX_BYTES: usize = 65536;

/// Names and values of what `file` has; none where the file system has none.
///
/// # Errors
/// As flistxattr(2) and fgetxattr(2).
pub fn read(file: impl AsFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let length = match rustix::fs::flistxattr_query(&file) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(0) => return Ok(Vec::new()),
        result => result?,
    };
    let mut names = vec![0; NAMES_MAX_BYTES.max(length)];
    let length = rustix::fs::flistxattr(&file, &mut names)?;
    let names = names[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty());
    names
        .map(|name| Ok((name.to_vec(), value(&file, name)?)))
        .collect()
}

/// A digest of names and values in any order; `None` where there are none. It is that of each name,
/// sorted by bytes, a NUL, the length of its value in decimal digits, a NUL, and the value.
#[must_use]
pub fn digest(attributes: &[(Vec<u8>, Vec<u8>)]) -> Option<Sha256> {
    if attributes.is_empty() {
        return None;
    }
    let mut sorted: Vec<&(Vec<u8>, Vec<u8>)> = attributes.iter().collect();
    sorted.sort_unstable();
    let mut bytes = Vec::new();
    for (name, value) in sorted {
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(value.len().to_string().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(value);
    }
    Some(Sha256::of(&bytes))
}

/// Gives `file` the attribute `name`.
///
/// # Errors
/// As fsetxattr(2): the file system has none, or the caller may not set this one.
pub fn set(file: impl AsFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(
        file,
        name,
        value,
        XattrFlags::empty(),
    )?)
}

fn value(file: impl AsFd, name: &[u8]) -> io::Result<Vec<u8>> {
    let mut value = vec![0; VALUE_MAX_BYTES];
    let length = rustix::fs::fgetxattr(file, name, &mut value)?;
    value.truncate(length);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest is that of `printf 'user.a\0003\0001\0002user.b\0000\000' | sha256sum`.
    #[test]
    fn the_digest_is_as_frozen_here() {
        let a = (b"user.a".to_vec(), b"1\x002".to_vec());
        let b = (b"user.b".to_vec(), Vec::new());
        let expected = "6f0a3464e350fccc14e83aefc506c4213c9259f307f83d63caf658d63fae6c61";
        let hex = |attributes: &[_]| digest(attributes).map(|digest| digest.to_string());
        assert_eq!(hex(&[a.clone(), b.clone()]).as_deref(), Some(expected));
        assert_eq!(hex(&[b, a.clone()]).as_deref(), Some(expected));
        assert_ne!(hex(&[a]).as_deref(), Some(expected));
        assert_eq!(hex(&[]), None);
    }

    #[test]
    fn what_was_set_is_read() {
        let file = tempfile::tempfile_in(".").unwrap();
        if let Err(error) = set(&file, b"user.note", b"a\0b") {
            assert_eq!(
                Errno::from_io_error(&error),
                Some(Errno::OPNOTSUPP),
                "{error}"
            );
            assert_eq!(read(&file).unwrap(), []);
            return;
        }
        set(&file, b"user.empty", b"").unwrap();
        let mut found = read(&file).unwrap();
        found.retain(|(name, _)| name.starts_with(b"user."));
        found.sort();
        assert_eq!(
            found,
            [
                (b"user.empty".to_vec(), Vec::new()),
                (b"user.note".to_vec(), b"a\0b".to_vec())
            ]
        );
    }
}
