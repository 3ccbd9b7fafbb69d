//! What every object gets: storage class, encryption by the store, tags. And what costs money.

use crate::support::{DAY_1, DAY_2, SampleRoot, head};
use mail_tests::proxy::{Fault, Proxy};
use mail_tests::s3::S3Server;
use serde_json::Value;

#[test]
fn objects_are_as_they_were_asked_for_also_when_copied() {
    let server = S3Server::moto();
    server.make_bucket("mail");
    let _ = server.aws_ok(&[
        "s3api",
        "put-bucket-versioning",
        "--bucket",
        "mail",
        "--versioning-configuration",
        "Status=Enabled",
    ]);
    let root = SampleRoot::new();
    let large = vec![7; 17 << 20];
    let files: [(&str, &[u8]); 2] = [
        ("mysql/large.sql.zst", &large),
        ("dkim/dkim.tar.zst", b"keys"),
    ];
    for date in [DAY_1, DAY_2] {
        root.make_daily(date, &files);
        let push = root.push_to_s3(&server, &server.endpoint(), date, "s3://mail");
        let push = push.args([
            "--storage-class",
            "STANDARD_IA",
            "--sse",
            "AES256",
            "--tag",
            "kind=mail + more",
        ]);
        let outcome = push.args(["--tag", "set=a/b"]).run().assert_code(0);
        let copied = outcome
            .data("transfer")
            .iter()
            .filter(|transfer| transfer["action"] == "copied")
            .count();
        assert_eq!(copied, if date == DAY_1 { 0 } else { 3 });
        for path in [
            "mysql/large.sql.zst",
            "dkim/dkim.tar.zst",
            "checksums.sha256",
        ] {
            let key = format!("daily/{date}/{path}");
            let head = head(&server, &key);
            assert_eq!(
                (&head["StorageClass"], &head["ServerSideEncryption"]),
                (&"STANDARD_IA".into(), &"AES256".into())
            );
            let ask = ["s3api", "get-object-tagging", "--bucket", "mail"];
            let tags = server.aws_ok(&[&ask[..], &["--key", &key]].concat());
            assert!(
                tags.contains("mail + more") && tags.contains("a/b"),
                "{tags}"
            );
        }
    }
    // A version that was replaced, and parts of an upload that never ended, cost as much as the
    // rest.
    let usage = || {
        let tool = root
            .s3_tool(&server, &server.endpoint())
            .env("S3_PRICES", "STANDARD_IA=1024");
        tool.args(["usage", "--from", "s3://mail"])
            .run()
            .assert_code(0)
            .data("usage")
            .remove(0)
    };
    let before = usage();
    assert_eq!(before["objects"], 10);
    let expected = before["bytes"].as_u64().unwrap() as f64 / f64::from(1 << 20);
    assert!((before["monthly_usd"].as_f64().unwrap() - expected).abs() < 0.001);
    let file = root
        .set(&format!("daily/{DAY_1}"))
        .join("mysql/large.sql.zst");
    let file = file.to_str().unwrap();
    let _ = server.aws_ok(&[
        "s3",
        "cp",
        "--quiet",
        file,
        &format!("s3://mail/daily/{DAY_1}/dkim/dkim.tar.zst"),
    ]);
    let begun = server.aws_ok(&[
        "s3api",
        "create-multipart-upload",
        "--bucket",
        "mail",
        "--key",
        "x",
        "--output",
        "json",
    ]);
    let id = serde_json::from_str::<Value>(&begun).unwrap()["UploadId"]
        .as_str()
        .unwrap()
        .to_owned();
    let part = [
        "s3api",
        "upload-part",
        "--bucket",
        "mail",
        "--key",
        "x",
        "--part-number",
        "1",
        "--upload-id",
        &id,
    ];
    let _ = server.aws_ok(&[&part[..], &["--body", file]].concat());
    let after = usage();
    assert_eq!(after["objects"], 12);
    assert_eq!(
        after["bytes"].as_u64().unwrap() - before["bytes"].as_u64().unwrap(),
        2 * (17 << 20)
    );
}

#[test]
fn parts_that_a_run_has_left_are_dropped_by_the_next_day_also_when_nothing_is_new() {
    let server = S3Server::moto();
    server.make_bucket("mail");
    let root = SampleRoot::new();
    root.make_daily(DAY_1, &[("dkim/dkim.tar.zst", b"keys")]);
    let proxy = Proxy::start(server.port(), |_| Fault::None);
    let push = |clock: &str| {
        proxy.set_rule(|_| Fault::None);
        let push = root
            .push_to_s3(&server, &proxy.endpoint(), DAY_1, "s3://mail")
            .arg("-v")
            .clock(clock);
        let _ = push.run().assert_code(0);
        proxy.seen().len()
    };
    let _ = push("+0");
    let key = format!("daily/{DAY_1}/mysql/killed.sql.zst");
    let _ = server.aws_ok(&[
        "s3api",
        "create-multipart-upload",
        "--bucket",
        "mail",
        "--key",
        &key,
    ]);
    let left = || {
        server.aws_ok(&[
            "s3api",
            "list-multipart-uploads",
            "--bucket",
            "mail",
            "--output",
            "json",
        ])
    };
    assert_eq!(
        push("+20h"),
        2,
        "within the day a push of what is there is one listing and one object"
    );
    assert!(left().contains("killed"));
    assert!(push("+50h") > 2);
    assert!(!left().contains("killed"), "{}", left());
}

#[test]
fn a_key_of_kms_is_named_to_the_store() {
    let server = S3Server::moto();
    server.make_bucket("mail");
    let root = SampleRoot::new();
    let large = vec![7; 17 << 20];
    root.make_daily(
        DAY_1,
        &[
            ("mysql/large.sql.zst", &large),
            ("dkim/dkim.tar.zst", b"keys"),
        ],
    );
    const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000001";
    let push = root.push_to_s3(&server, &server.endpoint(), DAY_1, "s3://mail");
    let _ = push
        .args(["--sse", "aws:kms", "--sse-kms-key-id", KEY])
        .run()
        .assert_code(0);
    for path in [
        "mysql/large.sql.zst",
        "dkim/dkim.tar.zst",
        "checksums.sha256",
    ] {
        let key = format!("daily/{DAY_1}/{path}");
        let head = head(&server, &key);
        assert_eq!(
            (&head["ServerSideEncryption"], &head["SSEKMSKeyId"]),
            (&"aws:kms".into(), &KEY.into()),
            "{path}"
        );
    }
}
