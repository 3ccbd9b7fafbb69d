//! Messages added to a live mail tree: where they belong, as they were, once, and nothing else is
//! touched.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is not a stored file"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use crate::support::{
    DELIVERED, Site, assert_clean, by_id, by_mailbox, by_path, deliver, digest, dispositions,
    is_root, message, put,
};
use mail_restore::messages::{Disposition, Query, Warning};
use mail_tests::tree::snapshot;

/// File names below `dir` with their digests, the part of the name before the first comma left out.
fn contents(dir: &Path) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (path, entry) in snapshot(dir).entries() {
        if let Some(digest) = &entry.sha256 {
            let place = path.parent().unwrap().to_str().unwrap().to_owned();
            let name = path.file_name().unwrap().to_str().unwrap();
            let flags = name.split_once(":2,").map_or("none", |(_, flags)| flags);
            found.push((format!("{place} {flags}"), digest.clone()));
        }
    }
    found.sort();
    found
}

fn give(dir: &Path, owner: &str) {
    assert!(
        Command::new("chown")
            .args(["-R", owner])
            .arg(dir)
            .status()
            .unwrap()
            .success()
    );
}

fn only_name(dir: &Path) -> String {
    let names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let [name] = &names[..] else {
        panic!("{names:?} in {}", dir.display())
    };
    name.clone()
}

#[test]
fn a_deleted_message_comes_back_as_it_was_and_nothing_else_changes() {
    let site = Site::with(&[
        (
            "example.com/alice/.Archive.2025/cur/1.M1P1.mx,S=1,W=2:2,FS",
            "one@mx",
        ),
        ("example.com/alice/.Archive.2025/cur/2.b:2,", "two@mx"),
        ("example.com/bob/cur/4.d:2,", "four@mx"),
    ]);
    site.remove("example.com/alice/.Archive.2025/cur/1.M1P1.mx,S=1,W=2:2,FS");
    fs::set_permissions(
        site.live("example.com/alice/.Archive.2025/cur/2.b:2,"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    if is_root() {
        give(&site.live("example.com/alice"), "5000:5001");
    }
    let owner = fs::metadata(site.live("example.com/alice")).unwrap();
    let before = snapshot(&site.mail()).without_dir_times();
    let outcome = site.deliver(&by_id("one@mx"));
    assert_clean(&outcome);
    let [(Disposition::Added, target)] = &dispositions(&outcome)[..] else {
        panic!("{outcome:?}")
    };
    let live = site.live(target);
    assert_eq!(fs::read(&live).unwrap(), message("one@mx"));
    let metadata = fs::metadata(&live).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (owner.uid(), owner.gid()));
    assert_eq!(metadata.mode() & 0o7777, 0o640, "as the messages there");
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (DELIVERED, 0));
    let size = message("one@mx").len();
    let lines = message("one@mx")
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count();
    assert!(
        target.starts_with("example.com/alice/.Archive.2025/cur/"),
        "{target}"
    );
    assert!(
        target.ends_with(&format!(",S={size},W={}:2,FS", size + lines)),
        "{target}"
    );
    // A new name, not the old one.
    assert!(!target.contains("1.M1P1.mx"), "{target}");
    let added = target.clone();
    let after = snapshot(&site.mail())
        .without_dir_times()
        .without(|path| path == Path::new(&added));
    before.assert_same(&after);
}

#[test]
fn a_message_that_is_there_in_whatever_folder_is_not_added_again() {
    let site = Site::with(&[
        ("example.com/alice/cur/1.a:2,S", "one@mx"),
        ("example.com/alice/.Sent/cur/2.b:2,", "two@mx"),
    ]);
    fs::rename(
        site.live("example.com/alice/cur/1.a:2,S"),
        site.live("example.com/alice/.Sent/new/9.x"),
    )
    .unwrap();
    // As large, and another.
    put(
        &site.mail(),
        "example.com/alice/cur/3.c:2,",
        &message("oNe@mx"),
    );
    let before = snapshot(&site.mail());
    let outcome = site.deliver(&by_id("one@mx"));
    assert_clean(&outcome);
    assert_eq!(
        dispositions(&outcome),
        [(
            Disposition::Present,
            "example.com/alice/.Sent/new/9.x".to_owned()
        )]
    );
    before.assert_same(&snapshot(&site.mail()));
}

#[test]
fn a_message_that_was_new_is_new_again() {
    let site = Site::with(&[("example.com/alice/new/1.a", "one@mx")]);
    site.remove("example.com/alice/new/1.a");
    let outcome = site.deliver(&by_id("one@mx"));
    assert_clean(&outcome);
    let name = only_name(&site.live("example.com/alice/new"));
    assert!(!name.contains(":2,"), "{name}");
    assert_eq!(
        fs::read_dir(site.live("example.com/alice/tmp"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_mailbox_that_is_gone_is_made_whole_and_only_once() {
    let site = Site::new(120, 2);
    site.put("example.com/alice/cur/twice:2,S", &message("twice@mx"));
    site.put(
        "example.com/alice/.Sent/cur/twice:2,S",
        &message("twice@mx"),
    );
    if is_root() {
        give(&site.live("example.com/alice"), "5000:5001");
        fs::set_permissions(
            site.live("example.com/alice"),
            fs::Permissions::from_mode(0o750),
        )
        .unwrap();
    }
    site.back_up(&[]);
    let messages = |site: &Site| -> Vec<(String, String)> {
        let mail = contents(&site.live("example.com/alice"));
        mail.into_iter()
            .filter(|(place, _)| {
                place.contains("/cur ")
                    || place.contains("/new ")
                    || place.starts_with("cur ")
                    || place.starts_with("new ")
            })
            .collect()
    };
    let (before, owner) = (
        messages(&site),
        fs::metadata(site.live("example.com/alice")).unwrap(),
    );
    assert!(before.len() > 40, "{}", before.len());
    site.remove("example.com");
    let outcome = site.deliver(&by_mailbox("alice@example.com"));
    assert!(
        outcome.failures.is_empty() && outcome.left == 0,
        "{:?}",
        outcome.failures
    );
    assert!(
        outcome
            .restored
            .iter()
            .all(|restored| restored.disposition == Disposition::Added)
    );
    assert_eq!(messages(&site), before);
    for directory in ["", "cur", "new", "tmp", ".Sent", ".Sent/tmp"] {
        let metadata = fs::metadata(site.live("example.com/alice").join(directory)).unwrap();
        assert_eq!(
            (metadata.uid(), metadata.gid(), metadata.mode()),
            (owner.uid(), owner.gid(), owner.mode()),
            "{directory}"
        );
    }
    assert!(
        site.live("example.com/alice/.Archive.2025/maildirfolder")
            .is_file()
    );
    assert!(!site.live("example.com/alice/maildirfolder").exists());
    let made = |warning: &Warning| matches!(warning, Warning::FolderMade { mailbox, folder } if mailbox == "alice@example.com" && folder == "Archive.2025");
    assert!(outcome.warnings.iter().any(made), "{:?}", outcome.warnings);

    let before = snapshot(&site.mail());
    let again = site.deliver(&by_mailbox("alice@example.com"));
    assert_clean(&again);
    assert!(
        again
            .restored
            .iter()
            .all(|restored| restored.disposition == Disposition::Present)
    );
    before.assert_same(&snapshot(&site.mail()));
}

#[test]
fn keywords_keep_their_meaning() {
    let site = Site::new(1, 1);
    site.put("example.com/alice/cur/1.a:2,FSab", &message("one@mx"));
    site.put(
        "example.com/alice/dovecot-keywords",
        b"0 $Forwarded\n1 $Junk\n",
    );
    site.put("example.com/alice/.Gone/cur/2.b:2,Sa", &message("two@mx"));
    site.put("example.com/alice/.Gone/dovecot-keywords", b"0 Important\n");
    site.put("example.com/alice/.Bare/cur/3.c:2,Sa", &message("three@mx"));
    site.back_up(&[]);
    for path in [
        "example.com/alice/cur/1.a:2,FSab",
        "example.com/alice/.Gone",
        "example.com/alice/.Bare/cur/3.c:2,Sa",
    ] {
        site.remove(path);
    }
    put(
        &site.mail(),
        "example.com/alice/dovecot-keywords",
        b"0 Other\n1 $Forwarded\n",
    );
    let outcome = site.deliver(&by_id("one@mx"));
    assert!(outcome.failures.is_empty());
    // $Forwarded is b now; the folder knows no $Junk, which is said.
    assert!(
        dispositions(&outcome)[0].1.ends_with(":2,FSb"),
        "{outcome:?}"
    );
    let path = outcome.restored[0].path.clone();
    assert_eq!(
        outcome.warnings,
        [Warning::KeywordsDropped {
            path,
            keywords: vec!["$Junk".to_owned()]
        }]
    );
    assert_eq!(
        fs::read(site.live("example.com/alice/dovecot-keywords")).unwrap(),
        b"0 Other\n1 $Forwarded\n"
    );
    // A folder that is made has the keywords that it had.
    let outcome = site.deliver(&by_id("two@mx"));
    assert!(
        dispositions(&outcome)[0].1.ends_with(":2,Sa"),
        "{outcome:?}"
    );
    assert_eq!(
        fs::read(site.live("example.com/alice/.Gone/dovecot-keywords")).unwrap(),
        b"0 Important\n"
    );
    assert!(
        matches!(&outcome.warnings[..], [Warning::FolderMade { folder, .. }] if folder == "Gone"),
        "{outcome:?}"
    );
    // Nobody knows what it meant.
    let outcome = site.deliver(&by_id("three@mx"));
    assert!(dispositions(&outcome)[0].1.ends_with(":2,S"), "{outcome:?}");
    assert!(
        matches!(&outcome.warnings[..], [Warning::KeywordsDropped { keywords, .. }] if keywords[..] == ["a"])
    );
}

#[test]
fn a_compressed_message_keeps_the_sizes_of_its_name() {
    let site = Site::new(1, 1);
    site.put(
        "example.com/alice/cur/1.a,S=900,W=950:2,S",
        b"\x1f\x8b\x08 packed",
    );
    site.back_up(&[]);
    site.remove("example.com/alice/cur/1.a,S=900,W=950:2,S");
    let outcome = site.deliver(&by_path("example.com/alice/cur/1.a*"));
    assert_clean(&outcome);
    assert!(
        dispositions(&outcome)[0].1.ends_with(",S=900,W=950:2,S"),
        "{outcome:?}"
    );
}

#[test]
fn a_large_message_is_streamed_back() {
    let site = Site::new(1, 1);
    let large = [
        &message("large@mx")[..],
        &b"0123456789abcde\n".repeat((17 << 20) / 16),
    ]
    .concat();
    site.put("example.com/alice/cur/4.d:2,", &large);
    site.back_up(&[]);
    site.remove("example.com/alice/cur/4.d:2,");
    let outcome = site.deliver(&by_id("large@mx"));
    assert_clean(&outcome);
    assert_eq!(
        fs::read(site.live(&dispositions(&outcome)[0].1)).unwrap(),
        large
    );
}

#[test]
fn a_mailbox_with_a_quota_file_counts_what_is_added() {
    let site = Site::with(&[
        ("example.com/alice/cur/1.a:2,S", "one@mx"),
        ("example.com/alice/cur/2.b:2,S", "two@mx"),
    ]);
    put(
        &site.mail(),
        "example.com/alice/maildirsize",
        b"1000000S\n300 2\n",
    );
    site.remove("example.com/alice/cur/1.a:2,S");
    let outcome = site.deliver(&by_mailbox("alice@example.com"));
    assert_clean(&outcome);
    let size = message("one@mx").len();
    let text = fs::read_to_string(site.live("example.com/alice/maildirsize")).unwrap();
    assert_eq!(text, format!("1000000S\n300 2\n{size} 1\n"));
}

#[test]
fn a_folder_within_folders_is_made_as_it_was() {
    let site = Site::with(&[
        ("example.com/alice/Work/Old/cur/1.a:2,S", "one@mx"),
        ("example.com/alice/cur/2.b:2,S", "two@mx"),
    ]);
    site.remove("example.com/alice/Work");
    let outcome = site.deliver(&by_id("one@mx"));
    assert!(
        dispositions(&outcome)[0]
            .1
            .starts_with("example.com/alice/Work/Old/cur/"),
        "{outcome:?}"
    );
    assert!(
        !site
            .live("example.com/alice/Work/Old/maildirfolder")
            .exists()
    );
}

#[test]
fn two_runs_at_once_add_each_message_once() {
    let site = Site::new(60, 1);
    site.back_up(&[]);
    let wanted = contents(&site.live("example.com/alice")).len();
    site.remove("example.com/alice");
    let selection = site.choose(&by_mailbox("alice@example.com"));
    let barrier = Barrier::new(2);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let run = || {
            barrier.wait();
            deliver(&selection, &site.mail()).unwrap()
        };
        let runs = [scope.spawn(run), scope.spawn(run)];
        runs.map(|run| run.join().unwrap()).into()
    });
    let mut added: BTreeMap<String, usize> = BTreeMap::new();
    for restored in outcomes
        .iter()
        .flat_map(|outcome| &outcome.restored)
        .filter(|r| r.disposition == Disposition::Added)
    {
        *added.entry(restored.path.to_string()).or_default() += 1;
    }
    assert_eq!(added.len(), selection.candidates.len());
    assert!(added.values().all(|count| *count == 1), "{added:?}");
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.failures.is_empty() && outcome.left == 0),
        "{outcomes:?}"
    );
    assert!(wanted >= added.len());
}

#[test]
fn all_mailboxes_can_be_added_at_once() {
    let site = Site::new(60, 4);
    site.back_up(&[]);
    let digests = |site: &Site| -> Vec<String> {
        let all = snapshot(&site.mail());
        let is_message = |path: &Path| {
            ["cur", "new"]
                .iter()
                .any(|place| path.parent().unwrap().ends_with(place))
        };
        let mut found: Vec<String> = all
            .entries()
            .iter()
            .filter(|(path, _)| is_message(path))
            .filter_map(|(_, e)| e.sha256.clone())
            .collect();
        found.sort();
        found
    };
    let before = digests(&site);
    site.remove("example.com");
    let outcome = site.deliver(&Query::default());
    assert!(
        outcome.failures.is_empty() && outcome.left == 0,
        "{:?}",
        outcome.failures
    );
    assert_eq!(digests(&site), before);
}

/// What was said of a message is what is on the disk.
#[test]
fn an_outcome_names_size_digest_and_owner() {
    let site = Site::with(&[("example.com/alice/cur/1.a:2,S", "one@mx")]);
    site.remove("example.com/alice/cur/1.a:2,S");
    let outcome = site.deliver(&by_id("one@mx"));
    let restored = &outcome.restored[0];
    let live = site.live(&restored.target.to_string());
    assert_eq!(restored.sha256.to_string(), digest(&live));
    assert_eq!(restored.size, fs::metadata(&live).unwrap().len());
    assert_eq!(
        (
            restored.mailbox.as_str(),
            restored.path.to_string().as_str()
        ),
        ("alice@example.com", "example.com/alice/cur/1.a:2,S")
    );
    let root = fs::metadata(site.mail()).unwrap();
    assert_eq!(
        (restored.owner.uid, restored.owner.gid),
        (root.uid(), root.gid())
    );
}
