//! Links and pipes, in a set and in a store: none is followed.

use crate::file_store::{FILES, complete_sets};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{DAY_1, SampleRoot, tree};
use mail_tests::swapper::{Swapper, give_to_another, rounds};
use rustix::fs::{CWD, FileType, Mode};

/// Whoever can write into the store puts a link where a directory is expected: root writes nothing
/// behind it, and says where it is.
#[test]
fn a_push_follows_no_link_in_the_store() {
    let set = format!("daily/{DAY_1}");
    // Where the set cannot be looked at nothing is done; else the other files are pushed.
    for (link, code) in [
        ("daily", 3),
        (&set, 3),
        (&format!("{set}/mysql"), 1),
        (&format!("{set}/mailboxes/example.com"), 1),
    ] {
        let root = SampleRoot::new();
        root.make_daily(DAY_1, &FILES);
        let outside = tempfile::tempdir().unwrap();
        let at = root.store().join(link);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(outside.path(), &at).unwrap();
        let pushed = root.push_to_file(DAY_1).run();
        let pushed = pushed
            .assert_failure("refused")
            .assert_stderr(at.to_str().unwrap());
        assert_eq!(pushed.code(), code, "{link}: {}", pushed.stderr);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{link}");
        fs::remove_file(&at).unwrap();
        let _ = root.push_to_file(DAY_1).run().assert_code(0);
    }
}

/// A link or a named pipe in the place of an object is not the object: nothing waits for a writer,
/// nothing behind a link is read or written, and the next push puts a file there.
#[test]
fn a_link_or_a_pipe_in_the_place_of_an_object_is_replaced() {
    let names = [FILES[3].0, "manifest.jsonl", "checksums.sha256"];
    let kinds: [fn(&Path, &Path); 2] = [
        |outside, path| symlink(outside, path).unwrap(),
        |_, path| mkfifo(path),
    ];
    for (name, make) in names.iter().flat_map(|name| kinds.map(|kind| (name, kind))) {
        let root = SampleRoot::new();
        let set = root.make_daily(DAY_1, &FILES);
        let _ = root.push_to_file(DAY_1).run().assert_code(0);
        let stored = root.store().join("daily").join(DAY_1);
        let outside = root.path().join("outside");
        fs::copy(stored.join(name), &outside).unwrap();
        fs::remove_file(stored.join(name)).unwrap();
        make(&outside, &stored.join(name));
        let verify = ["verify", "--date", DAY_1, "--from"];
        let verified = root.tool().args(verify).arg(root.file_url()).run();
        assert_ne!(verified.code(), 0, "{name}: {}", verified.stderr);
        let pushed = root.push_to_file(DAY_1).run();
        let _ = pushed.assert_code(0);
        assert_eq!(tree(&stored), tree(&set));
        assert!(fs::symlink_metadata(stored.join(name)).unwrap().is_file());
    }
}

/// The same while the link comes and goes.
#[test]
fn a_directory_of_the_store_that_becomes_a_link_leads_nowhere() {
    let root = SampleRoot::new();
    let many: Vec<(String, Vec<u8>)> = (0..40)
        .map(|number| (format!("mysql/{number:02}.sql.zst"), vec![number; 1000]))
        .collect();
    let files: Vec<(&str, &[u8])> = many
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    let set = root.make_daily(DAY_1, &files);
    let stored = root.store().join("daily").join(DAY_1);
    let outside = root.path().join("outside");
    fs::create_dir_all(stored.join("mysql")).unwrap();
    fs::create_dir(&outside).unwrap();
    give_to_another(&outside);
    symlink(&outside, root.store().join("link")).unwrap();
    let mut exchanges = 0;
    for _ in rounds(8) {
        let swapper = Swapper::start(&stored.join("mysql"), &root.store().join("link"));
        let pushed = root.push_to_file(DAY_1).run();
        exchanges += swapper.stop();
        assert!([0, 1, 3].contains(&pushed.code()), "{}", pushed.stderr);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
    println!("{exchanges} exchanges");
    assert!(exchanges > 1000, "{exchanges}");
    let _ = root.push_to_file(DAY_1).run().assert_code(0);
    assert_eq!(tree(&stored), tree(&set));
}

/// A file of the set that is another thing by now is never waited for, nor followed.
#[test]
fn a_link_or_a_pipe_in_the_set_is_not_pushed() {
    let kinds: [fn(&Path, &Path); 2] = [
        |outside, path| symlink(outside, path).unwrap(),
        |_, path| mkfifo(path),
    ];
    let names = [FILES[3].0, "manifest.jsonl", "checksums.sha256", "mysql"];
    for (name, make) in names.iter().flat_map(|name| kinds.map(|kind| (name, kind))) {
        let root = SampleRoot::new();
        let set = root.make_daily(DAY_1, &FILES);
        let outside = root.path().join("outside");
        fs::rename(set.join(name), &outside).unwrap();
        make(&outside, &set.join(name));
        let pushed = root.push_to_file(DAY_1).run();
        assert_ne!(pushed.code(), 0, "{name}: {}", pushed.stderr);
        assert_eq!(complete_sets(&root), [""; 0], "{name}");
    }
}

fn mkfifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}
