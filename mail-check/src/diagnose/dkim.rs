//! Whether there are keys to sign with: without them mail goes out unsigned, and is refused or
//! taken for spam.

use std::io;
use std::path::Path;
use std::sync::Arc;

use mail_common::trusted;

use crate::context::Context;
use crate::finding::Finding;
use crate::probe::Probe;

const NAME: &str = "dkim-keys";

/// DKIM_DIR/keys/example.com/mail.private is the deepest.
const MAX_DEPTH: u32 = 4;

pub(super) fn probe(context: &Arc<Context>) -> Probe {
    let within = context.timeout;
    let Some(directory) = context.server.dkim_dir.clone() else {
        return Probe::new(NAME, "DKIM_DIR", within, || vec![none()]);
    };
    Probe::new(NAME, directory.display().to_string(), within, move || {
        vec![judge(&directory, count_keys(&directory, MAX_DEPTH))]
    })
}

/// Another program may sign, with keys elsewhere.
fn none() -> Finding {
    Finding::ok(
        NAME,
        "DKIM_DIR",
        "not looked at: the settings say that this server has no keys",
    )
}

fn judge(directory: &Path, keys: io::Result<u64>) -> Finding {
    let target = directory.display().to_string();
    match keys {
        Ok(0) => Finding::warning(
            NAME,
            target,
            "no *.private key is there, so mail goes out unsigned; make one with opendkim-genkey",
        ),
        Ok(keys) => Finding::ok(NAME, target, format!("{keys} keys to sign with are there")),
        Err(error) => Finding::unknown(
            NAME,
            target,
            format!("the keys cannot be looked at: {error}; run as root"),
        ),
    }
}

/// Only what holds a private key counts.
fn count_keys(directory: &Path, depth: u32) -> io::Result<u64> {
    let mut keys = 0;
    for entry in trusted::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && depth > 0 {
            keys += count_keys(&path, depth - 1)?;
        } else if path.extension().is_some_and(|end| end == "private") && path.is_file() {
            keys += u64::from(
                trusted::read(&path)?
                    .windows(11)
                    .any(|words| words == b"PRIVATE KEY"),
            );
        }
    }
    Ok(keys)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a tree of a test is not stored files"
)]
mod tests {
    use super::*;
    use crate::status::Status;
    use std::fs;

    #[test]
    fn keys_are_counted_and_their_absence_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let status = || judge(dir.path(), count_keys(dir.path(), MAX_DEPTH)).status;
        fs::create_dir_all(dir.path().join("keys/example.org")).unwrap();
        fs::write(dir.path().join("keys/example.org/mail.private"), "").unwrap();
        assert_eq!(status(), Status::Warning);
        fs::write(
            dir.path().join("keys/example.org/mail.private"),
            "-----BEGIN RSA PRIVATE KEY-----\n",
        )
        .unwrap();
        assert_eq!(status(), Status::Ok);
        let absent = Path::new("/nonexistent");
        assert_eq!(judge(absent, count_keys(absent, 1)).status, Status::Unknown);
    }
}
