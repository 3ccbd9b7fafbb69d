//! Mail trees as they are found in the field: odd names, odd entries, odd depths. What can be saved
//! comes back exactly; what cannot is named.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{
    self, Server, SetDir, assert_sums, capture, is_root, members, succeed, unpack_mail,
    unpack_mail_with,
};
use mail_tests::run::Outcome;
use mail_tests::tree::snapshot;

pub(crate) const DATE: &str = "2026-11-23";

/// Saves the mail of `server`, twice: read, then linked. Both sets restore to the source without
/// `left_out`.
#[track_caller]
pub(crate) fn check(server: &Server, options: &[&str], left_out: &[&str]) -> (SetDir, Outcome) {
    support::settle();
    let expected = snapshot(&server.mail())
        .without(|path| left_out.iter().any(|name| path == Path::new(name)));
    // Names of one file are files of their own in a set.
    let expected = expected.without_hard_links();
    let (set, outcome) = server.save_mail(DATE, options);
    let (linked, _) = server.save_mail("2026-11-24", options);
    for set in [&set, &linked] {
        assert_sums(set);
        let restored = tempfile::tempdir().unwrap();
        unpack_mail(set, restored.path());
        expected.assert_same(&snapshot(restored.path()));
    }
    (set, outcome)
}

pub(crate) fn bytes(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

#[test]
fn names_of_every_kind() {
    let server = Server::empty();
    let long = "n".repeat(255);
    let names: [&[u8]; 9] = [
        b"17.M1P1.mx with spaces:2,S",
        b"17.M1P2.mx\nnew line",
        b"17.M1P3.mx\\back\\slash\r",
        b"17.M1P4.\xff\xfe not UTF-8",
        b"17.M1P5.\x1b[31mred \"'`$(x)*?",
        "17.M1P6.ｍｘ:2,FS".as_bytes(),
        long.as_bytes(),
        b"-rf",
        b".hidden",
    ];
    for mailbox in [
        &b"example.com/alice"[..],
        b"spa ce\n.example/b\\o\xe9b",
        "example.jp/ユーザ".as_bytes(),
    ] {
        server.maildir(bytes(mailbox));
        for name in names {
            let path = Path::new(bytes(mailbox)).join("cur").join(bytes(name));
            server.message(path, &[b"Subject: ", name].concat());
        }
    }
    let (set, outcome) = check(&server, &[], &[]);
    let escaped = fs::read(set.join("checksums.sha256")).unwrap();
    let lines = escaped
        .split(|&byte| byte == b'\n')
        .filter(|line| line.first() == Some(&b'\\'))
        .count();
    assert_eq!(
        lines, 4,
        "the four files of the mailbox with newline and backslash are escaped"
    );
    let with_bytes = outcome
        .data("artifact")
        .into_iter()
        .filter(|artifact| artifact["path_b64"].is_string());
    assert_eq!(with_bytes.count(), 4, "and their names are not UTF-8");
}

#[test]
fn deep_folders_with_long_paths() {
    let server = Server::empty();
    let mut mailbox = PathBuf::from("example.com/alice");
    for depth in 0..12 {
        mailbox.push(format!(
            ".Folder of depth {depth:02} with a name of some length"
        ));
        server.maildir(&mailbox);
        server.message(
            mailbox.join("cur/17.M1P1.mx:2,"),
            format!("Subject: {depth}\n\n").as_bytes(),
        );
        symlink(
            "x".repeat(40 * depth + 1),
            server.mail().join(&mailbox).join("link"),
        )
        .unwrap();
    }
    assert!(mailbox.as_os_str().len() > 500);
    check(&server, &[], &[]);
}

#[test]
fn names_and_targets_about_as_long_as_a_header_field() {
    let server = Server::with_one_message();
    let alice = Path::new("example.com/alice");
    for length in 96..=104 {
        let name =
            |kind: &str| format!("{kind}{}", "x".repeat(length - "example.com/alice/f".len()));
        server.message(alice.join(name("f")), b"a file\n");
        fs::create_dir(server.mail().join(alice).join(name("d"))).unwrap();
        symlink(
            "y".repeat(length),
            server.mail().join(alice).join(name("l")),
        )
        .unwrap();
    }
    check(&server, &[], &[]);
}

#[test]
fn sizes_about_those_of_blocks_frames_and_large_files() {
    let server = Server::with_one_message();
    let mib = 1 << 20;
    for size in [
        0,
        1,
        511,
        512,
        513,
        1024,
        4 * mib - 512,
        4 * mib,
        4 * mib + 1,
        16 * mib,
        16 * mib + 1,
        16 * mib + 512,
    ] {
        let content = [&vec![b'x'; size / 2][..], &vec![b'y'; size - size / 2]].concat();
        server.message(
            format!("example.com/alice/cur/{size}.M1P1.mx:2,S"),
            &content,
        );
    }
    check(&server, &[], &[]);
}

#[test]
fn owners_and_modes_of_every_kind() {
    let server = Server::with_one_message();
    for mode in [0o4755, 0o2644, 0o1666, 0o400, 0o000] {
        let path = server.message(
            format!("example.com/alice/cur/{mode:o}.M1P1.mx:2,S"),
            b"a message\n",
        );
        fs::set_permissions(
            path,
            fs::Permissions::from_mode(if is_root() { mode } else { mode | 0o400 }),
        )
        .unwrap();
    }
    if !is_root() {
        eprintln!("SKIPPED: only root may give files away");
        return drop(check(&server, &[], &[]));
    }
    // Octal digits of a header field end at 2097151.
    for owner in [1, 65_534, 2_097_151, 2_097_152, 4_294_967_294] {
        let path = server.message(
            format!("example.com/alice/cur/{owner}.M1P1.mx:2,S"),
            b"a message\n",
        );
        std::os::unix::fs::lchown(path, Some(owner), Some(owner - 1)).unwrap();
        let link = server
            .mail()
            .join(format!("example.com/alice/link-{owner}"));
        symlink("nowhere", &link).unwrap();
        std::os::unix::fs::lchown(link, Some(owner), Some(owner)).unwrap();
    }
    check(&server, &[], &[]);
}

#[test]
fn empty_mailboxes_and_an_empty_tree() {
    let server = Server::empty();
    check(&server, &[], &[]);
    server.maildir("example.com/alice");
    fs::create_dir_all(server.mail().join("example.com/bob")).unwrap();
    fs::create_dir_all(server.mail().join("example.net")).unwrap();
    let (set, _) = check(&server, &[], &[]);
    assert_eq!(members(&set), [""; 0]);
}

#[test]
fn links_are_kept_and_never_followed() {
    let server = Server::with_one_message();
    let outside = server.path("outside");
    support::put(&outside.join("cur/17.M1P1.mx:2,S"), b"a secret\n");
    symlink(&outside, server.mail().join("example.com/mallory")).unwrap();
    symlink("nowhere/at/all", server.mail().join("example.com/dangling")).unwrap();
    symlink(&outside, server.mail().join("elsewhere.example")).unwrap();
    symlink(
        "../../../../outside/cur",
        server.mail().join("example.com/alice/.Linked"),
    )
    .unwrap();
    symlink(
        "../new",
        server.mail().join("example.com/alice/cur/18.M1P1.mx:2,S"),
    )
    .unwrap();
    let (set, _) = check(&server, &[], &[]);
    assert!(!set.join("mailboxes/example.com/mallory").exists());
    let names = members(&set);
    assert!(
        !names.iter().any(|name| name.contains("17.M1P1")),
        "{names:?}"
    );
}

#[test]
fn each_name_of_a_hard_link_is_a_whole_message() {
    let server = Server::with_one_message();
    server.maildir("example.com/bob");
    let first = server.message(
        "example.com/bob/cur/18.M1P1.mx:2,S",
        b"Subject: to many\n\n",
    );
    fs::hard_link(&first, server.mail().join("example.com/bob/new/18.M1P2.mx")).unwrap();
    fs::hard_link(
        &first,
        server.mail().join("example.com/alice/new/18.M1P3.mx"),
    )
    .unwrap();
    let (set, _) = check(&server, &[], &[]);
    let bob = capture(
        Command::new("tar")
            .args(["--zstd", "-xOf", "mailboxes/example.com/bob/0001.tar.zst"])
            .current_dir(&set),
    );
    assert_eq!(
        String::from_utf8(bob).unwrap(),
        "Subject: to many\n\nSubject: to many\n\n"
    );
}

#[test]
fn a_sparse_file_of_a_gibibyte() {
    let server = Server::with_one_message();
    let path = server.message(
        "example.com/alice/cur/18.M1P1.mx:2,S",
        b"Subject: holes\n\n",
    );
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    let (set, _) = server.save_mail(DATE, &[]);
    let stored: u64 = list_bytes(&set);
    assert!(stored < 1 << 20, "{stored} bytes for a hole");
    let script = r#"for a in mailboxes/example.com/alice/000[1-9].tar.zst; do
            tar --zstd -xOf "$a" example.com/alice/cur/18.M1P1.mx:2,S 2>/dev/null |
                cmp - "$0" && exit 0
        done; exit 1"#;
    let compared = Command::new("sh")
        .args(["-c", script])
        .arg(&path)
        .current_dir(&set)
        .stderr(Stdio::null())
        .status();
    assert!(compared.unwrap().success());
}

fn list_bytes(set: &Path) -> u64 {
    support::list_files(set)
        .iter()
        .map(|path| fs::metadata(set.join(path)).unwrap().len())
        .sum()
}

#[test]
fn a_message_of_forty_megabytes_among_small_ones() {
    let server = Server::with_one_message();
    let noise = capture(Command::new("head").args(["-c", "40000000", "/dev/urandom"]));
    server.message("example.com/alice/cur/18.M1P1.mx:2,S", &noise);
    server.message(
        "example.com/alice/cur/19.M1P1.mx:2,S",
        b"Subject: after it\n\n",
    );
    let (_, outcome) = check(&server, &[], &[]);
    assert_eq!(outcome.data("end")[0]["totals"]["errors"], 0);
}

#[test]
fn what_programs_hold_while_they_work_is_left_out_and_mail_never_is() {
    let server = Server::empty();
    for mailbox in [
        "example.com/alice",
        "example.com/alice/.Sent",
        "tmp/tmp",
        "example.com/tmp",
    ] {
        server.maildir(mailbox);
        let file =
            |name: &str| drop(server.message(Path::new(mailbox).join(name), name.as_bytes()));
        file("cur/17.M1P1.mx.lock");
        file("new/17.M1P2.mx.tmp");
        file("dovecot-uidlist");
        file("dovecot-uidlist.lock");
        file("dovecot.index.tmp");
        file("tmp/17.M1P3.mx");
        file("tmp/deep/17.M1P4.mx");
    }
    // Not the tmp of a Maildir: it has no new beside it.
    server.message("example.com/alice/sieve/cur/b.tmp", b"stop;\n");
    server.message("example.com/alice/sieve/tmp/a.sieve", b"keep;\n");
    let mut left_out = Vec::new();
    for mailbox in [
        "example.com/alice",
        "example.com/alice/.Sent",
        "tmp/tmp",
        "example.com/tmp",
    ] {
        for name in [
            "dovecot-uidlist.lock",
            "dovecot.index.tmp",
            "tmp/17.M1P3.mx",
            "tmp/deep",
        ] {
            left_out.push(format!("{mailbox}/{name}"));
        }
    }
    let left_out: Vec<&str> = left_out.iter().map(String::as_str).collect();
    let (set, outcome) = check(&server, &[], &left_out);
    let messages = members(&set)
        .into_iter()
        .filter(|name| name.contains("/cur/") || name.contains("/new/"))
        .count();
    assert_eq!(messages, 9);
    assert_eq!(
        outcome.data("end")[0]["totals"]["scratch_files_left_out"],
        8
    );
}

#[test]
fn extended_attributes_and_acls() {
    let server = Server::with_one_message();
    let mail = server.mail();
    let message = mail.join("example.com/alice/cur/1767225600.M1P1.mx,S=14:2,S");
    let supported = Command::new("setfattr")
        .args(["-n", "user.probe", "-v", "x"])
        .arg(&mail)
        .status()
        .unwrap();
    if !supported.success() {
        return eprintln!(
            "skipped: the file system of the temporary directory has no extended attributes"
        );
    }
    succeed(
        Command::new("setfattr")
            .args(["-n", "user.mail.seen", "-v", "0sAAoNPf8="])
            .arg(&message),
    );
    succeed(
        Command::new("setfattr")
            .args(["-n", "user.empty"])
            .arg(mail.join("example.com")),
    );
    succeed(
        Command::new("setfacl")
            .args(["-m", "u:65534:r--"])
            .arg(&message),
    );
    succeed(
        Command::new("setfacl")
            .args(["-d", "-m", "g:65534:rwx"])
            .arg(mail.join("example.com/alice/cur")),
    );
    support::settle();
    let (set, _) = server.save_mail(DATE, &[]);
    let restored = tempfile::tempdir().unwrap();
    unpack_mail_with(&set, restored.path(), &["--xattrs", "--xattrs-include=*"]);
    let expected = snapshot(&mail);
    let kept = expected
        .entries()
        .values()
        .filter(|entry| !entry.xattrs.is_empty())
        .count();
    assert_eq!(kept, 4, "the test has set attributes on four entries");
    expected.assert_same(&snapshot(restored.path()));
}

#[test]
fn times_before_1970_and_long_from_now() {
    let server = Server::with_one_message();
    let times = [
        ("1", "1969-12-31 23:59:59.999999999"),
        ("2", "1901-12-14 00:00:00.5"),
        ("3", "1969-12-31 00:00:00"),
        ("4", "1970-01-01 00:00:00"),
        ("5", "2038-01-19 03:14:08.000000001"),
        ("6", "2200-01-01 00:00:00.123456789"),
    ];
    for (number, time) in times {
        let path = server.message(
            format!("example.com/alice/cur/{number}.M1P1.mx:2,S"),
            time.as_bytes(),
        );
        succeed(
            Command::new("touch")
                .args(["-d", &format!("{time} UTC")])
                .arg(&path),
        );
    }
    succeed(
        Command::new("touch")
            .args(["-d", "1960-02-29 12:00:00.25 UTC"])
            .arg(server.mail().join("example.com")),
    );
    check(&server, &[], &[]);
}

#[test]
fn pipes_and_sockets_are_named_in_a_warning() {
    let server = Server::with_one_message();
    let alice = server.mail().join("example.com/alice");
    succeed(
        Command::new("mkfifo")
            .arg(alice.join("pipe"))
            .arg(server.mail().join("fifo of the root")),
    );
    let _listener = std::os::unix::net::UnixListener::bind(alice.join("cur/socket")).unwrap();
    let left_out = [
        "example.com/alice/pipe",
        "example.com/alice/cur/socket",
        "fifo of the root",
    ];
    let (set, outcome) = check(&server, &[], &left_out);
    let log = fs::read_to_string(set.join("backup.log")).unwrap();
    for name in left_out {
        let warning = format!("warning: {name} is a socket, a named pipe or a device");
        assert!(
            outcome.stderr.contains(&warning) && log.contains(&warning),
            "{warning}:\n{}\n{log}",
            outcome.stderr
        );
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test makes a file of root")]
fn files_that_a_mailbox_should_not_have_are_saved_and_named() {
    if !is_root() {
        return;
    }
    let server = Server::with_one_message();
    let shadow = server.mail().with_file_name("shadow");
    fs::write(&shadow, "of root\n").unwrap();
    let cur = server.mail().join("example.com/alice/cur");
    std::os::unix::fs::chown(&cur, Some(4001), Some(4001)).unwrap();
    for message in fs::read_dir(&cur).unwrap() {
        std::os::unix::fs::chown(message.unwrap().path(), Some(4001), Some(4001)).unwrap();
    }
    fs::hard_link(&shadow, cur.join("9.M9.mx:2,S")).unwrap();
    server.message("example.com/alice/cur/8.M8.mx:2,S", b"Subject: a\n\na\n");
    let own = cur.join("8.M8.mx:2,S");
    std::os::unix::fs::chown(&own, Some(4001), Some(4001)).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o4600)).unwrap();
    // Dovecot copies within a mailbox by a link: both names are there, and nothing is said.
    server.message("example.com/alice/cur/7.M7.mx:2,S", b"Subject: b\n\nb\n");
    std::os::unix::fs::chown(cur.join("7.M7.mx:2,S"), Some(4001), Some(4001)).unwrap();
    fs::hard_link(cur.join("7.M7.mx:2,S"), cur.join("6.M6.mx:2,S")).unwrap();

    let (_, outcome) = check(&server, &[], &[]);
    let alice = "mailbox example.com/alice: 1 file";
    for warning in [
        format!("{alice} with another owner than the folder: example.com/alice/cur/9.M9.mx:2,S"),
        format!("{alice} with the setuid or setgid bit: example.com/alice/cur/8.M8.mx:2,S"),
        format!(
            "{alice} with further names outside the mailbox: example.com/alice/cur/9.M9.mx:2,S"
        ),
    ] {
        assert!(
            outcome.stderr.contains(&warning),
            "{warning}:\n{}",
            outcome.stderr
        );
    }
    assert!(!outcome.stderr.contains("M7.mx"), "{}", outcome.stderr);
}

#[test]
fn no_name_acts_on_a_terminal_or_forges_a_line_of_the_log() {
    let server = Server::with_one_message();
    let name = "p\u{1b}]0;EVIL\u{7}\nstatus ok, nothing is missing\r\u{202e}";
    succeed(Command::new("mkfifo").arg(server.mail().join("example.com/alice").join(name)));
    let (set, _) = server.save_mail(DATE, &[]);
    let log = fs::read_to_string(set.join("backup.log")).unwrap();
    assert!(log.contains(r"p\u{1b}]0;EVIL\u{7}\nstatus ok"), "{log}");
    let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!log.contains(acts), "{log:?}");
    assert!(
        !log.lines().any(|line| line.starts_with("status ok")),
        "{log}"
    );
}
