//! What it adds, changes and deletes.

use mail_tests::user_api::{Lists, UserApi};
use serde_json::json;

use crate::support::{actions, lines, result, users};

#[test]
fn a_user_is_added_changed_and_deleted() {
    let api = UserApi::start(Lists::Array);
    let added = users(&api, &["add", "alice@example.com"])
        .stdin("first one\n")
        .run()
        .assert_code(0);
    let expected = json!({"email": "alice@example.com", "id": 2, "action": "added", "status": 201, "message": "added"});
    assert_eq!(result(&added), expected);
    assert_eq!(api.password("alice@example.com").unwrap(), "first one");

    let again = users(&api, &["add", "Alice@Example.com"])
        .stdin("another")
        .run()
        .assert_code(0);
    let expected = json!({"email": "alice@example.com", "id": 2, "action": "exists", "status": null,
        "message": "exists already; nothing was changed"});
    assert_eq!(result(&again), expected);
    assert_eq!(api.password("alice@example.com").unwrap(), "first one");

    let changed = users(&api, &["password", "alice@example.com"])
        .stdin("second")
        .run()
        .assert_code(0);
    assert_eq!(
        (
            result(&changed)["action"].as_str(),
            result(&changed)["status"].as_u64()
        ),
        (Some("changed"), Some(200))
    );
    assert_eq!(api.password("alice@example.com").unwrap(), "second");

    let deleted = users(&api, &["delete", "alice@example.com"])
        .run()
        .assert_code(0);
    assert_eq!(
        (
            result(&deleted)["action"].as_str(),
            result(&deleted)["status"].as_u64()
        ),
        (Some("deleted"), Some(204))
    );
    assert_eq!(api.password("alice@example.com"), None);
}

#[test]
fn who_is_not_there_is_missing() {
    let api = UserApi::start(Lists::Array);
    let changed = users(&api, &["password", "nobody@example.com"])
        .stdin("x")
        .run()
        .assert_code(1);
    assert_eq!(actions(&changed), ["nobody@example.com missing"]);
    let deleted = users(&api, &["delete", "nobody@example.com"])
        .run()
        .assert_code(0);
    assert_eq!(actions(&deleted), ["nobody@example.com missing"]);
    assert!(api.seen().iter().all(|request| request.method == "GET"));
}

#[test]
fn many_users_take_one_list() {
    let api = UserApi::start(Lists::Array);
    let input = format!("{}\n{}", lines(0..60), lines(0..1));
    let added = users(&api, &["add"]).stdin(input).run().assert_code(0);
    let actions_of = actions(&added);
    assert_eq!(
        (actions_of.len(), actions_of[0].as_str()),
        (61, "user0@example.com added")
    );
    assert_eq!(actions_of[60], "user0@example.com exists");
    assert_eq!(
        api.seen()
            .iter()
            .filter(|request| request.method == "GET")
            .count(),
        1
    );
    assert_eq!(api.password("user59@example.com").unwrap(), "secret 59");

    let changed = users(&api, &["password"])
        .stdin(lines(0..3).replace("secret", "other"))
        .run()
        .assert_code(0);
    assert_eq!(actions(&changed)[2], "user2@example.com changed");
    assert_eq!(api.password("user2@example.com").unwrap(), "other 2");

    let input =
        "{\"email\":\"user7@example.com\"}\n{\"id\":10}\n{\"email\":\"USER7@example.com\"}\n";
    let deleted = users(&api, &["delete"]).stdin(input).run().assert_code(0);
    assert_eq!(
        actions(&deleted),
        [
            "user7@example.com deleted",
            "user8@example.com deleted",
            "user7@example.com missing"
        ]
    );
    assert_eq!(api.users().len(), 58);
}

#[test]
fn further_fields_go_with_a_new_user_but_not_with_a_password() {
    let api = UserApi::start(Lists::Object);
    let line =
        r#"{"id":99,"email":"a@example.com","password":"one","quota":5000,"name":"Ä \"B\""}"#;
    let _ = users(&api, &["add"]).stdin(line).run().assert_code(0);
    let _ = users(&api, &["password"])
        .stdin(line.replace("one", "two"))
        .run()
        .assert_code(0);
    let expected = json!({"id": 2, "email": "a@example.com", "password": "two", "quota": 5000, "name": "Ä \"B\""});
    assert_eq!(api.users(), [expected]);
    let changed = api
        .seen()
        .into_iter()
        .find(|request| request.method == "PUT")
        .unwrap();
    assert_eq!(changed.body, r#"{"password":"two"}"#);
}

#[test]
fn ids_are_encoded() {
    let api = UserApi::start(Lists::Array);
    for (number, id) in ["a/b c", "../domains/1", "%", "é?x=1#", "..", "-1"]
        .into_iter()
        .enumerate()
    {
        api.put_user(id, &format!("user{number}@example.com"));
    }
    api.put_user("kept", "kept@example.com");
    let changed = users(&api, &["password"])
        .stdin(lines(0..6))
        .run()
        .assert_code(0);
    assert_eq!(actions(&changed)[1], "user1@example.com changed");
    assert_eq!(api.password("user3@example.com").unwrap(), "secret 3");
    let input = "{\"id\":\"a/b c\"}\n{\"id\":\"../domains/1\"}\n{\"id\":\"%\"}\n{\"id\":\"é?x=1#\"}\n{\"id\":\"..\"}\n{\"id\":\"-1\"}\n{\"id\":\"x\"}";
    let deleted = users(&api, &["delete"]).stdin(input).run().assert_code(0);
    assert_eq!(actions(&deleted)[6], "x missing");
    assert_eq!(api.users().len(), 1);
    assert_eq!(api.domains(), ["example.com"]);
}

#[test]
fn domains_are_added_listed_and_deleted() {
    let api = UserApi::start(Lists::Array);
    let added = users(
        &api,
        &[
            "add-domain",
            "example.org",
            "xn--bcher-kva.example",
            "Example.com",
        ],
    )
    .run()
    .assert_code(0);
    assert_eq!(
        actions(&added),
        [
            "example.org added",
            "xn--bcher-kva.example added",
            "example.com exists"
        ]
    );
    let more = users(&api, &["add-domain"])
        .stdin(r#"{"name":"example.net","quota":1}"#)
        .run()
        .assert_code(0);
    assert_eq!(actions(&more), ["example.net added"]);
    let list = users(&api, &["domains"]).run().assert_code(0);
    assert_eq!(
        list.records()[3],
        json!({"id": 4, "name": "example.net", "quota": 1})
    );
    let deleted = users(&api, &["delete-domain"])
        .stdin("{\"name\":\"example.net\"}\n{\"id\":2}")
        .run()
        .assert_code(0);
    assert_eq!(
        actions(&deleted),
        ["example.net deleted", "example.org deleted"]
    );
    assert_eq!(api.domains(), ["example.com", "xn--bcher-kva.example"]);
}

#[test]
fn of_two_that_differ_in_capitals_none_is_taken_for_the_other() {
    let api = UserApi::start(Lists::Array);
    api.put_user(7, "alice@example.com");
    api.put_user(8, "Alice@example.com");
    api.put_user(9, "bob@example.com");
    let deleted = users(&api, &["delete", "alice@example.com", "bob@example.com"])
        .run()
        .assert_code(1);
    assert_eq!(
        actions(&deleted),
        ["alice@example.com failed", "bob@example.com deleted"]
    );
    let deleted = users(&api, &["delete"])
        .stdin(r#"{"id":8}"#)
        .run()
        .assert_code(0);
    assert_eq!(actions(&deleted), ["Alice@example.com deleted"]);
    assert_eq!(api.users()[0]["id"], 7);
}

#[test]
fn a_domain_with_users_stays_until_it_is_forced() {
    let api = UserApi::start(Lists::Array);
    api.put_user(7, "Alice@EXAMPLE.com");
    let refused = users(&api, &["delete-domain", "example.com"])
        .run()
        .assert_code(1);
    assert!(
        result(&refused)["message"]
            .as_str()
            .unwrap()
            .starts_with("still has users: 1;")
    );
    assert_eq!(api.domains(), ["example.com"]);
    let forced = users(&api, &["delete-domain", "--force", "example.com"])
        .run()
        .assert_code(0);
    assert_eq!(actions(&forced), ["example.com deleted"]);
}

#[test]
fn many_are_deleted_only_by_force() {
    let api = UserApi::start(Lists::Array);
    for number in 0..51 {
        api.put_user(number, &format!("user{number}@example.com"));
    }
    let refused = users(&api, &["delete"])
        .stdin(lines(0..51))
        .run()
        .assert_code(2)
        .assert_stderr("deletes 51 at once");
    assert_eq!(
        (refused.text().as_str(), api.seen().len(), api.users().len()),
        ("", 0, 51)
    );
    let dry = users(&api, &["delete", "--dry-run"])
        .stdin(lines(0..51))
        .run()
        .assert_code(0);
    assert_eq!((dry.records().len(), api.users().len()), (51, 51));
    let _ = users(&api, &["delete"])
        .stdin(lines(0..50))
        .run()
        .assert_code(0);
    assert_eq!(api.users().len(), 1);
    let _ = users(&api, &["--force", "delete"])
        .stdin(lines(0..51))
        .run()
        .assert_code(0);
    assert_eq!(api.users().len(), 0);
}

#[test]
fn a_dry_run_changes_nothing() {
    let api = UserApi::start(Lists::Array);
    api.put_user(7, "alice@example.com");
    let input = "{\"email\":\"alice@example.com\",\"password\":\"a\"}\n{\"email\":\"b@example.com\",\"password\":\"b\"}\n{}\n";
    let added = users(&api, &["add", "--dry-run"])
        .stdin(input)
        .run()
        .assert_code(1);
    assert_eq!(
        actions(&added),
        [
            "alice@example.com exists",
            "b@example.com added",
            "null failed"
        ]
    );
    let second = &added.records()[1];
    assert_eq!(
        (&second["dry_run"], &second["message"], &second["status"]),
        (&json!(true), &json!("would be added"), &json!(null))
    );
    let changed = users(&api, &["password", "--dry-run"])
        .stdin(input)
        .run()
        .assert_code(1);
    assert_eq!(
        actions(&changed)[..2],
        ["alice@example.com changed", "b@example.com missing"]
    );
    let deleted = users(
        &api,
        &[
            "delete",
            "--dry-run",
            "alice@example.com",
            "alice@example.com",
        ],
    )
    .run()
    .assert_code(0);
    assert_eq!(
        actions(&deleted),
        ["alice@example.com deleted", "alice@example.com missing"]
    );
    let _ = users(
        &api,
        &["delete-domain", "--dry-run", "--force", "example.com"],
    )
    .run()
    .assert_code(0);
    assert!(api.seen().iter().all(|request| request.method == "GET"));
}
