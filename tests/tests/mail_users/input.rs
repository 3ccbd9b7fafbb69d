//! What it is given.

use mail_tests::user_api::{Lists, UserApi};

use crate::support::{actions, result, users};

#[test]
fn a_password_arrives_as_it_is() {
    let long = "0123456789abcdeü".repeat(4096 / 17);
    let passwords = [
        "plain",
        "with space ",
        " ",
        "\"quoted\" 'both'",
        "back\\slash\\n\\\\",
        "100%s %d%n",
        "päßwörd-日本語-🔑",
        "$(id) `id` $HOME",
        "@/etc/passwd",
        "-d",
        "{}[]*?",
        "a&b=c;d#e",
        "<b>&amp;",
        "\\u0041",
        long.as_str(),
    ];
    let api = UserApi::start(Lists::Array);
    let mut bulk = String::new();
    for (number, password) in passwords.iter().enumerate() {
        let email = format!("one{number}@example.com");
        let _ = users(&api, &["add", &email])
            .stdin(format!("{password}\n"))
            .run()
            .assert_code(0);
        assert_eq!(api.password(&email).unwrap(), *password);
        bulk += &format!(
            "{}\n",
            serde_json::json!({"email": format!("many{number}@example.com"), "password": password})
        );
    }
    let _ = users(&api, &["add"])
        .stdin(bulk.clone())
        .run()
        .assert_code(0);
    let _ = users(&api, &["password"]).stdin(bulk).run().assert_code(0);
    for (number, password) in passwords.iter().enumerate() {
        assert_eq!(
            api.password(&format!("many{number}@example.com")).unwrap(),
            *password
        );
    }
}

#[test]
fn a_password_that_nobody_could_type_is_refused() {
    let check = |input: &[u8], words: &str| {
        let api = UserApi::start(Lists::Array);
        let refused = users(&api, &["add", "a@example.com"])
            .stdin(input)
            .run()
            .assert_code(1);
        let message = result(&refused)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(words), "{message}");
        assert_eq!(api.users().len(), 0);
    };
    check(b"\n", "the password is empty");
    check(
        b"windows\r\n",
        "a control character in the password (a carriage return",
    );
    check(b"tab\tbed\n", "a control character");
    check(b"nul\0nul\n", "a control character");
    check(b"nul\0nul", "a control character");
    check(b"latin-1 \xe9\n", "the password is not UTF-8");
    check(b"one\ntwo\n", "more than one line");
}

#[test]
fn a_broken_line_is_named_with_its_number() {
    let check = |line: &str, expected: &str| {
        let api = UserApi::start(Lists::Array);
        let ok = |name: &str| format!("{{\"email\":\"{name}@example.com\",\"password\":\"x\"}}");
        let input = format!("{}\n \n{line}\n{}", ok("a"), ok("b"));
        let added = users(&api, &["add"]).stdin(input).run().assert_code(1);
        let results = added.records();
        assert_eq!(results[1]["message"], expected, "{line}");
        assert_eq!(
            (&results[1]["action"], &results[1]["status"]),
            (&"failed".into(), &serde_json::Value::Null)
        );
        assert_eq!((results.len(), api.users().len()), (3, 2), "{line}");
        assert!(
            !format!("{}{}", added.text(), added.stderr).contains("hunter2"),
            "{line}"
        );
    };
    check(
        r#"{"email":"c@example.com","password":"hunter2""#,
        "line 3: not a JSON object",
    );
    check(
        r#"{"email":"c@example.com","password":"hunter2"} x"#,
        "line 3: not a JSON object",
    );
    check("hunter2", "line 3: not a JSON object");
    check("null", "line 3: not a JSON object");
    check(r#"["hunter2"]"#, "line 3: not a JSON object");
    check(r#"{"password":"hunter2"}"#, "line 3: no \"email\"");
    check(
        r#"{"id":{"x":"hunter2"},"password":"hunter2"}"#,
        "line 3: no \"email\"",
    );
    check(
        r#"{"email":7,"password":"hunter2"}"#,
        "line 3: no \"email\"",
    );
    check(
        r#"{"email":"c@example.com"}"#,
        "line 3: no \"password\", or it is not a string",
    );
    check(
        r#"{"email":"c@example.com","password":12345}"#,
        "line 3: no \"password\", or it is not a string",
    );
    check(
        r#"{"email":"c@example.com","password":""}"#,
        "line 3: the password is empty",
    );
    check(
        r#"{"email":"c@example.com","password":"hunter2\u0000"}"#,
        "line 3: a control character in the password (a carriage return: is the file from Windows?)",
    );
}

#[test]
fn an_address_is_checked() {
    let check = |email: &str, is_one: bool| {
        let api = UserApi::start(Lists::Array);
        let line = serde_json::json!({"email": email, "password": "x"}).to_string();
        let outcome = users(&api, &["add"])
            .stdin(line)
            .run()
            .assert_code(if is_one { 0 } else { 1 });
        assert_eq!(
            result(&outcome)["action"],
            if is_one { "added" } else { "failed" },
            "{email}"
        );
        assert_eq!(api.users().len(), usize::from(is_one), "{email}");
    };
    for email in [
        "a@example.com",
        "first.last+tag@mail.example.co",
        "o'neil_x-1@localhost",
        "ünï@example.com",
        "$HOME`id`@b.c",
    ] {
        check(email, true);
    }
    let long = format!("{}@example.com", "a".repeat(65));
    for email in [
        "",
        "@",
        "a",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "a@b c",
        "a@b\n",
        "a\n@b",
        "\na@b",
        "a@b\r",
        "../x@b",
        "x]y@b",
        "$(id)@b",
        ".@b",
        "a/b@c",
        "a@..",
        "a@-b",
        "a@b-",
        "a@b..c",
        "a@.b",
        "a@b.",
        "<a@b>",
        "\"a b\"@c",
        "a@bücher.example",
        "a@[127.0.0.1]",
        "a\u{1f}@b",
        long.as_str(),
    ] {
        check(email, false);
    }
}

#[test]
fn an_id_is_checked() {
    let api = UserApi::start(Lists::Array);
    let input = "{\"id\":null}\n{\"id\":1.5}\n{\"id\":9007199254740993}\n{\"id\":{\"password\":\"hunter2\"}}\n{\"id\":\"\"}\n{\"id\":\"a\\u0007\"}";
    let outcome = users(&api, &["delete"]).stdin(input).run().assert_code(1);
    assert_eq!(outcome.records().len(), 6);
    for result in outcome.records() {
        assert!(
            result["message"]
                .as_str()
                .unwrap()
                .contains("\"id\" is neither a whole number (below 2^53) nor a string"),
            "{result}"
        );
    }
    assert!(!outcome.text().contains("hunter2"));
}

#[test]
fn operands_are_checked() {
    let api = UserApi::start(Lists::Array);
    let outcome = users(&api, &["delete", "a@b\nc@d", "--", "-x@example.com"])
        .run()
        .assert_code(1);
    assert_eq!(
        actions(&outcome),
        ["a@b\nc@d failed", "-x@example.com missing"]
    );
    let outcome = users(
        &api,
        &[
            "add-domain",
            "exa mple.com",
            "http://example.com",
            "bücher.example",
        ],
    )
    .run()
    .assert_code(1);
    assert!(
        outcome
            .records()
            .iter()
            .all(|result| result["action"] == "failed")
    );
    assert_eq!(api.domains(), ["example.com"]);
}

#[test]
fn nothing_on_stdin_is_refused() {
    let api = UserApi::start(Lists::Array);
    for command in ["add", "password", "delete", "add-domain", "delete-domain"] {
        for input in ["", "\n", " \n\t\n"] {
            let outcome = users(&api, &[command])
                .stdin(input)
                .run()
                .assert_code(2)
                .assert_stderr("standard input is empty");
            assert_eq!((outcome.text().as_str(), api.seen().len()), ("", 0));
        }
    }
    let outcome = users(&api, &["add", "a@example.com"]).run().assert_code(1);
    assert_eq!(result(&outcome)["message"], "the password is empty");
}
