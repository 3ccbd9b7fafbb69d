//! The names of the databases that a restore uses for a while: beside the live ones, never in
//! their place.
//!
//! `mail_restore_20261129031500_1a2b` holds the journal of one restore; `..._n0`, `..._n1` and so
//! on the new databases, `..._o0` the old ones. None is longer than 40 characters, however long the
//! names of the databases are that they stand for.

/// What every such name begins with.
pub const PREFIX: &str = "mail_restore_";

const TIME_DIGITS: usize = 14;

/// Whether `database` is one of a restore.
#[must_use]
pub fn is_scratch(database: &str) -> bool {
    let Some(rest) = database.strip_prefix(PREFIX) else {
        return false;
    };
    let mut parts = rest.split('_');
    let is_time =
        |part: &str| part.len() == TIME_DIGITS && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_run = |part: &str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.next().is_some_and(is_time)
        && parts.next().is_some_and(is_run)
        && parts.next().is_none_or(is_place)
        && parts.next().is_none()
}

/// Whether `database` is the one that holds the journal.
#[must_use]
pub fn is_journal(database: &str) -> bool {
    is_scratch(database) && database.matches('_').count() == 3
}

fn is_place(part: &str) -> bool {
    let number = part.strip_prefix('n').or_else(|| part.strip_prefix('o'));
    number.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_a_restore_is_known_by_its_name() {
        let journal = "mail_restore_20261129031500_1a2b";
        assert!(is_scratch(journal) && is_journal(journal));
        let new = "mail_restore_20261129031500_1a2b_n12";
        assert!(is_scratch(new) && !is_journal(new));
        for name in [
            "mail_restore_test",
            "mail_restore_20261129031500",
            "mail_restore_20261129031500_1a2b_x0",
            "mail_restore_20261129031500_1a2b_n0_y",
            "mail",
        ] {
            assert!(!is_scratch(name), "{name}");
        }
    }
}
