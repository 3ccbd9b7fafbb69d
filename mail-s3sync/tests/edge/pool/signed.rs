//! The signature of a set in a bucket.

use super::scene::{Scene, URL};
use crate::support::{DAY_1, locked_until, tree};
use mail_tests::run::shell;
use mail_tests::s3::S3Server;

/// In both layouts, and longer where the set is.
#[test]
fn a_signature_is_locked_kept_and_brought_back_with_its_set() {
    let server = S3Server::seaweedfs();
    server.make_locked_bucket("mail");
    let scene = Scene::with_bucket(server);
    let keys = format!(
        "ssh-keygen -q -t ed25519 -N '' -C '' -f key
        echo \"mx.example.com $(cat key.pub)\" >allowed
        ssh-keygen -q -Y sign -n mail-backup -f key backup/daily/{DAY_1}/checksums.sha256 2>&1"
    );
    let _ = shell(scene.root.path(), &keys);
    let signers = scene.root.path().join("allowed");
    let own = format!("daily/{DAY_1}/checksums.sha256.sig");
    for layout in ["pool", "plain"] {
        let push = |days: &str| {
            let push = scene.push(DAY_1).env("S3_LAYOUT", layout);
            let push = push.env("S3_LOCK_MODE", "governance");
            let pushed = push.env("S3_KEEP_DAILY", days).run().assert_code(0);
            let until = &pushed.data("transfer")[0]["locked_until"];
            until.as_str().unwrap().to_owned()
        };
        for days in ["8", "60"] {
            let until = push(days);
            assert_eq!(
                locked_until(&scene.server, &format!("host 1/{own}")),
                until,
                "{layout} {days}"
            );
        }
        let asking = |command| scene.read(command).env("ALLOWED_SIGNERS", &signers);
        let _ = asking("verify").run().assert_code(0);
        let pulled = scene.root.path().join(layout);
        let _ = asking("pull").arg("--to").arg(&pulled).run().assert_code(0);
        assert_eq!(tree(&pulled), scene.set(DAY_1), "{layout}");
        if layout == "pool" {
            let line = "SIGNERS=/path/to/the/list";
            let (set, said) = scene.fill_in_and_follow(DAY_1, line, Some(&signers));
            assert_eq!(set, scene.set(DAY_1));
            let good = "Good \"mail-backup\" signature for mx.example.com with";
            assert_eq!(said.matches(good).count(), 2, "{said}");
        }
        scene.overwrite(&own, b"something else");
        let _ = asking("verify")
            .run()
            .assert_code(3)
            .assert_failure("refused");
        let _ = push("60");
        let _ = asking("verify").run().assert_code(0);
        // The other layout begins with nothing.
        let target = format!("{URL}/daily");
        let bypass = ["s3", "rm", "--quiet", "--recursive", &target];
        let _ = scene.server.aws_ok(&bypass);
    }
}
