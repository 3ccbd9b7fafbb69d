//! Users against mailboxes: what is missing, and what is too much.

use jiff::{SignedDuration, Timestamp};

use super::accounts::User;
use super::mailboxes::Mailboxes;
use super::saved::SavedSet;
use crate::finding::Finding;

/// How long a new user may be without mail.
const NEW: SignedDuration = SignedDuration::from_hours(24);

/// How many a message names.
const NAMED: usize = 5;

/// Users without a mailbox, and mailboxes without a user.
pub(super) fn with_disk(
    database: &str,
    users: &[User],
    mailboxes: &Mailboxes,
    now: Timestamp,
) -> Finding {
    let is_new = |user: &User| {
        user.created
            .is_some_and(|created| now.duration_since(created) < NEW)
    };
    let wanted = users.iter().filter(|user| user.enabled && !is_new(user));
    let missing: Vec<&str> = wanted
        .map(|user| user.email.as_str())
        .filter(|email| !mailboxes.contains_key(*email))
        .collect();
    let is_known = |address: &str| users.iter().any(|user| user.email == address);
    let orphaned: Vec<&str> = mailboxes
        .keys()
        .map(String::as_str)
        .filter(|address| !is_known(address))
        .collect();
    let mut troubles = Vec::new();
    if !missing.is_empty() {
        troubles.push(format!(
            "{} users have no mailbox: {} (no mail came yet, or it is lost)",
            missing.len(),
            names(&missing)
        ));
    }
    if !orphaned.is_empty() {
        troubles.push(format!(
            "{} mailboxes belong to no user: {}; archive or remove them",
            orphaned.len(),
            names(&orphaned)
        ));
    }
    if troubles.is_empty() {
        let message = format!(
            "{} users and {} mailboxes belong together",
            users.len(),
            mailboxes.len()
        );
        return Finding::ok("user-mailboxes", database, message);
    }
    let count = (missing.len() + orphaned.len()) as f64;
    Finding::warning("user-mailboxes", database, troubles.join("; ")).measured(count, "mailboxes")
}

/// Mailboxes of users that are older than the set and not in it.
pub(super) fn with_set(users: &[User], mailboxes: &Mailboxes, set: &SavedSet) -> Finding {
    let was_there = |address: &str| {
        let made = mailboxes.get(address).map(|mailbox| mailbox.made);
        // Where one of the times is not known, it may have been there.
        made.is_some_and(|made| made.zip(set.begun).is_none_or(|(made, begun)| made < begun))
    };
    let emails = users.iter().map(|user| user.email.as_str());
    let unsaved: Vec<&str> = emails
        .filter(|email| was_there(email) && !set.mailboxes.contains(*email))
        .collect();
    if unsaved.is_empty() {
        let message = format!(
            "every mailbox of a user that is older than {} is in it",
            set.name
        );
        return Finding::ok("user-backups", "newest set", message);
    }
    let message = format!(
        "{} mailboxes are not in {} although they are older: {}; \
         run mail-backup --component mailboxes and read its warnings",
        unsaved.len(),
        set.name,
        names(&unsaved)
    );
    Finding::critical("user-backups", "newest set", message)
        .measured(unsaved.len() as f64, "mailboxes")
}

/// The first few.
pub(super) fn names(all: &[&str]) -> String {
    let named = all[..all.len().min(NAMED)].join(", ");
    if all.len() > NAMED {
        format!("{named} and {} more", all.len() - NAMED)
    } else {
        named
    }
}

#[cfg(test)]
mod tests {
    use super::super::mailboxes::Mailbox;
    use super::*;
    use crate::status::Status;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn user(email: &str) -> User {
        User {
            email: email.to_owned(),
            quota_bytes: None,
            enabled: true,
            created: None,
        }
    }

    fn mailboxes(addresses: &[(&str, Option<i64>)]) -> Mailboxes {
        let mailbox = |made: &Option<i64>| Mailbox {
            path: "/m".into(),
            made: made.map(at),
        };
        addresses
            .iter()
            .map(|(address, made)| ((*address).to_owned(), mailbox(made)))
            .collect()
    }

    #[test]
    fn users_and_mailboxes_belong_together() {
        let check = |users: &[User], addresses: &[&str], expected, words: &str| {
            let boxes = mailboxes(
                &addresses
                    .iter()
                    .map(|address| (*address, None))
                    .collect::<Vec<_>>(),
            );
            let finding = with_disk("db", users, &boxes, at(200_000));
            assert_eq!(finding.status, expected, "{}", finding.message);
            assert!(finding.message.contains(words), "{}", finding.message);
        };
        let created = |second| User {
            created: Some(at(second)),
            ..user("a@b")
        };
        let disabled = || User {
            enabled: false,
            ..user("a@b")
        };
        check(
            &[user("a@b")],
            &["a@b"],
            Status::Ok,
            "1 users and 1 mailboxes",
        );
        check(
            &[user("a@b")],
            &[],
            Status::Warning,
            "1 users have no mailbox: a@b",
        );
        check(&[created(100_000)], &[], Status::Warning, "a@b");
        check(&[created(190_000)], &[], Status::Ok, "");
        check(&[disabled()], &[], Status::Ok, "");
        check(&[disabled()], &["a@b"], Status::Ok, "");
        check(
            &[user("a@b")],
            &["a@b", "x@y"],
            Status::Warning,
            "1 mailboxes belong to no user: x@y",
        );
        let many: Vec<User> = (0..7).map(|number| user(&format!("{number}@b"))).collect();
        check(&many, &[], Status::Warning, "4@b and 2 more");
    }

    #[test]
    fn a_mailbox_that_is_older_than_the_set_must_be_in_it() {
        let check = |made, begun: Option<i64>, saved: &[&str], expected| {
            let mailboxes_of_set = saved.iter().map(|address| (*address).to_owned()).collect();
            let set = SavedSet {
                name: "daily/x".to_owned(),
                begun: begun.map(at),
                mailboxes: mailboxes_of_set,
            };
            let finding = with_set(
                &[user("a@b"), user("none@b")],
                &mailboxes(&[("a@b", made)]),
                &set,
            );
            assert_eq!(finding.status, expected, "{}", finding.message);
        };
        check(Some(1), Some(2), &["a@b"], Status::Ok);
        check(Some(1), Some(2), &[], Status::Critical);
        check(Some(3), Some(2), &[], Status::Ok);
        check(None, Some(2), &[], Status::Critical);
        check(Some(3), None, &[], Status::Critical);
    }
}
