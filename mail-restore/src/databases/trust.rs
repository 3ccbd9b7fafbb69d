//! How far a dump is trusted, and what stored code may reach when it is not.

use super::kind::StoredKind;
use super::reach::Reach;

/// Why a statement may not be run.
pub(super) type Refusal = String;

/// How far a dump is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Rows are literals, and stored code reaches no account, no file and no other database.
    #[default]
    Gate,
    /// The administrator knows what is in it.
    Full,
}

/// What to say of what only an administrator can know.
pub(super) fn untrusted(reason: &str) -> String {
    format!("{reason}; if you know where this dump comes from, --trust-dump loads it")
}

/// Whether stored code may be made: it reaches no account, no file and no database of the server.
pub(super) fn check_reach(kind: StoredKind, what: &str, reach: &Reach) -> Result<(), Refusal> {
    const OF_THE_SERVER: [&str; 3] = ["mysql", "performance_schema", "sys"];
    if let Some(words) = &reach.forbidden {
        return Err(untrusted(&format!(
            "{what} reaches beyond its database: {words}"
        )));
    }
    let named = reach.names.iter().find(|name| {
        OF_THE_SERVER
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
    });
    if let Some(database) = named {
        return Err(untrusted(&format!(
            "{what} names a database of the server: {database}"
        )));
    }
    if kind == StoredKind::Event && reach.is_dynamic {
        return Err(untrusted(&format!("{what} runs statements out of strings")));
    }
    Ok(())
}
