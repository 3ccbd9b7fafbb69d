//! Files as they come to stand: whole, private, or not at all.

use super::*;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_stored_file_is_private_and_knows_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut file = StoredFile::create(&path).unwrap();
    file.write_all(b"abc").unwrap();
    let stored = file.finish().unwrap();
    assert_eq!(stored.bytes, 3);
    // FIPS 180-2, appendix B.1.
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(stored.sha256.to_string(), expected);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(
        StoredFile::create(&path).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
}

#[test]
fn a_stored_file_does_not_follow_a_symlink() {
    let dir = tempfile::tempdir().unwrap();
    symlink(dir.path().join("elsewhere"), dir.path().join("a")).unwrap();
    assert!(StoredFile::create(&dir.path().join("a")).is_err());
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn write_file_replaces_and_leaves_nothing_beside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n".repeat(255));
    write_file(&path, b"old").unwrap();
    write_file(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(names(dir.path()), ["n".repeat(255)]);

    fs::create_dir(dir.path().join("d")).unwrap();
    assert!(write_file(&dir.path().join("d"), b"x").is_err());
    assert_eq!(names(dir.path()), ["d".to_owned(), "n".repeat(255)]);
}

#[test]
fn a_file_for_others_has_the_mode_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics");
    write_file(&path, b"old").unwrap();
    write_file_for(&path, b"new", 0o644).unwrap();
    assert_eq!(
        (fs::read(&path).unwrap(), mode(&path)),
        (b"new".to_vec(), 0o644)
    );
    write_file(&path, b"private again").unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(dir.path()), ["metrics"]);
}

#[test]
fn a_leftover_with_the_same_temporary_name_is_stepped_over() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let taken = std::cell::Cell::new(3);
    let (name, ()) = with_temporary_name(&target, |_| {
        taken.set(taken.get() - 1);
        if taken.get() == 0 {
            Ok(())
        } else {
            Err(io::ErrorKind::AlreadyExists.into())
        }
    })
    .unwrap();
    assert!(is_temporary_name(
        name.file_name().unwrap().to_str().unwrap()
    ));
}

/// The number of a process that is gone.
fn dead_process() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn only_what_a_dead_process_left_is_left_behind() {
    let (dead, own) = (dead_process(), std::process::id());
    let now = SystemTime::now();
    let long_ago = now - LEFT_BEHIND_AFTER;
    let of_dead = format!(".tmp-{dead}-0");
    assert!(is_left_behind(of_dead.as_bytes(), long_ago, now));
    // It may live in another PID namespace; or its clock is ahead.
    let second = Duration::from_secs(1);
    for modified in [long_ago + second, now, now + LEFT_BEHIND_AFTER + second] {
        assert!(!is_left_behind(of_dead.as_bytes(), modified, now));
    }
    for name in [
        format!(".tmp-{own}-0"),
        format!(".tmp-{dead}-"),
        format!(".tmp-{dead}-0.mx"),
        format!("tmp-{dead}-0"),
        ".tmp--1-0".to_owned(),
        ".tmp-0-0".to_owned(),
        "1763900000.M1P1.mx:2,S".to_owned(),
    ] {
        assert!(!is_left_behind(name.as_bytes(), long_ago, now), "{name}");
    }
}

#[test]
fn what_a_killed_process_was_writing_goes_when_one_writes_an_hour_later() {
    let dir = tempfile::tempdir().unwrap();
    let dead = dead_process();
    let [of_dead, directory, recent] = [0, 1, 2].map(|number| format!(".tmp-{dead}-{number}"));
    let own = format!(".tmp-{}-999", std::process::id());
    fs::create_dir(dir.path().join(&directory)).unwrap();
    for name in [&own, &of_dead, &recent] {
        fs::write(dir.path().join(name), "half").unwrap();
    }
    for name in [&own, &of_dead, &directory] {
        let old = File::open(dir.path().join(name)).unwrap();
        old.set_modified(SystemTime::now() - LEFT_BEHIND_AFTER)
            .unwrap();
    }
    write_file(&dir.path().join("state"), b"whole").unwrap();
    let mut expected = [own, directory, recent, "state".to_owned()];
    expected.sort();
    assert_eq!(names(dir.path()), expected);
}

#[test]
fn a_symlink_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("latest");
    replace_symlink(&link, Path::new("daily/2026-11-22")).unwrap();
    replace_symlink(&link, Path::new("daily/2026-11-23")).unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("daily/2026-11-23"));
    assert_eq!(names(dir.path()), ["latest"]);
}

#[test]
fn rename_into_place_never_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let without_flags =
        |from: &Path, to: &Path| rename_if_absent(CWD, from.as_os_str(), CWD, to.as_os_str());
    let ways: [fn(&Path, &Path) -> io::Result<()>; 2] = [rename_into_place, without_flags];
    for rename in ways {
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        assert_eq!(
            rename(&a, &b).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        fs::remove_dir(&b).unwrap();
        rename(&a, &b).unwrap();
        assert_eq!(names(dir.path()), ["b"]);
        fs::remove_dir(&b).unwrap();
    }
}

#[test]
fn exchange_swaps_directories_and_reports_a_missing_one() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    create_dir_all(&a.join("was-a")).unwrap();
    assert_eq!(mode(&a), 0o700);
    assert_eq!(
        exchange(&a, &b).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    create_dir(&b).unwrap();
    assert_eq!(exchange(&a, &b).unwrap(), Exchanged::Done);
    assert!(b.join("was-a").is_dir() && names(&a).is_empty());
}

#[test]
fn a_link_shares_the_inode_and_a_copy_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let [from, link, copied] = ["from", "link", "copied"].map(|name| dir.path().join(name));
    write_file(&from, b"content").unwrap();
    assert_eq!(link_or_copy(&from, &link).unwrap(), Linked::HardLink);
    assert_eq!(
        fs::metadata(&link).unwrap().ino(),
        fs::metadata(&from).unwrap().ino()
    );
    assert_eq!(
        link_or_copy(&from, &link).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    let copy = copy(CWD, from.as_os_str(), CWD, copied.as_os_str());
    assert_ne!(copy.unwrap(), Linked::HardLink);
    assert_ne!(
        fs::metadata(&copied).unwrap().ino(),
        fs::metadata(&from).unwrap().ino()
    );
    assert_eq!(fs::read(&copied).unwrap(), b"content");
    assert_eq!(mode(&copied), 0o600);
}

#[test]
fn across_file_systems_the_bytes_are_copied() {
    let dir = tempfile::tempdir().unwrap();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: no second file system at /dev/shm");
        return;
    };
    write_file(&dir.path().join("a"), b"content").unwrap();
    let linked = link_or_copy(&dir.path().join("a"), &other.path().join("a")).unwrap();
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let expected = if device(dir.path()) == device(other.path()) {
        Linked::HardLink
    } else {
        Linked::Copy
    };
    assert_eq!(linked, expected);
    assert_eq!(fs::read(other.path().join("a")).unwrap(), b"content");
}

#[test]
fn remove_tree_does_not_follow_symlinks() {
    let dir = tempfile::tempdir().unwrap();
    let [kept, gone, link] = ["kept", "gone", "link"].map(|name| dir.path().join(name));
    create_dir_all(&kept.join("file")).unwrap();
    create_dir_all(&gone.join("deep")).unwrap();
    symlink(&kept, gone.join("deep/out")).unwrap();
    symlink(&kept, &link).unwrap();
    for path in [&gone, &link, &dir.path().join("absent")] {
        remove_tree(path).unwrap();
    }
    assert_eq!(names(dir.path()), ["kept"]);
    assert_eq!(names(&kept), ["file"]);
}

#[test]
fn a_tree_in_an_open_directory_is_removed_and_nothing_behind_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let [kept, gone, link] = ["kept", "gone", "link"].map(|name| dir.path().join(name));
    create_dir_all(&kept.join("file")).unwrap();
    create_dir_all(&gone.join("deep/deeper")).unwrap();
    write_file(&gone.join("deep/file"), b"x").unwrap();
    symlink(&kept, gone.join("deep/out")).unwrap();
    symlink(&kept, &link).unwrap();
    let open = File::open(dir.path()).unwrap();
    for name in ["gone", "link", "absent"] {
        remove_tree_in(&open, OsStr::new(name)).unwrap();
    }
    assert_eq!(names(dir.path()), ["kept"]);
    assert_eq!(names(&kept), ["file"]);
}

#[test]
fn directories_are_made_beneath_and_never_behind_a_link() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["store/old", "outside"] {
        create_dir_all(&dir.path().join(name)).unwrap();
    }
    symlink("../outside", dir.path().join("store/link")).unwrap();
    let root = Beneath::open(&dir.path().join("store")).unwrap();
    let make = |path: &str| create_dir_all_beneath(&root, &RelPath::new(path).unwrap());
    for path in ["old", "old/a/b", "new/c", "new/c", "."] {
        let directory = make(path).unwrap();
        let name = OsStr::new("probe");
        drop(StoredFile::create_in(&directory, name).unwrap());
        assert_eq!(mode(&dir.path().join("store").join(path)), 0o700);
        remove_tree_in(&directory, name).unwrap();
    }
    for path in ["link", "link/a", "link/a/b"] {
        let error = make(path).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::LOOP), "{path}");
    }
    assert_eq!(names(&dir.path().join("outside")), [""; 0]);
}

#[test]
fn sync_tree_leaves_symlinks_alone() {
    let dir = tempfile::tempdir().unwrap();
    create_dir_all(&dir.path().join("a/b")).unwrap();
    symlink("/nonexistent", dir.path().join("a/dangling")).unwrap();
    symlink("..", dir.path().join("a/loop")).unwrap();
    sync_tree(dir.path()).unwrap();
}

#[test]
fn a_full_disk_is_an_error_and_not_a_short_file() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(dir.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting a small tmpfs needs root");
        return;
    }
    let content = vec![7; 2 << 20];
    let whole = write_file(&dir.path().join("a"), &content).map_err(|error| error.kind());
    let left = names(dir.path());
    let mut buffered = StoredFile::create(&dir.path().join("b")).unwrap();
    let buffered = buffered
        .write_all(&content)
        .and_then(|()| buffered.finish())
        .map_err(|error| error.kind());
    Command::new("umount").arg(dir.path()).status().unwrap();
    assert_eq!(whole, Err(io::ErrorKind::StorageFull));
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(buffered, Err(io::ErrorKind::StorageFull));
}
