//! The script, and its results.

use mail_tests::run::{Outcome, Tool};
use mail_tests::user_api::UserApi;
use serde_json::Value;

/// The script, at work on this API.
pub(crate) fn users(api: &UserApi, words: &[&str]) -> Tool {
    Tool::script("mail-users.sh")
        .env("USERMGMT_URL", api.url())
        .args(words)
}

/// The results, as `key action`.
pub(crate) fn actions(outcome: &Outcome) -> Vec<String> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let key = |result: &Value| {
        text(
            ["email", "name", "id"]
                .iter()
                .map(|key| &result[*key])
                .find(|v| !v.is_null())
                .unwrap_or(&Value::Null),
        )
    };
    outcome
        .records()
        .iter()
        .map(|result| format!("{} {}", key(result), text(&result["action"])))
        .collect()
}

/// The only result.
#[track_caller]
pub(crate) fn result(outcome: &Outcome) -> Value {
    let mut results = outcome.records();
    assert_eq!(results.len(), 1, "{results:#?}");
    results.remove(0)
}

/// Lines `{"email","password"}`.
pub(crate) fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers
        .map(|number| {
            format!("{{\"email\":\"user{number}@example.com\",\"password\":\"secret {number}\"}}\n")
        })
        .collect()
}
