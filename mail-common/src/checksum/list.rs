//! Files as `sha256sum` writes them and `sha256sum -c` reads them (GNU coreutils manual, "md5sum
//! invocation").
//!
//! A line is a digest, a space, a space or `*`, and a name. Where the name holds a backslash, a
//! newline or a carriage return, these are written `\\`, `\n` and `\r`, and the line begins with a
//! backslash.

use std::io::{self, BufRead, Read, Write};

use super::Sha256;
use crate::failure::{Failure, FailureKind};
use crate::relpath::RelPath;

const DIGEST_DIGITS: usize = 64;
/// A path has at most 4096 bytes, each of which may be escaped.
const MAX_LINE_BYTES: u64 = 16 << 10;

/// The digests of files, in the order in which they are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChecksumFile(Vec<(Sha256, RelPath)>);

/// A line of a checksum file cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("checksum line {line}: {reason}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl Failure for ParseError {
    fn kind(&self) -> FailureKind {
        FailureKind::Damaged
    }
}

impl ChecksumFile {
    /// A file of these lines.
    #[must_use]
    pub fn new(entries: Vec<(Sha256, RelPath)>) -> Self {
        Self(entries)
    }

    /// The digests and names, in order.
    #[must_use]
    pub fn entries(&self) -> &[(Sha256, RelPath)] {
        &self.0
    }

    /// Reads `text`. Blank lines and lines that begin with `#` are skipped, and so is a `./` before
    /// a name, which the scripts wrote. Where `sha256sum -c` would skip a damaged line with a
    /// warning, this is an error.
    ///
    /// # Errors
    /// When a line is none of these, or names a path that is absolute or leads out of the set.
    pub fn parse(text: &[u8]) -> Result<Self, ParseError> {
        let mut entries = Vec::new();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            entries.extend(parse_line(line, index + 1)?);
        }
        Ok(Self(entries))
    }

    /// Writes the lines, in order.
    ///
    /// # Errors
    /// As the writer.
    pub fn format(&self, output: &mut impl Write) -> io::Result<()> {
        let mut line = Vec::new();
        for (digest, path) in &self.0 {
            line.clear();
            push_line(&mut line, *digest, path.as_bytes());
            output.write_all(&line)?;
        }
        Ok(())
    }
}

/// Reads such lines one by one, so that a list of any length needs no memory.
///
/// # Errors
/// As [`ChecksumFile::parse`], and as `input`, whose errors come as they are.
pub fn read_checksums(
    mut input: impl BufRead,
) -> impl Iterator<Item = io::Result<Result<(Sha256, RelPath), ParseError>>> {
    let mut number = 0;
    let lines = std::iter::from_fn(move || {
        number += 1;
        let line = read_line(&mut input).transpose()?;
        Some(line.map(|line| parse_line(&line, number).transpose()))
    });
    lines.filter_map(io::Result::transpose)
}

/// The next line, or the first [`MAX_LINE_BYTES`] of it, which then is no line of a list.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let length = input.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok((length > 0).then_some(line))
}

/// What a line lists; `None` for a blank one and for a comment.
fn parse_line(line: &[u8], number: usize) -> Result<Option<(Sha256, RelPath)>, ParseError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() || line[0] == b'#' {
        return Ok(None);
    }
    let entry = parse_entry(line).map_err(|reason| ParseError {
        line: number,
        reason,
    })?;
    Ok(Some(entry))
}

fn parse_entry(line: &[u8]) -> Result<(Sha256, RelPath), String> {
    let (escaped, line) = line
        .strip_prefix(b"\\")
        .map_or((None, line), |rest| (Some(()), rest));
    let (digest, rest) = line.split_at_checked(DIGEST_DIGITS).ok_or("too short")?;
    let digest = Sha256::from_hex(digest).ok_or("it does not begin with a sha256 digest")?;
    let name = rest
        .strip_prefix(b"  ")
        .or_else(|| rest.strip_prefix(b" *"))
        .ok_or("no name after the digest")?;
    let name = match escaped {
        Some(()) => unescape(name).ok_or("an unknown escape in the name")?,
        None => name.to_vec(),
    };
    let path = RelPath::new(name.strip_prefix(b"./").unwrap_or(&name))
        .map_err(|error| error.to_string())?;
    Ok((digest, path))
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            _ => byte,
        });
    }
    Some(plain)
}

fn push_line(line: &mut Vec<u8>, digest: Sha256, name: &[u8]) {
    if name
        .iter()
        .any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'))
    {
        line.push(b'\\');
    }
    line.extend_from_slice(digest.to_string().as_bytes());
    line.extend_from_slice(b"  ");
    for &byte in name {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            _ => line.push(byte),
        }
    }
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;
    use std::process::Command;

    const DIGEST: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    const ODD_NAMES: [&[u8]; 8] = [
        b"plain",
        b"a b",
        b"a\nb",
        b"a\\b",
        b"a\rb",
        b"a\xffb",
        b" *lead",
        b"\\\\\n\r\\n tail ",
    ];

    fn check(line: &str, expected: Result<&[u8], (usize, &str)>) {
        match (ChecksumFile::parse(line.as_bytes()), expected) {
            (Ok(file), Ok(name)) => assert_eq!(file.entries()[0].1.as_bytes(), name, "{line}"),
            (Err(error), Err((number, part))) => {
                assert_eq!(error.line, number, "{line}");
                assert!(error.reason.contains(part), "{error}");
            }
            (found, expected) => panic!("{line}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn lines_are_read_one_by_one_and_none_fills_the_memory() {
        let text = format!("{DIGEST}  a\r\n# b\n\n\\{DIGEST} *./c\\nd");
        let entries: Vec<_> = read_checksums(text.as_bytes())
            .map(|entry| entry.unwrap().unwrap())
            .collect();
        assert_eq!(entries, ChecksumFile::parse(text.as_bytes()).unwrap().0);
        assert_eq!(entries.len(), 2);
        let endless = io::BufReader::new(io::repeat(b'a'));
        assert!(read_checksums(endless).next().unwrap().unwrap().is_err());
    }

    #[test]
    fn lines_are_read_as_sha256sum_reads_them() {
        check(&format!("{DIGEST}  a b\n"), Ok(b"a b"));
        check(&format!("{DIGEST} *a"), Ok(b"a"));
        check(&format!("{DIGEST}  ./mail/a\n"), Ok(b"mail/a"));
        check(&format!("# comment\n\n{DIGEST}  a\r\n"), Ok(b"a"));
        check(&format!("\\{DIGEST}  a\\nb\\\\\n"), Ok(b"a\nb\\"));
        check(&format!("{DIGEST}  a\\nb\n"), Ok(b"a\\nb"));
        check(&format!("{}  a\n", DIGEST.to_uppercase()), Ok(b"a"));
    }

    #[test]
    fn damaged_lines_are_errors_with_their_number() {
        check(
            &format!("{DIGEST}  a\n{}  b\n", &DIGEST[1..]),
            Err((2, "digest")),
        );
        check(&format!("\\{DIGEST}  a\\q\n"), Err((1, "escape")));
        check(&format!("{DIGEST} a\n"), Err((1, "no name")));
        check(&format!("{DIGEST}  \n"), Err((1, "it is empty")));
        check(&format!("{DIGEST}  ../../etc/passwd\n"), Err((1, "`..`")));
        check(&format!("{DIGEST}  /etc/passwd\n"), Err((1, "absolute")));
        check("cut", Err((1, "too short")));
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the files of a test are no stored files"
    )]
    fn odd_files(directory: &Path) -> ChecksumFile {
        let files = ODD_NAMES.map(|name| {
            let path = RelPath::new(name).unwrap();
            std::fs::write(directory.join(path.as_path()), name).unwrap();
            (Sha256::of(name), path)
        });
        ChecksumFile::new(files.into())
    }

    #[test]
    fn sha256sum_accepts_what_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let mut list = tempfile::NamedTempFile::new().unwrap();
        odd_files(directory.path()).format(&mut list).unwrap();
        let mut command = Command::new("sha256sum");
        command
            .args(["--check", "--strict", "--quiet"])
            .arg(list.path())
            .current_dir(directory.path());
        assert!(command.status().unwrap().success());
    }

    #[test]
    fn what_sha256sum_writes_is_read_and_written_alike() {
        let directory = tempfile::tempdir().unwrap();
        let expected = odd_files(directory.path());
        let names = expected.entries().iter().map(|(_, path)| path.as_path());
        let output = Command::new("sha256sum")
            .arg("--")
            .args(names)
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert_eq!(ChecksumFile::parse(&output.stdout).unwrap(), expected);
        let mut written = Vec::new();
        expected.format(&mut written).unwrap();
        assert_eq!(written, output.stdout);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ChecksumFile::parse(&text);
        }

        #[test]
        fn any_name_survives(name in proptest::collection::vec(any::<u8>(), 1..40)) {
            if let Ok(path) = RelPath::new(&name) {
                let file = ChecksumFile::new(vec![(Sha256::of(&name), path)]);
                let mut text = Vec::new();
                file.format(&mut text).unwrap();
                prop_assert_eq!(ChecksumFile::parse(&text).unwrap(), file);
            }
        }
    }
}
