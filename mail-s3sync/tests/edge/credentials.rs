//! Where keys come from, how they are renewed, and what is said when there are none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{DAY_1, SampleRoot};
use mail_tests::proxy::{Fault, Proxy};
use mail_tests::run::Tool;
use mail_tests::s3::{ADMIN, READER, ROLE, S3Server};
use rustix::process::Signal;

/// What a metadata service answers; good for so long.
const ANSWER: &str = r#"{"AccessKeyId":"AKIATESTADMIN","SecretAccessKey":"test-admin-secret","Expiration":"2099-01-01T00:00:00Z"}"#;

/// A server with a bucket, and a root with a set of one file.
struct Scene {
    root: SampleRoot,
    server: Arc<S3Server>,
    bucket: String,
}

impl Scene {
    /// With a server that checks signatures.
    fn strict(bucket: &str) -> Self {
        Self::with(S3Server::shared(), bucket)
    }

    /// With one that does not, and is there sooner.
    fn lax(bucket: &str) -> Self {
        Self::with(Arc::new(S3Server::moto()), bucket)
    }

    fn with(server: Arc<S3Server>, bucket: &str) -> Self {
        let root = SampleRoot::new();
        server.make_bucket(bucket);
        root.make_daily(DAY_1, &[("dkim/dkim.tar.zst", b"keys")]);
        Self {
            root,
            server,
            bucket: format!("s3://{bucket}"),
        }
    }

    /// A push that knows of no keys.
    fn push(&self) -> Tool {
        let tool = self
            .root
            .tool()
            .env("AWS_ENDPOINT_URL", self.server.endpoint());
        tool.args(["push", "--date", DAY_1, "--to", &self.bucket])
    }

    /// With this file, and no service that could have keys.
    fn push_with(&self, name: &str, file: &PathBuf) -> Tool {
        self.push()
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env(name, file)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.path().join(name);
        mail_common::atomic::write_file(&path, text.as_bytes()).unwrap();
        path
    }
}

/// A profile with the keys of the account that may do everything.
fn keys() -> String {
    format!(
        "aws_access_key_id={}\naws_secret_access_key={}\n",
        ADMIN.0, ADMIN.1
    )
}

#[test]
fn profiles_have_keys_roles_and_programs() {
    let scene = Scene::strict("profiles");
    let json = format!(
        r#"{{"Version":1,"AccessKeyId":"{}","SecretAccessKey":"{}"}}"#,
        ADMIN.0, ADMIN.1
    );
    let config = scene.write(
        "config",
        &format!(
            "[profile role]\nrole_arn = {ROLE}\nsource_profile = keys\n\
             [profile printed]\ncredential_process = echo '{json}'\n\
             [profile failing]\ncredential_process = exit 3\n"
        ),
    );
    let wrong = "[wrong]\naws_access_key_id=AKIATESTADMIN\naws_secret_access_key=nonsense\n";
    let credentials = scene.write("credentials", &format!("[keys]\n{}{wrong}", keys()));
    let push = |profile: &str| {
        let push = scene
            .push_with("AWS_CONFIG_FILE", &config)
            .env("AWS_SHARED_CREDENTIALS_FILE", &credentials);
        push.args(["--profile", profile]).run()
    };
    for profile in ["keys", "printed", "role"] {
        let _ = push(profile).assert_code(0);
    }
    let check = |profile: &str, part: &str| {
        let outcome = push(profile)
            .assert_code(2)
            .assert_failure("configuration")
            .assert_stderr(part);
        let all = format!("{}{}", outcome.text(), outcome.stderr);
        assert!(
            !all.contains("nonsense") && !all.contains(ADMIN.1),
            "a secret is shown:\n{all}"
        );
    };
    check("wrong", "refuses the credentials");
    check("nobody", "no profile");
    check("failing", "credential_process");
}

#[test]
fn services_beside_the_machine_have_keys() {
    let scene = Scene::lax("services");
    let metadata = Proxy::start(scene.server.port(), |request| {
        match request.target.as_str() {
            "/latest/api/token" if request.method == "PUT" => Fault::Body("token"),
            "/latest/meta-data/iam/security-credentials/" => Fault::Body("backup-role"),
            "/latest/meta-data/iam/security-credentials/backup-role" | "/container" => {
                Fault::Body(ANSWER)
            }
            _ => Fault::Answer(404, "NotFound"),
        }
    });
    let push = |name: &str, value: &str| scene.push().env(name, value).run();
    let _ = push("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint()).assert_code(0);
    assert_eq!(metadata.seen().len(), 3);
    let url = format!("{}/container", metadata.endpoint());
    let _ = push("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url).assert_code(0);
    metadata.set_rule(|_| Fault::Body("<html>"));
    let _ = push("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)
        .assert_code(2)
        .assert_failure("configuration")
        .assert_stderr("not JSON");
    metadata.set_rule(|_| Fault::StallRequest);
    let _ = push("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)
        .assert_code(2)
        .assert_failure("configuration")
        .assert_stderr("no answer");

    let token = scene.write("token", "a.web.token\n");
    let web = scene.push().env("AWS_WEB_IDENTITY_TOKEN_FILE", &token);
    let _ = web.env("AWS_ROLE_ARN", ROLE).run().assert_code(0);
}

#[test]
fn a_token_that_others_renew_is_read_each_time() {
    let scene = Scene::lax("renewed");
    let token = scene.write("token", "first\n");
    let file = token.clone();
    // Keys that are about to expire are asked for before each request.
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(2)).to_string();
    let answer: &'static str = Box::leak(
        ANSWER
            .replace("2099-01-01T00:00:00Z", &soon)
            .into_boxed_str(),
    );
    let service = Proxy::start(scene.server.port(), move |request| {
        if request.number == 0 {
            mail_common::atomic::write_file(&file, b"second\n").unwrap();
        }
        Fault::Body(answer)
    });
    let push = scene.push_with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token);
    let _ = push
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.endpoint())
        .run()
        .assert_code(0);
    let shown = |request: &mail_tests::proxy::Request, token: &str| {
        request.head.contains(&format!("authorization: {token}\r"))
    };
    let seen = service.seen();
    assert!(seen.len() > 1 && shown(&seen[0], "first"), "{seen:?}");
    assert!(
        seen[1..].iter().all(|request| shown(request, "second")),
        "{seen:?}"
    );
}

#[test]
fn a_service_for_roles_that_is_busy_is_asked_again() {
    let scene = Scene::lax("busy-sts");
    let config = scene.write(
        "config",
        &format!(
            "[profile role]\nrole_arn={ROLE}\nsource_profile=keys\n[profile keys]\n{}",
            keys()
        ),
    );
    let sts = Proxy::start(scene.server.port(), |request| match request.number {
        0 => Fault::Answer(503, "Throttling"),
        1 => Fault::LoseAnswer,
        _ => Fault::None,
    });
    let push = || {
        scene
            .push_with("AWS_CONFIG_FILE", &config)
            .env("AWS_ENDPOINT_URL_STS", sts.endpoint())
            .args(["--profile", "role"])
    };
    let _ = push().run().assert_code(0);
    assert_eq!(sts.seen().len(), 3);
    sts.set_rule(|_| Fault::Answer(403, "AccessDenied"));
    let _ = push()
        .run()
        .assert_code(2)
        .assert_failure("configuration")
        .assert_stderr("403 AccessDenied: as the test wants it");
    assert_eq!(sts.seen().len(), 1, "a refusal stays one");
}

#[test]
fn a_program_that_does_not_end_is_not_waited_for_after_a_signal() {
    let scene = Scene::lax("slow-program");
    let config = scene.write("config", "[default]\ncredential_process = sleep 20\n");
    let mut running = scene.push_with("AWS_CONFIG_FILE", &config).spawn();
    std::thread::sleep(Duration::from_millis(700));
    assert!(running.is_running());
    running.signal(Signal::TERM);
    let asked = Instant::now();
    let _ = running.wait().assert_code(3).assert_failure("interrupted");
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "it waited for the program"
    );
}

#[test]
fn what_keys_may_not_do_is_reported() {
    let scene = Scene::strict("refused");
    let with = |key: (&str, &str), url: &str| {
        let tool = scene.root.s3_tool(&scene.server, &scene.server.endpoint());
        tool.env("AWS_ACCESS_KEY_ID", key.0)
            .env("AWS_SECRET_ACCESS_KEY", key.1)
            .args(["push", "--date", DAY_1, "--to", url])
            .run()
    };
    let _ = with(ADMIN, "s3://nowhere")
        .assert_code(2)
        .assert_failure("configuration");
    // May read, and finds the set there; may not write another.
    let _ = with(ADMIN, &scene.bucket).assert_code(0);
    let _ = with(READER, &scene.bucket).assert_code(0);
    let _ = with(READER, &format!("{}/elsewhere", scene.bucket))
        .assert_code(3)
        .assert_failure("denied");
    let none = scene.root.tool().args(["list", "--from", &scene.bucket]);
    let _ = none
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .run()
        .assert_code(2)
        .assert_failure("configuration");
    // Nobody is there to be asked: the usual case of who has set nothing.
    let none = scene.root.tool().args(["list", "--from", &scene.bucket]);
    let none = none
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        .run()
        .assert_code(2);
    let _ = none.assert_stderr("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
}
