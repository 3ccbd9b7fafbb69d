//! What the API may do to it.

use std::time::{Duration, Instant};

use mail_tests::receiver::closed_port;
use mail_tests::run::Tool;
use mail_tests::talker::{Manner, Talker};
use mail_tests::user_api::{Fault, Lists, UserApi};
use serde_json::json;

use crate::support::{actions, lines, result, users};

const HTML: &str = "Content-Type: text/html\r\n";
const LOGIN: &str = "<!doctype html><title>Log in</title><form></form>";

/// An API that does so with every POST, or with that of `user1` alone.
fn failing(which: &'static str, fault: Fault) -> UserApi {
    let api = UserApi::start(Lists::Array);
    api.set_rule(move |request| {
        (request.method == "POST" && request.body.contains(which)).then(|| fault.clone())
    });
    api
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let check = |status: u16, head: &'static str, body: &str, message: &str| {
        let api = failing("user1@", Fault::Answer(status, head, body.to_owned()));
        let added = users(&api, &["add"])
            .stdin(lines(0..3))
            .run()
            .assert_code(1);
        assert_eq!(
            actions(&added),
            [
                "user0@example.com added",
                "user1@example.com failed",
                "user2@example.com added"
            ]
        );
        assert_eq!(
            (
                &added.records()[1]["status"],
                &added.records()[1]["message"]
            ),
            (&json!(status), &json!(message))
        );
        assert_eq!(added.stderr, "");
    };
    check(
        500,
        "",
        r#"{"error":"database is gone"}"#,
        "HTTP 500: database is gone",
    );
    check(500, HTML, LOGIN, "HTTP 500");
    check(
        400,
        "",
        r#"{"errors":{"quota":["no number"]}}"#,
        r#"HTTP 400: {"quota":["no number"]}"#,
    );
    check(
        405,
        HTML,
        LOGIN,
        "HTTP 405; the API may not offer this request",
    );
    check(
        200,
        "",
        r#"{"error":"domain unknown"}"#,
        "HTTP 200: domain unknown",
    );
    check(
        200,
        "",
        r#"{"success":false,"message":"full"}"#,
        "HTTP 200: full",
    );
}

#[test]
fn a_conflict_means_that_it_exists() {
    let api = failing(
        "user1@",
        Fault::Answer(409, "", r#"{"error":"taken"}"#.to_owned()),
    );
    let added = users(&api, &["add"])
        .stdin(lines(0..3))
        .run()
        .assert_code(0);
    assert_eq!(actions(&added)[1], "user1@example.com exists");
    assert_eq!(
        (
            &added.records()[1]["status"],
            &added.records()[1]["message"]
        ),
        (&json!(409), &json!("taken"))
    );
}

#[test]
fn it_stops_where_nothing_more_can_be_expected() {
    let check = |fault: Fault, status: Option<u16>, words: &str| {
        let api = failing("user1@", fault);
        let tool = users(&api, &["add", "--timeout", "1"]).stdin(lines(0..4));
        let added = tool.run().assert_code(3).assert_stderr("not tried: 2 of 4");
        assert_eq!(
            actions(&added),
            ["user0@example.com added", "user1@example.com failed"]
        );
        let last = &added.records()[1];
        assert_eq!(added.stderr.lines().count(), 1, "{}", added.stderr);
        assert_eq!(last["status"], json!(status), "{last}");
        assert!(last["message"].as_str().unwrap().contains(words), "{last}");
        assert_eq!(api.password("user2@example.com"), None);
    };
    check(
        Fault::Answer(401, "", r#"{"error":"who?"}"#.to_owned()),
        Some(401),
        "not allowed",
    );
    check(
        Fault::Answer(403, HTML, LOGIN.to_owned()),
        Some(403),
        "not allowed",
    );
    check(
        Fault::Answer(200, HTML, LOGIN.to_owned()),
        Some(200),
        "not JSON (a login page?)",
    );
    check(
        Fault::Answer(201, "", "\"added\"".to_owned()),
        Some(201),
        "not JSON",
    );
    check(Fault::Answer(201, "", String::new()), Some(201), "not JSON");
    check(
        Fault::Answer(200, "", "{\"a\":\0\u{1f}\r\n".to_owned()),
        Some(200),
        "not JSON",
    );
    check(
        Fault::Answer(302, "Location: /login\r\n", String::new()),
        Some(302),
        "sent elsewhere",
    );
    check(Fault::Cut, None, "whether it was done is not known");
    check(Fault::Hang, None, "timed out");
    check(
        Fault::Answer(503, "Retry-After: 3600\r\n", "{}".to_owned()),
        Some(503),
        "try later",
    );
}

#[test]
fn patience_is_given_as_asked() {
    let check = |status: u16, head: &'static str, times: usize, at_least: Duration| {
        let api = UserApi::start(Lists::Array);
        let count = std::sync::atomic::AtomicUsize::new(0);
        api.set_rule(move |request| {
            let is_early = || count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < times;
            (request.method == "POST" && is_early())
                .then(|| Fault::Answer(status, head, String::new()))
        });
        let begun = Instant::now();
        let added = users(&api, &["add", "a@example.com"])
            .stdin("x")
            .run()
            .assert_code(0);
        assert_eq!(actions(&added), ["a@example.com added"]);
        assert!(begun.elapsed() >= at_least);
        assert_eq!(
            api.seen()
                .iter()
                .filter(|request| request.method == "POST")
                .count(),
            times + 1
        );
    };
    check(429, "Retry-After: 0\r\n", 3, Duration::ZERO);
    check(503, "Retry-After: 2\r\n", 1, Duration::from_secs(2));
    check(
        503,
        "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n",
        1,
        Duration::ZERO,
    );
    check(503, "", 1, Duration::from_secs(1));
}

#[test]
fn patience_ends() {
    let api = failing(
        "",
        Fault::Answer(
            503,
            "Retry-After: 0\r\n",
            r#"{"message":"maintenance"}"#.to_owned(),
        ),
    );
    let added = users(&api, &["add"])
        .stdin(lines(0..2))
        .run()
        .assert_code(3);
    assert_eq!(
        result(&added)["message"],
        "HTTP 503: maintenance; it asks for patience: try later"
    );
    assert_eq!(
        api.seen()
            .iter()
            .filter(|request| request.method == "POST")
            .count(),
        4
    );
}

#[test]
fn a_list_that_cannot_be_had_touches_nothing() {
    let check = |fault: Fault, words: &str| {
        let api = UserApi::start(Lists::Array);
        api.set_rule(move |_| Some(fault.clone()));
        for command in ["list", "add"] {
            let outcome = users(&api, &[command, "--timeout=1"])
                .stdin(lines(0..2))
                .run()
                .assert_code(3)
                .assert_stderr(words);
            assert_eq!(outcome.text(), "");
        }
        assert!(api.seen().iter().all(|request| request.method == "GET"));
    };
    check(
        Fault::Answer(401, "", "{}".to_owned()),
        "answers with 401: not allowed; see --token-file",
    );
    check(
        Fault::Answer(403, "", "{}".to_owned()),
        "answers with 403: not allowed",
    );
    check(
        Fault::Answer(200, HTML, LOGIN.to_owned()),
        "is not JSON (a login page?)",
    );
    check(
        Fault::Answer(302, "Location: /login\r\n", LOGIN.to_owned()),
        "sent elsewhere",
    );
    check(
        Fault::Answer(404, HTML, LOGIN.to_owned()),
        "answers with 404",
    );
    check(Fault::Answer(500, "", "{}".to_owned()), "answers with 500");
    check(
        Fault::Answer(503, "Retry-After: 0\r\n", "{}".to_owned()),
        "still answers with 503",
    );
    check(Fault::Cut, "no answer from");
    check(Fault::Hang, "timed out");
}

#[test]
fn a_server_that_is_none_is_named() {
    let check = |port: u16| {
        let tool = Tool::script("mail-users.sh").args([
            "--url",
            &format!("http://localhost:{port}"),
            "--timeout",
            "1",
            "list",
        ]);
        let outcome = tool.run().assert_code(3).assert_stderr(&format!(
            "no answer from http://localhost:{port}/api/users: "
        ));
        assert!(
            outcome.stderr.contains("is the user management running?"),
            "{}",
            outcome.stderr
        );
    };
    check(closed_port());
    check(Talker::start(Manner::Closes(Vec::new())).port());
    check(Talker::start(Manner::Closes(b"SSH-2.0-what\r\n\r\n".to_vec())).port());
    check(
        Talker::start(Manner::Drips(
            b"HTTP/1.1 200 x\r\n\r\n[".to_vec(),
            Duration::from_millis(300),
        ))
        .port(),
    );
}

#[test]
fn who_vanishes_meanwhile_is_missing() {
    let api = UserApi::start(Lists::Array);
    api.put_user(7, "alice@example.com");
    let vanish = |body: &'static str, head: &'static str| {
        move |request: &mail_tests::http::Request| {
            (request.method != "GET").then(|| Fault::Answer(404, head, body.to_owned()))
        }
    };
    api.set_rule(vanish(r#"{"error":"no such user"}"#, ""));
    let deleted = users(&api, &["delete", "alice@example.com"])
        .run()
        .assert_code(0);
    assert_eq!(actions(&deleted), ["alice@example.com missing"]);
    let changed = users(&api, &["password", "alice@example.com"])
        .stdin("x")
        .run()
        .assert_code(1);
    assert_eq!(actions(&changed), ["alice@example.com missing"]);
    // A page that is not found says nothing of the user: the API may not know the request.
    api.set_rule(vanish(LOGIN, HTML));
    let deleted = users(&api, &["delete", "alice@example.com"])
        .run()
        .assert_code(1);
    assert_eq!(actions(&deleted), ["alice@example.com failed"]);
}

#[test]
fn one_that_was_not_deleted_is_not_gone() {
    let api = UserApi::start(Lists::Array);
    api.put_user(7, "alice@example.com");
    api.set_rule(|request| {
        (request.method == "DELETE").then(|| Fault::Answer(500, "", "{}".to_owned()))
    });
    let deleted = users(&api, &["delete", "alice@example.com", "alice@example.com"])
        .run()
        .assert_code(1);
    assert_eq!(
        actions(&deleted),
        ["alice@example.com failed", "alice@example.com failed"]
    );
}
