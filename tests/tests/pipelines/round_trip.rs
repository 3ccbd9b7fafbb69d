//! Backup, then restore, is the identity: on random trees, and on a mail server whose Dovecot opens
//! what came back.
#![expect(
    clippy::disallowed_methods,
    reason = "sample trees are not stored files"
)]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use mail_tests::maildir::TreePlan;
use mail_tests::server::Server;
use mail_tests::tree::snapshot;
use proptest::prelude::*;
use proptest::test_runner::Config;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

/// An entry of a random tree.
#[derive(Clone, Debug)]
struct Node {
    /// Which of a few names each component of the path has, so that paths meet.
    path: Vec<usize>,
    kind: NodeKind,
    mode: u32,
    mtime: (i64, i64),
}

#[derive(Clone, Debug)]
enum NodeKind {
    Directory,
    File {
        byte: u8,
        length: usize,
    },
    Symlink(usize),
    /// Another name of the first file of the tree.
    HardLink,
}

/// Names as people, programs and nobody would choose them.
fn name(number: usize) -> OsString {
    let names: [&[u8]; 12] = [
        b"cur",
        b"new",
        b"example.com",
        b"alice",
        b".Sent",
        b"1767225600.M1P1.mx,S=14:2,S",
        b"a b\n\\c",
        b"\xff\xfe",
        "日本語".as_bytes(),
        b"-rf",
        b"dovecot-uidlist",
        &[b'x'; 200],
    ];
    OsString::from_vec(names[number % names.len()].to_vec())
}

fn node() -> impl Strategy<Value = Node> {
    let kind = prop_oneof![
        2 => Just(NodeKind::Directory),
        6 => (any::<u8>(), prop_oneof![Just(0_usize), 1..3000_usize, Just(512), Just(300_000)])
            .prop_map(|(byte, length)| NodeKind::File { byte, length }),
        1 => (0..12_usize).prop_map(NodeKind::Symlink),
        1 => Just(NodeKind::HardLink),
    ];
    let mode = prop_oneof![
        Just(0o644),
        Just(0o600),
        Just(0o755),
        Just(0o4711),
        Just(0o2750),
        Just(0o1777),
        Just(0o400)
    ];
    let mtime = (-2_000_000_000..4_000_000_000_i64, 0..1_000_000_000_i64);
    (
        proptest::collection::vec(0..12_usize, 1..5),
        kind,
        mode,
        mtime,
    )
        .prop_map(|(path, kind, mode, mtime)| Node {
            path,
            kind,
            mode,
            mtime,
        })
}

/// Makes the tree; what cannot be made because of what is there already is left out.
fn make(root: &Path, nodes: &[Node]) {
    let mut first_file: Option<PathBuf> = None;
    let mut made = BTreeSet::new();
    for node in nodes {
        let path: PathBuf = root.join(
            node.path
                .iter()
                .map(|number| name(*number))
                .collect::<PathBuf>(),
        );
        let parent = path.parent().unwrap();
        if fs::create_dir_all(parent).is_err() || path.symlink_metadata().is_ok() {
            continue;
        }
        match (&node.kind, &first_file) {
            (NodeKind::Directory, _) => fs::create_dir(&path).unwrap(),
            (NodeKind::File { byte, length }, _) => fs::write(&path, vec![*byte; *length]).unwrap(),
            (NodeKind::Symlink(to), _) => symlink(name(*to), &path).unwrap(),
            (NodeKind::HardLink, Some(first)) => fs::hard_link(first, &path).unwrap(),
            (NodeKind::HardLink, None) => continue,
        }
        if matches!(node.kind, NodeKind::File { .. }) {
            fs::set_permissions(&path, fs::Permissions::from_mode(node.mode)).unwrap();
            first_file.get_or_insert(path.clone());
        }
        made.insert((path.clone(), node.mtime));
    }
    for (path, (seconds, nanoseconds)) in made.iter().rev() {
        let time = Timespec {
            tv_sec: *seconds,
            tv_nsec: *nanoseconds,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

fn checked(outcome: mail_tests::run::Outcome) {
    let _ = outcome.assert_code(0);
}

proptest! {
    #![proptest_config(Config { cases: 48, max_shrink_iters: 60, failure_persistence: None, ..Config::default() })]

    #[test]
    fn backup_then_restore_is_the_identity(mail in proptest::collection::vec(node(), 0..40), config in proptest::collection::vec(node(), 0..25)) {
        let server = Server::new(&TreePlan::new(0, 1, 1));
        for (tree, nodes) in [("mail", &mail), ("config", &config)] {
            fs::remove_dir_all(server.dir().join(tree)).unwrap();
            fs::create_dir(server.dir().join(tree)).unwrap();
            make(&server.dir().join(tree), nodes);
        }
        let components = ["--component", "mailboxes", "--component", "config"];
        checked(server.backup().args(components).args(["--date", "2026-11-23"]).run());
        let before = ["mail", "config"].map(|tree| snapshot(&server.dir().join(tree)));
        fs::remove_dir_all(server.mail()).unwrap();
        fs::write(server.dir().join("config/planted"), "later").unwrap();
        checked(server.restore().args(["--from", "daily/2026-11-23", "--dry-run"]).run());
        checked(server.restore().args(["--from", "daily/2026-11-23"]).run());
        let after = ["mail", "config"].map(|tree| snapshot(&server.dir().join(tree)));
        // An archive of a tree that is no mail has no index, and with it no hard links.
        before[1].clone().without_hard_links().assert_same(&after[1].clone().without_hard_links());
        before[0].clone().without_temporary().assert_same(&after[0]);
    }
}
