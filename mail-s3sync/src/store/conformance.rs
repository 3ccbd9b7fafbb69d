//! What each store must do: one suite, run over the directory and over real servers.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mail_common::atomic::StoredFile;
use mail_common::checksum::Sha256;
use mail_common::interrupt::Interrupt;
use mail_common::secret::Secret;
use mail_tests::s3::{ADMIN, S3Server};

use super::s3::{S3Config, Sizes, Writing};
use super::simulated::SimulatedStore;
use super::{
    Attributes, Body, Cause, FileStore, Listed, LocalError, Lock, LockMode, Marks, ObjectStore,
    Removal, S3Store, TreeRemoval,
};
use crate::aws::{AddressingStyle, Credentials, Proxies, Trust};
use crate::credentials::{Keys, Source, StsEndpoint};

/// The least that S3 allows for a part.
const SIZES: Sizes = Sizes {
    whole_bytes: 1 << 20,
    part_bytes: 5 << 20,
    whole_copy_bytes: 6 << 20,
    copy_part_bytes: 5 << 20,
};

fn bucket(server: &S3Server, name: &str) -> S3Store {
    let keys = Credentials {
        access_key: ADMIN.0.to_owned(),
        secret: Secret::new(ADMIN.1),
        token: None,
        expires: None,
    };
    let timeout = Duration::from_secs(20);
    let sts = StsEndpoint {
        region: "us-east-1".to_owned(),
        endpoint: server.endpoint(),
        timeout,
        trust: Trust::System,
        proxies: Proxies::default(),
    };
    let config = S3Config {
        bucket: name.to_owned(),
        prefix: "pre fix/".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: server.endpoint(),
        endpoint_is_given: true,
        addressing: AddressingStyle::Auto,
        trust: Trust::System,
        proxies: Proxies::default(),
        timeout,
        attempts: 5,
        jobs: 2,
        writing: Writing::default(),
        sizes: SIZES,
    };
    S3Store::open(
        config,
        Keys::new(Source::Static(keys), sts),
        None,
        Interrupt::default(),
    )
    .unwrap()
}

#[test]
fn a_directory_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(directory.path(), None, Interrupt::default()).unwrap();
    conforms(&store, &[NEWLINE, BACKSLASH], IfMatch::Honoured);
    // What a killed run leaves is a file with a temporary name.
    let left = directory.path().join("b/.tmp-1-put-0");
    StoredFile::create(&left).unwrap().finish().unwrap();
    assert_eq!(keys(&store, "b/"), ["b/one", "b/two"]);
    assert_eq!(store.abort_stale("b/", in_hours(-1)).unwrap(), 0);
    assert_eq!(store.abort_stale("b/", in_hours(1)).unwrap(), 1);
    assert!(!left.exists() && directory.path().join("b/one").exists());
    // A set vanishes at once, and what a killed run leaves of one is cleared, too.
    assert_eq!(store.remove_tree("b/").unwrap(), TreeRemoval::Removed);
    assert!(!directory.path().join("b").exists());
    let left = directory.path().join("gone/.tmp-1-put-0");
    let file = left.join("mysql/a.sql.zst");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    StoredFile::create(&file).unwrap().finish().unwrap();
    assert_eq!(keys(&store, "gone/"), [""; 0]);
    assert_eq!(store.abort_stale("gone/", in_hours(1)).unwrap(), 1);
    assert!(!left.exists());
}

#[test]
fn a_store_in_memory_conforms() {
    let store = SimulatedStore::new(Timestamp::now());
    conforms(&store, &[NEWLINE, BACKSLASH], IfMatch::Honoured);
    locks(&store);
}

#[test]
fn seaweedfs_conforms() {
    let server = S3Server::seaweedfs();
    server.make_locked_bucket("conformance");
    let store = bucket(&server, "conformance");
    // It takes a backslash for a slash.
    conforms(&store, &[NEWLINE], IfMatch::Honoured);
    locks(&store);
    only_uploads_that_nobody_goes_on_with_are_dropped(&store, &server);
}

#[test]
fn moto_conforms() {
    let server = S3Server::moto();
    server.make_locked_bucket("conformance");
    let store = bucket(&server, "conformance");
    // Its web server knows no path with a newline, and it copies whatever is there by now.
    conforms(&store, &[BACKSLASH], IfMatch::Ignored);
    locks(&store);
    only_uploads_that_nobody_goes_on_with_are_dropped(&store, &server);
}

const NEWLINE: &str = "n/new\nline";
const BACKSLASH: &str = "n/back\\slash";

/// Whether the store compares the ETag that a copy should be of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfMatch {
    Honoured,
    Ignored,
}

fn conforms(store: &dyn ObjectStore, odd_names: &[&str], if_match: IfMatch) {
    what_is_put_comes_back(store);
    names_survive(store, odd_names);
    damaged_content_is_not_stored(store);
    listings_are_by_prefix(store);
    copies_are_of_what_was_listed(store, if_match);
    a_copy_onto_itself_is_written_again(store);
    everything_is_billed(store);
    what_is_removed_is_what_was_listed(store);
}

fn put(store: &dyn ObjectStore, key: &str, content: &[u8]) {
    let marks = Marks {
        sha256: Some(Sha256::of(content)),
        ..Marks::default()
    };
    store
        .put(
            key,
            Body::of_bytes(key, content),
            &Attributes { marks, lock: None },
        )
        .unwrap();
}

fn get(store: &dyn ObjectStore, key: &str, from: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    store
        .get(key, from)
        .unwrap()?
        .reader
        .read_to_end(&mut content)
        .unwrap();
    Some(content)
}

fn list(store: &dyn ObjectStore, prefix: &str) -> Vec<Listed> {
    let mut listed = Vec::new();
    store
        .list(prefix, &mut |object| listed.push(object))
        .unwrap();
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    listed
}

fn keys(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    list(store, prefix)
        .into_iter()
        .map(|object| object.key)
        .collect()
}

fn in_hours(hours: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(hours)
}

/// Content that no two pieces of are alike.
fn content(bytes: u32) -> Vec<u8> {
    (0..bytes / 4)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

fn what_is_put_comes_back(store: &dyn ObjectStore) {
    // At once, at once just so, in parts, and in parts that are all full.
    for bytes in [0, 4, 1 << 20, (1 << 20) + 4, 10 << 20, 12 << 20] {
        let content = content(bytes);
        put(store, "a/object", &content);
        assert!(
            get(store, "a/object", 0) == Some(content.clone()),
            "{bytes}"
        );
        let found = store.look("a/object").unwrap().unwrap();
        assert_eq!(
            (found.bytes, found.marks.sha256),
            (u64::from(bytes), Some(Sha256::of(&content)))
        );
        assert_eq!(list(store, "a/")[0].bytes, u64::from(bytes));
        for from in [
            1,
            u64::from(bytes) / 2,
            u64::from(bytes),
            u64::from(bytes) + 5,
        ] {
            let rest = content
                .get(usize::try_from(from).unwrap()..)
                .unwrap_or_default();
            assert!(
                get(store, "a/object", from).as_deref() == Some(rest),
                "{bytes} from {from}"
            );
        }
    }
    assert!(store.look("a/nothing").unwrap().is_none());
    assert!(
        store.get("a/nothing", 0).unwrap().is_none()
            && store.get("a/nothing", 7).unwrap().is_none()
    );
}

fn names_survive(store: &dyn ObjectStore, odd_names: &[&str]) {
    let names = [
        "n/a b",
        "n/a+b",
        "n/a%20b",
        "n/a%2Fb",
        "n/日本語",
        "n/quote\"'",
        "n/tilde~()*!",
        "n/and&=?#;:@$,<>",
    ];
    let names = [&names, odd_names].concat();
    for name in &names {
        put(store, name, name.as_bytes());
    }
    for name in &names {
        assert_eq!(
            get(store, name, 0).as_deref(),
            Some(name.as_bytes()),
            "{name:?}"
        );
    }
    let mut expected = names;
    expected.sort_unstable();
    assert_eq!(keys(store, "n/"), expected);
    for source in list(store, "n/") {
        let copy = source.key.replacen("n/", "m/", 1);
        assert!(
            store
                .copy(&source, &copy, &Attributes::default())
                .unwrap()
                .is_some(),
            "{copy:?}"
        );
        assert_eq!(
            get(store, &copy, 0).as_deref(),
            Some(source.key.as_bytes()),
            "{copy:?}"
        );
    }
}

fn damaged_content_is_not_stored(store: &dyn ObjectStore) {
    for bytes in [4, 12 << 20] {
        let content = content(bytes);
        let mut other = content.clone();
        *other.last_mut().unwrap() ^= 1;
        let body = Body::new(
            Path::new("x"),
            Box::new(std::io::Cursor::new(other)),
            Sha256::of(&content),
            u64::from(bytes),
        );
        let error = store
            .put("d/damaged", body, &Attributes::default())
            .unwrap_err();
        assert!(
            matches!(*error.cause, Cause::Local(LocalError::Digest { .. })),
            "{error:?}"
        );
        assert!(store.look("d/damaged").unwrap().is_none());
        assert_eq!(list(store, "d/"), []);
    }
}

fn listings_are_by_prefix(store: &dyn ObjectStore) {
    for key in ["daily/1/a", "daily/1/b/c", "daily/2/a", "dailyx/1"] {
        put(store, key, b"x");
    }
    assert_eq!(
        keys(store, "daily/"),
        ["daily/1/a", "daily/1/b/c", "daily/2/a"]
    );
    assert_eq!(keys(store, "daily/1/"), ["daily/1/a", "daily/1/b/c"]);
    assert_eq!(keys(store, "daily/3/"), [""; 0]);
    let mut directories = store.directories("daily/").unwrap();
    directories.sort();
    assert_eq!(directories, ["1", "2"]);
    assert_eq!(store.directories("weekly/").unwrap(), [""; 0]);
}

fn copies_are_of_what_was_listed(store: &dyn ObjectStore, if_match: IfMatch) {
    // In parts above 6 MiB.
    for bytes in [4, 12 << 20] {
        let original = content(bytes);
        put(store, "c/source", &original);
        let source = list(store, "c/source").remove(0);
        let marks = Marks {
            sha256: Some(Sha256::of(&original)),
            ..Marks::default()
        };
        let attributes = Attributes { marks, lock: None };
        let copied = store.copy(&source, "c/copy", &attributes).unwrap().unwrap();
        assert!(get(store, "c/copy", 0) == Some(original.clone()));
        let found = store.look("c/copy").unwrap().unwrap();
        assert_eq!(found.marks.sha256, attributes.marks.sha256);
        let listed = list(store, "c/copy").remove(0);
        assert_eq!(
            (listed.bytes, &listed.etag),
            (u64::from(bytes), &copied.etag)
        );
        // Another object of the same size has the name by now.
        let mut other = original.clone();
        other[0] ^= 1;
        put(store, "c/source", &other);
        let is_whole = bytes == 4;
        if if_match == IfMatch::Honoured || is_whole {
            assert_eq!(store.copy(&source, "c/copy", &attributes).unwrap(), None);
        }
        if if_match == IfMatch::Honoured {
            assert!(get(store, "c/copy", 0) == Some(original));
        }
    }
    let gone = Listed {
        key: "c/gone".into(),
        bytes: 4,
        etag: Some("x".into()),
        modified: Timestamp::now(),
    };
    assert_eq!(
        store.copy(&gone, "c/copy", &Attributes::default()).unwrap(),
        None
    );
}

/// So that the rules of a bucket count its days from now on. A directory has no rules.
fn a_copy_onto_itself_is_written_again(store: &dyn ObjectStore) {
    if !store.keeps_marks() {
        return;
    }
    // In parts above 6 MiB.
    for bytes in [4, 12 << 20] {
        let original = content(bytes);
        put(store, "s/itself", &original);
        let source = list(store, "s/").remove(0);
        let _ = after_a_second();
        let marks = Marks {
            sha256: Some(Sha256::of(&original)),
            recipients: Some("age1x".to_owned()),
            ..Marks::default()
        };
        let attributes = Attributes { marks, lock: None };
        let copied = store.copy(&source, "s/itself", &attributes).unwrap();
        let listed = list(store, "s/").remove(0);
        assert_eq!(listed.etag, copied.unwrap().etag);
        let found = store.look("s/itself").unwrap().unwrap();
        assert_eq!(
            (found.bytes, found.marks),
            (u64::from(bytes), attributes.marks)
        );
        assert!(get(store, "s/itself", 0) == Some(original));
        // The clock of the store in memory stands still.
        assert!(listed.modified > source.modified || store.url("").contains("simulated"));
    }
}

fn what_is_removed_is_what_was_listed(store: &dyn ObjectStore) {
    let one = || list(store, "r/one").remove(0);
    for content in [b"first", b"other"] {
        put(store, "r/one", content);
    }
    put(store, "r/one-more", b"its name begins alike");
    let now = Timestamp::now();
    let old = Listed {
        etag: one().etag.map(|_| "another".to_owned()),
        modified: one().modified - SignedDuration::from_secs(1),
        ..one()
    };
    assert_eq!(store.remove(&old, now).unwrap(), Removal::Changed);
    let listed = one();
    assert_eq!(store.remove(&listed, now).unwrap(), Removal::Removed);
    assert_eq!(keys(store, "r/"), ["r/one-more"]);
    assert_eq!(get(store, "r/one", 0), None);
    assert_eq!(store.remove(&listed, now).unwrap(), Removal::Changed);
    let mut billed = 0;
    let _ = store.billed("r/", &mut |_| billed += 1).unwrap();
    assert_eq!(billed, 1, "the version before has gone, too");
}

fn everything_is_billed(store: &dyn ObjectStore) {
    put(store, "b/one", b"1234");
    put(store, "b/two", b"12345678");
    let (mut objects, mut bytes) = (0, 0);
    let count = &mut |billed: super::object::Billed| {
        objects += 1;
        bytes += billed.bytes;
    };
    store.billed("b/", count).unwrap();
    assert_eq!((objects, bytes), (2, 12));
}

fn only_uploads_that_nobody_goes_on_with_are_dropped(store: &dyn ObjectStore, server: &S3Server) {
    let at = ["--bucket", "conformance", "--key", "pre fix/daily/u/large"];
    let begun = server.aws_ok(
        &[
            &[
                "s3api",
                "create-multipart-upload",
                "--output",
                "text",
                "--query",
                "UploadId",
            ],
            &at[..],
        ]
        .concat(),
    );
    let begun_before = after_a_second();
    let part = tempfile::NamedTempFile::new().unwrap();
    let upload = [
        "--upload-id",
        begun.trim(),
        "--part-number",
        "1",
        "--body",
        part.path().to_str().unwrap(),
    ];
    let _ = server.aws_ok(&[&["s3api", "upload-part"], &at[..], &upload].concat());
    assert_eq!(
        store.abort_stale("daily/", begun_before).unwrap(),
        0,
        "a part came later"
    );
    assert_eq!(
        store.abort_stale("weekly/", in_hours(1)).unwrap(),
        0,
        "it lies elsewhere"
    );
    assert_eq!(store.abort_stale("daily/", in_hours(1)).unwrap(), 1);
    assert_eq!(
        store.abort_stale("daily/", in_hours(1)).unwrap(),
        0,
        "it is gone"
    );
}

/// A time that what was before is before, and what comes is after, though stores count in seconds.
fn after_a_second() -> Timestamp {
    std::thread::sleep(Duration::from_millis(1100));
    let time = Timestamp::now();
    std::thread::sleep(Duration::from_millis(1100));
    time
}

fn locks(store: &dyn ObjectStore) {
    assert_eq!(store.protection().unwrap().unwrap().object_lock, Some(true));
    let day =
        |days: i64| Timestamp::from_second(Timestamp::now().as_second() + days * 86_400).unwrap();
    for (key, bytes) in [("l/whole", 4), ("l/parts", 6 << 20)] {
        let lock = Lock {
            mode: LockMode::Compliance,
            until: day(2),
        };
        let attributes = Attributes {
            marks: Marks::default(),
            lock: Some(lock),
        };
        store
            .put(key, Body::of_bytes(key, content(bytes)), &attributes)
            .unwrap();
        let until = || store.look(key).unwrap().unwrap().locked_until();
        assert_eq!(until(), Some(lock.until));
        let longer = Lock {
            until: day(3),
            ..lock
        };
        store.extend_lock(key, longer).unwrap();
        store.extend_lock(key, lock).unwrap();
        assert_eq!(until(), Some(longer.until), "never shorter");
        let removal = store.remove(&list(store, key)[0], Timestamp::now());
        assert_eq!(removal.unwrap(), Removal::Locked(longer.until));
        assert_eq!(until(), Some(longer.until));
        let source = list(store, key).remove(0);
        let copy = format!("{key}-copy");
        store
            .copy(
                &source,
                &copy,
                &Attributes {
                    marks: Marks::default(),
                    lock: Some(longer),
                },
            )
            .unwrap()
            .unwrap();
        assert_eq!(
            store.look(&copy).unwrap().unwrap().locked_until(),
            Some(longer.until)
        );
    }
}
