//! Stores behind TLS with a certificate of the administrator's own.

use std::fs;
use std::path::PathBuf;

use crate::support::{DAY_1, SampleRoot, tree};
use mail_tests::certificate::{Authority, Certificate};
use mail_tests::run::Tool;
use mail_tests::s3::S3Server;

/// A root with a set, an authority, and a server with a certificate that it has signed.
struct Scene {
    root: SampleRoot,
    authority: Authority,
    server: S3Server,
}

impl Scene {
    fn new(certificate: &Certificate) -> Self {
        let root = SampleRoot::new();
        root.make_daily(DAY_1, &[("dkim/dkim.tar.zst", b"keys")]);
        let authority = Authority::new(&root.path().join("authority"));
        let [file, key] = ["server.pem", "server.key"].map(|name| root.path().join(name));
        authority.issue(certificate, &file, &key);
        Self {
            server: S3Server::moto_over_tls(&file, &key),
            root,
            authority,
        }
    }

    fn tool(&self, command: &str) -> Tool {
        self.root
            .s3_tool(&self.server, &self.server.endpoint())
            .arg(command)
    }

    fn push(&self) -> Tool {
        self.tool("push")
            .args(["--date", DAY_1, "--to", "s3://mail"])
    }

    #[track_caller]
    fn assert_refused(&self, push: Tool, parts: &[&str]) {
        let outcome = push.run().assert_code(2);
        for part in parts {
            assert!(
                outcome.stderr.contains(part),
                "no {part:?} in {}",
                outcome.stderr
            );
        }
        assert!(
            !outcome.stderr.contains("routines"),
            "the words of OpenSSL are for nobody: {}",
            outcome.stderr
        );
    }

    fn config(&self, text: &str) -> PathBuf {
        let path = self.root.path().join("config");
        mail_common::atomic::write_file(&path, text.as_bytes()).unwrap();
        path
    }
}

#[test]
fn an_authority_of_ones_own_is_named_as_the_aws_command_line_has_it() {
    let scene = Scene::new(&Certificate::default());
    let own = scene.authority.file();
    let bucket = scene
        .server
        .aws()
        .env("AWS_CA_BUNDLE", &own)
        .args(["s3", "mb", "s3://mail"])
        .output()
        .unwrap();
    assert!(bucket.status.success(), "{bucket:?}");

    scene.assert_refused(
        scene.push(),
        &[
            "127.0.0.1 cannot be trusted",
            "AWS_CA_BUNDLE or SSL_CERT_FILE",
        ],
    );
    let _ = scene.push().env("AWS_CA_BUNDLE", &own).run().assert_code(0);
    let to = scene.root.path().join("pulled");
    let _ = scene
        .tool("pull")
        .env("SSL_CERT_FILE", &own)
        .args(["--from", "s3://mail", "--to"])
        .arg(&to)
        .run()
        .assert_code(0);
    assert_eq!(tree(&to), tree(&scene.root.set(&format!("daily/{DAY_1}"))));
    let config = scene.config(&format!("[default]\nca_bundle = {}\n", own.display()));
    let _ = scene
        .tool("list")
        .env("AWS_CONFIG_FILE", &config)
        .args(["--from", "s3://mail"])
        .run()
        .assert_code(0);

    // A bundle is trusted alone: not beside what else is trusted, and the variable before the
    // profile.
    let other = Authority::new(&scene.root.path().join("other")).file();
    scene.assert_refused(
        scene
            .push()
            .env("AWS_CA_BUNDLE", &other)
            .env("SSL_CERT_FILE", &own),
        &["AWS_CA_BUNDLE"],
    );
    scene.assert_refused(
        scene
            .push()
            .env("AWS_CA_BUNDLE", &other)
            .env("AWS_CONFIG_FILE", &config),
        &["AWS_CA_BUNDLE"],
    );
    let damaged = scene.root.path().join("damaged.pem");
    let text = fs::read_to_string(&own).unwrap().replace("MII", "");
    mail_common::atomic::write_file(&damaged, text.as_bytes()).unwrap();
    scene.assert_refused(
        scene.push().env("AWS_CA_BUNDLE", &damaged),
        &["AWS_CA_BUNDLE", "is damaged"],
    );
    // Several in one file.
    let both = scene.root.path().join("both.pem");
    let text = [other.clone(), own]
        .map(|file| fs::read_to_string(file).unwrap())
        .concat();
    mail_common::atomic::write_file(&both, text.as_bytes()).unwrap();
    let _ = scene
        .push()
        .env("AWS_CA_BUNDLE", &both)
        .run()
        .assert_code(0);
    // The service that gives keys for a role is asked under the same authority.
    let token = scene.config("a.web.token\n");
    let role = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"]
        .into_iter()
        .zip([token, "arn:aws:iam::1:role/backup".into()]);
    let by_role = |bundle: &PathBuf| {
        let list = role.clone().fold(scene.root.tool(), |tool, (name, value)| {
            tool.env(name, value)
        });
        list.env("AWS_ENDPOINT_URL", scene.server.endpoint())
            .env("AWS_CA_BUNDLE", bundle)
            .args(["list", "--from", "s3://mail"])
    };
    let _ = by_role(&both).run().assert_code(0);
    scene.assert_refused(
        by_role(&other),
        &["assume role", "cannot be trusted", "AWS_CA_BUNDLE"],
    );
    let nothing = scene.root.path().join("nothing.pem");
    scene.assert_refused(by_role(&nothing), &["nothing.pem", "AWS_CA_BUNDLE"]);
}

#[test]
fn a_certificate_that_proves_nothing_is_refused_with_the_reason() {
    let check = |certificate: &Certificate, parts: &[&str]| {
        let scene = Scene::new(certificate);
        scene.assert_refused(
            scene.push().env("AWS_CA_BUNDLE", scene.authority.file()),
            parts,
        );
    };
    check(
        &Certificate::default().valid(-20, -1),
        &["certificate has expired", "clock"],
    );
    check(
        &Certificate::for_names(&["DNS:other.test"]),
        &["mismatch", "use the name"],
    );
    check(&Certificate::default().self_signed(), &["AWS_CA_BUNDLE"]);
    // A store without TLS where some is wanted.
    let scene = Scene::new(&Certificate::default());
    let plain = S3Server::moto();
    let outcome = scene
        .root
        .s3_tool(&plain, &plain.endpoint().replace("http:", "https:"));
    let outcome = outcome
        .args(["list", "--from", "s3://mail", "--attempts", "2"])
        .run()
        .assert_code(3);
    assert_eq!(
        outcome.stderr.matches("wrong version number").count(),
        1,
        "{}",
        outcome.stderr
    );
    let _ = outcome
        .assert_failure("store")
        .assert_stderr("does that port speak https?");
}
