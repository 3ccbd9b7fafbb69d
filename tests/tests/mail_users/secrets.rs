//! Where passwords are not.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use mail_tests::run::{Outcome, Running, Tool};
use mail_tests::user_api::{Fault, Lists, UserApi};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{result, users};

const PASSWORD: &str = "Xq7-hunter \"2\"";
/// Part of it in every spelling.
const MARK: &str = "Xq7-hunter";
const TOKEN: &str = "tok-Zz19";

/// What was seen in the lists of processes until the end of one.
#[derive(Default)]
struct Sighting {
    /// Arguments and environments that hold a secret.
    leaks: BTreeSet<String>,
    /// Whether curl was seen at work.
    saw_curl: bool,
}

/// Looks for `marks` at what all processes show.
fn watch(mut running: Running, marks: &[&str]) -> (Sighting, Outcome) {
    let mut sighting = Sighting::default();
    while running.is_running() {
        for process in fs::read_dir("/proc").unwrap().flatten() {
            for part in ["cmdline", "environ"] {
                // Not a process, or one that is gone.
                let Ok(bytes) = fs::read(process.path().join(part)) else {
                    continue;
                };
                let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
                sighting.saw_curl |= part == "cmdline" && text.starts_with("curl ");
                if marks.iter().any(|mark| text.contains(mark)) {
                    sighting.leaks.insert(format!("{part}: {text}"));
                }
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    (sighting, running.wait())
}

fn token_file(text: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let name = path.display().to_string();
    (dir, name)
}

/// A slow API leaves time to look.
fn slow() -> UserApi {
    let api = UserApi::start(Lists::Array);
    api.put_user(7, "alice@example.com");
    api.set_rule(|_| Some(Fault::Slow(Duration::from_millis(150))));
    api
}

#[test]
fn no_process_shows_a_password_or_the_token() {
    let (_dir, file) = token_file(&format!("{TOKEN}\n"));
    for command in ["add", "password"] {
        for operand in [Some("alice@example.com"), None] {
            let api = slow();
            let line = json!({"email": "bob@example.com", "password": PASSWORD}).to_string();
            let mut tool = users(&api, &[command])
                .args(operand)
                .env("USERMGMT_TOKEN_FILE", &file);
            tool = tool.stdin(if operand.is_some() {
                PASSWORD.to_owned()
            } else {
                line
            });
            // A caller's variables of these names are in the environment of children, if they are
            // not cleared.
            for name in [
                "token", "rows", "body", "reply", "answer", "typed", "fields", "trailer", "before",
                "lines", "row", "password", "result",
            ] {
                tool = tool.env(name, "caller");
            }
            let (sighting, outcome) = watch(
                tool.env("SHELLOPTS", "xtrace:allexport").spawn(),
                &[MARK, TOKEN],
            );
            assert!(sighting.saw_curl, "nothing was looked at");
            assert_eq!(sighting.leaks, BTreeSet::new());
            assert!(
                !outcome.text().contains(MARK) && !outcome.stderr.contains(MARK),
                "{}{}",
                outcome.text(),
                outcome.stderr
            );
            assert!(!outcome.stderr.contains(TOKEN), "{}", outcome.stderr);
        }
    }
}

#[test]
fn one_that_did_show_it_would_be_seen() {
    let api = slow();
    let tool = users(&api, &["delete", "in-arguments@example.com"]).env("SAMPLE", "in-environment");
    let (sighting, _) = watch(tool.spawn(), &["in-arguments", "in-environment"]);
    for part in ["cmdline", "environ"] {
        assert!(
            sighting.leaks.iter().any(|leak| leak.starts_with(part)),
            "{part}: {:?}",
            sighting.leaks
        );
    }
}

#[test]
fn an_answer_that_repeats_the_password_is_not_shown() {
    let check = |password: &str, words: &str, expected: &str| {
        let api = UserApi::start(Lists::Array);
        let body = json!({"error": words, "password": password, "user": {"password": password}})
            .to_string();
        api.set_rule(move |request| {
            (request.method == "POST").then(|| Fault::Answer(400, "", body.clone()))
        });
        let added = users(&api, &["add", "a@example.com"])
            .stdin(password)
            .run()
            .assert_code(1);
        assert_eq!(result(&added)["message"], expected, "{words}");
        assert_eq!(added.stderr, "");
    };
    let hidden = "HTTP 400; what the API says repeats the password and is not shown";
    check(
        PASSWORD,
        &format!("password {PASSWORD} is too weak"),
        hidden,
    );
    check(PASSWORD, "XQ7-HUNTER...", hidden);
    check(PASSWORD, "too weak", "HTTP 400: too weak");
    // One without a word to look for, as itself and as JSON, a URL and HTML write it.
    for words in [
        "it is x\"é'&",
        r#"{"password": "x\"é'&"}"#,
        "x%22%C3%A9'%26",
        "x&quot;é&#39;&amp;",
        "x&#34;é&#39;&amp;",
    ] {
        check("x\"é'&", words, hidden);
    }
    check("x\"é'&", "too short", "HTTP 400: too short");
}

#[test]
fn a_new_user_that_is_answered_with_its_password_is_shown_without() {
    let api = UserApi::start(Lists::Array);
    let added = users(&api, &["add", "a@example.com"])
        .stdin(PASSWORD)
        .run()
        .assert_code(0);
    assert!(!added.text().contains("hunter"), "{}", added.text());
    let list = users(&api, &["list"]).run().assert_code(0);
    assert_eq!(list.text(), "{\"email\":\"a@example.com\",\"id\":2}\n");
}

#[test]
fn the_token_goes_with_every_request_in_the_header_of_choice() {
    let check = |header: Option<&str>, name: &str, expected: &str| {
        let api = UserApi::start(Lists::Array);
        let (_dir, file) = token_file(&format!("{TOKEN}\n"));
        let mut tool =
            users(&api, &["add", "a@example.com", "--token-file", &file]).stdin(PASSWORD);
        if let Some(header) = header {
            tool = tool.env("USERMGMT_AUTH_HEADER", header);
        }
        let _ = tool.run().assert_code(0);
        let seen = api.seen();
        assert_eq!(seen.len(), 2);
        assert!(
            seen.iter().all(|request| request.header(name) == expected),
            "{seen:#?}"
        );
    };
    check(None, "authorization", "Bearer tok-Zz19");
    check(Some("authorization"), "authorization", "Bearer tok-Zz19");
    check(Some("X-API-Key"), "x-api-key", "tok-Zz19");
}

#[test]
fn a_token_that_cannot_be_one_is_refused() {
    for text in ["", "\n", "two words", "two\nlines", "\u{7f}", "umläut"] {
        let (_dir, file) = token_file(text);
        let tool = Tool::script("mail-users.sh").args(["list", "--token-file", &file]);
        let _ = tool.run().assert_code(2).assert_stderr("holds no token");
    }
    let tool = Tool::script("mail-users.sh").args(["list", "--token-file", "/nonexistent"]);
    let _ = tool
        .run()
        .assert_code(2)
        .assert_stderr("cannot be read: /nonexistent");
}

#[test]
fn a_token_that_others_can_read_is_warned_of() {
    let api = UserApi::start(Lists::Array);
    let (_dir, file) = token_file(TOKEN);
    let list = || {
        users(&api, &["list", "--token-file", &file])
            .run()
            .assert_code(0)
    };
    assert_eq!(list().stderr, "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let _ = list().assert_stderr("warning: others can read the token file");
}

#[test]
fn a_configuration_of_curl_is_not_read() {
    let api = UserApi::start(Lists::Array);
    let home = tempfile::tempdir().unwrap();
    let trace = home.path().join("trace");
    fs::write(
        home.path().join(".curlrc"),
        format!("trace-ascii = {}\n", trace.display()),
    )
    .unwrap();
    let tool = users(&api, &["add", "a@example.com"]).stdin(PASSWORD);
    let tool = tool
        .env("HOME", home.path())
        .env("http_proxy", "http://127.0.0.1:1");
    let _ = tool.run().assert_code(0);
    assert!(!trace.exists());
}

#[test]
fn unencrypted_roads_are_warned_of() {
    let check = |url: &str, is_warned: bool| {
        let outcome = Tool::script("mail-users.sh")
            .args(["list", "--timeout", "1", "--url", url])
            .run();
        assert_eq!(
            outcome.stderr.contains("unencrypted"),
            is_warned,
            "{url}: {}",
            outcome.stderr
        );
    };
    check("http://127.0.0.1:1", false);
    check("http://[::1]:1", false);
    check("http://localhost:1/mail", false);
    check("https://users.invalid", false);
    check("http://users.invalid", true);
    check("http://localhost.invalid", true);
}
