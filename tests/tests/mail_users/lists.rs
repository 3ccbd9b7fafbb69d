//! What it lists, and pages.

use mail_tests::user_api::{Fault, Lists, UserApi};

use crate::support::{actions, users};

fn filled(lists: Lists, users: usize) -> UserApi {
    let api = UserApi::start(lists);
    for number in 1..=users {
        api.put_user(number, &format!("user{number}@example.com"));
    }
    api
}

#[test]
fn every_shape_of_a_list_is_read_to_its_end() {
    let check = |lists: Lists, count: usize, requests: usize| {
        let api = filled(lists, count);
        let list = users(&api, &["list"]).run().assert_code(0);
        let emails: Vec<_> = list
            .records()
            .iter()
            .map(|user| user["email"].as_str().unwrap().to_owned())
            .collect();
        let expected: Vec<_> = (1..=count)
            .map(|number| format!("user{number}@example.com"))
            .collect();
        assert_eq!(emails, expected, "{lists:?}");
        assert_eq!(api.seen().len(), requests, "{lists:?} {count}");
    };
    check(Lists::Array, 7, 1);
    check(Lists::Array, 0, 1);
    check(Lists::Object, 7, 1);
    check(Lists::Object, 0, 1);
    check(Lists::NextQuery(3), 7, 3);
    check(Lists::NextQuery(7), 7, 1);
    check(Lists::NextPath(1), 3, 3);
    check(Lists::Total(3), 7, 3);
    check(Lists::Total(7), 7, 1);
    check(Lists::Total(7), 0, 1);
}

#[test]
fn a_user_of_the_last_page_is_found() {
    let api = filled(Lists::Total(2), 5);
    let deleted = users(&api, &["delete", "user5@example.com"])
        .run()
        .assert_code(0);
    assert_eq!(actions(&deleted), ["user5@example.com deleted"]);
}

#[test]
fn what_the_api_says_is_listed_without_passwords_and_hashes() {
    let api = UserApi::start(Lists::Array);
    let text = r#"[{"id":7,"email":"a@b","password":"x","password_hash":"y","Passwd":"z","hash":"h","pw_hash":"h",
        "quota":5,"enabled":true,"more":{"password":"deep","note":"kept"},"tags":[{"hashed":"q"}]}]"#;
    api.set_rule(move |_| Some(Fault::Answer(200, "", text.to_owned())));
    let list = users(&api, &["list"]).run().assert_code(0);
    assert_eq!(
        list.text(),
        "{\"id\":7,\"email\":\"a@b\",\"quota\":5,\"enabled\":true,\"more\":{\"note\":\"kept\"},\"tags\":[{}]}\n"
    );
}

#[test]
fn pages_that_never_end_or_lead_elsewhere_are_refused() {
    let check = |first: &'static str, words: &str| {
        let api = UserApi::start(Lists::Array);
        api.set_rule(move |_| Some(Fault::Answer(200, "", first.to_owned())));
        let list = users(&api, &["list"])
            .run()
            .assert_code(3)
            .assert_stderr(words);
        assert_eq!(list.text(), "", "{first}");
    };
    check(
        r#"{"users":[{"id":1,"email":"a@b"}],"next":"?page=1"}"#,
        "promises more pages than it has",
    );
    check(
        r#"{"users":[{"id":1,"email":"a@b"}],"total":9,"page":1}"#,
        "promises more pages than it has",
    );
    check(
        r#"{"users":[],"total":9}"#,
        "promises more pages than it has",
    );
    check(
        r#"{"users":[{"id":1,"email":"a@b"}],"next":"http://elsewhere.invalid/api/users"}"#,
        "would be elsewhere",
    );
    check(
        r#"{"users":[{"id":1,"email":"a@b"}],"next":"@elsewhere.invalid/"}"#,
        "would be elsewhere",
    );
}

#[test]
fn a_later_page_that_fails_leaves_no_half_list() {
    let api = filled(Lists::NextQuery(2), 5);
    api.set_rule(|request| {
        request
            .path
            .ends_with("page=3")
            .then(|| Fault::Answer(500, "", "{}".to_owned()))
    });
    let list = users(&api, &["list"])
        .run()
        .assert_code(3)
        .assert_stderr("/api/users?page=3 answers with 500");
    assert_eq!(list.text(), "");
}

#[test]
fn what_is_no_list_of_users_is_refused() {
    let check = |command: &str, body: &'static str, words: &str| {
        let api = UserApi::start(Lists::Array);
        api.set_rule(move |_| Some(Fault::Answer(200, "", body.to_owned())));
        let _ = users(&api, &[command, "a@example.com"])
            .run()
            .assert_code(3)
            .assert_stderr(words);
    };
    check("delete", r#"{"error":"no"}"#, "no list of users");
    check("delete", r#"["a@example.com"]"#, "no list of users");
    check("delete", "17", "no list of users");
    check("delete", "[] []", "is not JSON");
    check("delete", "", "is not JSON");
    check("delete", "[{\"id\":1}", "is not JSON");
    check(
        "delete",
        r#"[{"id":1,"name":"a"}]"#,
        "entries whose \"id\" or \"email\" is missing",
    );
    check(
        "delete",
        r#"[{"email":"a@example.com"}]"#,
        "entries whose \"id\" or \"email\" is missing",
    );
    check(
        "delete",
        r#"[{"id":{},"email":"a@example.com"}]"#,
        "entries whose \"id\" or \"email\" is missing",
    );
    check(
        "delete",
        r#"[{"id":1.5,"email":"a@example.com"}]"#,
        "entries whose \"id\" or \"email\" is missing",
    );
    // 2^53 + 1, which jq before 1.7 takes for 2^53.
    check(
        "delete",
        r#"[{"id":9007199254740993,"email":"a@example.com"}]"#,
        "entries whose \"id\" or \"email\" is missing",
    );
    check(
        "delete",
        r#"[{"id":1,"email":""}]"#,
        "entries whose \"id\" or \"email\" is missing",
    );
}

#[test]
fn a_domain_whose_users_cannot_be_counted_stays() {
    for users_of in [
        r#"[{"id":1,"name":"a"}]"#,
        r#"[{"id":1,"email":"no address"}]"#,
        r#"[{"id":1,"email":"a@"}]"#,
    ] {
        let api = UserApi::start(Lists::Array);
        let answer = move |path: &str| {
            (path == "/api/users").then(|| Fault::Answer(200, "", users_of.to_owned()))
        };
        api.set_rule(move |request| answer(&request.path));
        let _ = users(&api, &["delete-domain", "example.com"])
            .run()
            .assert_code(3)
            .assert_stderr("/api/users has entries");
        assert_eq!(api.domains(), ["example.com"]);
    }
}
