//! `users`: the users of the user management against the mailboxes on disk and in the newest set;
//! its REST API.

mod accounts; // the users of the database
mod api; // whether the REST API answers
mod compare; // what is missing, and what is too much
mod mailboxes; // those on disk
mod quota; // how much of it each user has used
mod saved; // those in the newest set

use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;

use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::probe::Probe;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[users]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    database: Option<String>,
    users_query: String,
    quota: Ceiling,
    api_url: Option<String>,
    api_status: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: None,
            users_query: "SELECT email, quota, enabled FROM users".to_owned(),
            quota: Ceiling::new(90.0, 100.0),
            api_url: None,
            api_status: 200,
        }
    }
}

/// None until a database or an API is named.
pub(crate) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let settings = &context.settings.users;
    let mut probes = Vec::new();
    if let Some(database) = settings.database.clone() {
        let context = Arc::clone(context);
        probes.push(Probe::new(
            "user-mailboxes",
            database.clone(),
            context.timeout,
            move || check(&database, &context),
        ));
    }
    if let Some(url) = settings.api_url.clone() {
        let (within, expected) = (context.timeout * 3 / 4, settings.api_status);
        probes.push(Probe::new(
            "user-api",
            url.clone(),
            context.timeout,
            move || vec![api::check(&url, expected, within)],
        ));
    }
    probes
}

/// Database, disk and set, one after the other: each has a part of the time.
fn check(database: &str, context: &Context) -> Vec<Finding> {
    let quarter = context.timeout / 4;
    let users = match accounts::read(database, context, quarter) {
        Ok(users) => users,
        Err(error) => {
            let why = mail_common::report::chain(&error);
            return vec![Finding::unknown(
                "user-mailboxes",
                database,
                format!("no user was checked: {why}"),
            )];
        }
    };
    let root = &context.server.mail_data_dir;
    let mailboxes = match mailboxes::list(root) {
        Ok(mailboxes) => mailboxes,
        Err(error) => {
            let message = format!(
                "{} cannot be listed: {error}; set MAIL_DATA_DIR",
                root.display()
            );
            return vec![Finding::unknown("user-mailboxes", database, message)];
        }
    };
    let mut findings = vec![compare::with_disk(
        database,
        &users,
        &mailboxes,
        context.now.timestamp(),
    )];
    findings.push(match saved::newest(&context.root) {
        Ok(set) => compare::with_set(&users, &mailboxes, &set),
        Err(why) => Finding::unknown("user-backups", "newest set", why),
    });
    let usage = quota::measure(&users, &mailboxes, Instant::now() + quarter);
    findings.push(quota::judge(database, &usage, context.settings.users.quota));
    findings
}
