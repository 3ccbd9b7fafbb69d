//! `users`: the users of the user management against the mailboxes on disk and in the newest set;
//! its REST API.

mod accounts; // the users of the database
mod api; // whether the REST API answers
mod compare; // what is missing, and what is too much
mod mailboxes; // those on disk
mod quota; // how much of it each user has used
mod saved; // those in the newest set
mod settings; // which database, and the limits

use std::sync::Arc;
use std::time::Instant;

use crate::context::Context;
use crate::finding::Finding;
use crate::probe::Probe;

pub(crate) use settings::{EXAMPLE, Settings};

/// None until a database or an API is named.
pub(crate) fn probes(settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    let within = context.timeout;
    let mut probes = Vec::new();
    if let Some(database) = settings.database.clone() {
        let (settings, context, target) = (settings.clone(), Arc::clone(context), database.clone());
        probes.push(Probe::new("user-mailboxes", target, within, move || {
            check(&database, &settings, &context)
        }));
    }
    if let Some(url) = settings.api_url.clone() {
        let (expected, context) = (settings.api_status, Arc::clone(context));
        probes.push(Probe::new("user-api", url.to_string(), within, move || {
            vec![api::check(
                &url,
                expected,
                &context.verifier,
                within * 3 / 4,
            )]
        }));
    }
    probes
}

/// Database, disk and set, one after the other: each has a part of the time.
fn check(database: &str, settings: &Settings, context: &Context) -> Vec<Finding> {
    let quarter = context.timeout / 4;
    let unknown = |why| vec![Finding::unknown("user-mailboxes", database, why)];
    let users = match accounts::read(database, &settings.users_query, context, quarter) {
        Ok(users) => users,
        Err(why) => return unknown(format!("no user was checked: {why}")),
    };
    let root = &context.server.mail_data_dir;
    let mailboxes = match mailboxes::list(root, context.server.mailbox_depth) {
        Ok(mailboxes) => mailboxes,
        Err(error) => {
            let root = root.display();
            return unknown(format!(
                "{root} cannot be listed: {error}; set MAIL_DATA_DIR"
            ));
        }
    };
    let saved = match saved::newest(&context.root, context.server.mailbox_depth) {
        Ok(set) => compare::with_set(&users, &mailboxes, &set),
        Err(why) => Finding::unknown("user-backups", "newest set", why),
    };
    let usage = quota::measure(&users, &mailboxes, Instant::now() + quarter);
    vec![
        compare::with_disk(database, &users, &mailboxes, context.now.timestamp()),
        saved,
        quota::judge(database, &usage, settings.quota),
    ]
}
