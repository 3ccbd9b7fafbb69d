use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// What a reader gets of an archive: names, kinds, contents.
fn read(tar: &[u8]) -> Result<Vec<(Head, Vec<u8>)>, Error> {
    let mut reader = TarReader::new(tar);
    let mut members = Vec::new();
    while let Some(head) = reader.next_member()? {
        let mut content = Vec::new();
        reader
            .read_to_end(&mut content)
            .map_err(|source| Error::Read { number: 0, source })?;
        members.push((head, content));
    }
    reader.finish()?;
    Ok(members)
}

fn gnu_tar(directory: &Path, options: &[&str]) -> Vec<u8> {
    let made = Command::new("tar")
        .arg("-C")
        .arg(directory)
        .args(options)
        .arg(".")
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    made.stdout
}

#[expect(
    clippy::disallowed_methods,
    reason = "a tree to be packed, not a stored file"
)]
fn sample() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("cur")).unwrap();
    fs::write(path("cur/plain"), "content").unwrap();
    fs::write(path(&"x".repeat(180)), "long name").unwrap();
    symlink("/somewhere/else", path("link")).unwrap();
    symlink("y".repeat(150), path("long link")).unwrap();
    fs::hard_link(path("cur/plain"), path("zweiter")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::RUSR).unwrap();
    directory
}

#[test]
fn what_gnu_tar_writes_is_read_in_every_format() {
    let directory = sample();
    for format in ["gnu", "oldgnu", "pax"] {
        let options = [
            "-cf",
            "-",
            "--sort=name",
            "--owner=1000",
            "--group=4294967294",
            "--mtime=@-1.5",
        ];
        let tar = gnu_tar(
            directory.path(),
            &[&options[..], &["--format", format]].concat(),
        );
        let members = read(&tar).unwrap();
        let find = |name: &str| {
            let found = members
                .iter()
                .find(|(head, _)| head.path().unwrap().as_bytes() == name.as_bytes());
            found.unwrap_or_else(|| panic!("{format}: {name}"))
        };
        assert_eq!(members.len(), 8, "{format}");
        assert_eq!(find(".").0.kind, MemberKind::Directory);
        assert_eq!(find("cur").0.kind, MemberKind::Directory);
        let (plain, content) = find("cur/plain");
        assert_eq!(
            (&plain.kind, &content[..], plain.size),
            (&MemberKind::File, &b"content"[..], 7),
            "{format}"
        );
        assert_eq!((plain.uid, plain.gid), (1000, 4_294_967_294), "{format}");
        assert_eq!(
            plain.mtime_ns,
            if format == "pax" {
                -1_500_000_000
            } else {
                -2_000_000_000
            },
            "{format}"
        );
        assert_eq!(find(&"x".repeat(180)).1, b"long name");
        assert_eq!(
            find("link").0.kind,
            MemberKind::Symlink(b"/somewhere/else".to_vec())
        );
        assert_eq!(
            find("long link").0.kind,
            MemberKind::Symlink("y".repeat(150).into_bytes())
        );
        let hard_link = &find("zweiter").0;
        assert_eq!(
            hard_link.link_path().unwrap(),
            Some(RelPath::new("cur/plain").unwrap())
        );
        assert_eq!(find("pipe").0.kind, MemberKind::Special);
    }
}

#[test]
fn a_sparse_file_is_refused_and_not_read_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let sparse = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(directory.path().join("f"));
    sparse.unwrap().set_len(1 << 20).unwrap();
    for format in ["gnu", "pax"] {
        let tar = gnu_tar(directory.path(), &["-cSf", "-", "--format", format]);
        assert!(
            matches!(read(&tar), Err(Error::Unsupported { .. })),
            "{format}"
        );
    }
}

#[test]
fn every_cut_is_an_error() {
    let tar = gnu_tar(sample().path(), &["-cf", "-", "--format=pax", "-b1"]);
    // Two zero blocks are the end; the first of them is enough to know it.
    let end = tar.len() - 512;
    for length in (0..end).step_by(97) {
        assert!(
            read(&tar[..length]).is_err(),
            "cut at {length} of {}",
            tar.len()
        );
    }
    assert!(read(&tar[..end]).is_ok());
}

#[test]
fn what_follows_the_end_is_an_error() {
    let mut tar = gnu_tar(sample().path(), &["-cf", "-"]);
    tar.resize(tar.len() + 100_000, 0);
    assert!(read(&tar).is_ok());
    tar.push(1);
    assert!(matches!(read(&tar), Err(Error::Trailer)));
}

#[test]
fn a_name_is_checked() {
    let check = |name: &str, expected: Option<&str>| {
        let expected = expected.map(|path| RelPath::new(path).unwrap());
        assert_eq!(checked(name.as_bytes()).ok(), expected, "{name:?}");
    };
    check("a/b", Some("a/b"));
    check("./a/b/", Some("a/b"));
    check("./", Some("."));
    check(".", Some("."));
    for bad in [
        "",
        "/",
        "//",
        "/etc/passwd",
        "..",
        "../a",
        "a/../../b",
        "./../a",
        "a//b",
        "a/./b",
        "././/etc",
    ] {
        check(bad, None);
    }
}

#[test]
fn times_keep_their_nanoseconds() {
    let check = |text: &str, expected| {
        assert_eq!(decimal_nanoseconds(text.as_bytes()), expected, "{text}");
    };
    check("1", Some(1_000_000_000));
    check("1.5", Some(1_500_000_000));
    check("-1.5", Some(-1_500_000_000));
    check("-0.000000001", Some(-1));
    check("1.1234567899", Some(1_123_456_789));
    for bad in ["", "-", ".", "1.x", "1.+5", "+1", "--1", "1.5.5"] {
        check(bad, None);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_flipped_byte_of_a_header_never_panics(at in 0..2048_usize, to: u8) {
        let mut tar = tar_of(b"name", b"content");
        if at < tar.len() {
            tar[at] = to;
        }
        let _ = read(&tar);
    }
}

fn tar_of(name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.extend_from_slice(content);
    super::super::member::pad(&mut tar, content.len() as u64);
    tar.extend_from_slice(&[0; 1024]);
    tar
}
