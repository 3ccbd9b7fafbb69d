//! The session variables that can change what a server answers, defines or stores, each with the
//! value that dump, loader and checks give it.
//!
//! A value is always written out: `SET SESSION x = DEFAULT` takes the global value, which is the
//! very thing that a session must not depend on. A server that does not know a variable, or knows
//! it as read-only, is left alone; one that refuses to change it must have the value already.

use crate::error::{Cause, Error};

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To read: dumps and counts.
    Read,
    /// To load a dump.
    Load,
}

/// A variable of the session.
#[derive(Clone, Copy, Debug)]
struct Variable {
    name: &'static str,
    /// As SQL.
    value: &'static str,
    scope: Scope,
    /// What happens where it has another value. It is not printed: it is here for the reader.
    #[expect(
        dead_code,
        reason = "the reason stands beside the value, for who changes it"
    )]
    why: &'static str,
}

/// Where a variable is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// By every session of ours.
    Sessions,
    /// By sessions that read.
    Reading,
    /// By sessions that load.
    Loading,
    /// By sessions that load, and in the head of each dump. In the head of a dump it stands in an
    /// executable comment from this version on; 0 is any version.
    LoadingAndHead(u32),
}

const fn variable(
    name: &'static str,
    value: &'static str,
    scope: Scope,
    why: &'static str,
) -> Variable {
    Variable {
        name,
        value,
        scope,
        why,
    }
}

use Scope::{Loading, LoadingAndHead, Reading, Sessions};

const VARIABLES: &[Variable] = &[
    // What SELECT and SHOW give.
    variable(
        "sql_mode",
        "''",
        Sessions,
        "ANSI_QUOTES, ORACLE and PAD_CHAR_TO_FULL_LENGTH change quotes, SHOW CREATE and values",
    ),
    variable(
        "sql_select_limit",
        "18446744073709551615",
        Sessions,
        "cuts every SELECT, also those of a dump",
    ),
    variable(
        "max_statement_time",
        "0",
        Sessions,
        "ends a long SELECT or ALTER",
    ),
    variable(
        "max_join_size",
        "18446744073709551615",
        Sessions,
        "refuses a SELECT of many rows",
    ),
    variable("sql_big_selects", "1", Sessions, "as max_join_size"),
    variable(
        "group_concat_max_len",
        "4294967295",
        Sessions,
        "cuts GROUP_CONCAT",
    ),
    variable(
        "max_sort_length",
        "8388608",
        Sessions,
        "long names would be sorted by their beginnings",
    ),
    variable(
        "sql_quote_show_create",
        "1",
        Sessions,
        "SHOW CREATE would leave names unquoted",
    ),
    variable(
        "show_create_table_verbosity",
        "0",
        Sessions,
        "MySQL: adds defaults to SHOW CREATE TABLE",
    ),
    variable(
        "time_zone",
        "'+00:00'",
        Sessions,
        "TIMESTAMP is shown and read in it",
    ),
    variable(
        "lc_time_names",
        "'en_US'",
        Sessions,
        "names of months in expressions",
    ),
    variable(
        "default_week_format",
        "0",
        Sessions,
        "WEEK() in generated columns",
    ),
    variable(
        "default_regex_flags",
        "''",
        Sessions,
        "REGEXP in checks and generated columns",
    ),
    variable(
        "div_precision_increment",
        "4",
        Sessions,
        "digits of a division in expressions",
    ),
    variable(
        "old_mode",
        "'UTF8_IS_UTF8MB3'",
        LoadingAndHead(100_601),
        "what `utf8` means in CREATE, and the casts of old versions",
    ),
    variable("old_mode", "'UTF8_IS_UTF8MB3'", Reading, "as above"),
    variable(
        "character_set_collations",
        "''",
        Sessions,
        "the collation of a table that names a character set only",
    ),
    variable(
        "query_cache_type",
        "0",
        Reading,
        "an answer of the cache is of another moment",
    ),
    variable(
        "sql_auto_is_null",
        "0",
        Sessions,
        "IS NULL finds the last AUTO_INCREMENT value",
    ),
    variable(
        "sql_buffer_result",
        "0",
        Sessions,
        "copies every answer into a temporary table",
    ),
    variable(
        "skip_parallel_replication",
        "0",
        Sessions,
        "no effect on rows; some servers start with it",
    ),
    // How long we may take.
    variable(
        "net_write_timeout",
        "3600",
        Sessions,
        "60 s cuts a slow consumer",
    ),
    variable(
        "net_read_timeout",
        "3600",
        Sessions,
        "30 s cuts a slow producer",
    ),
    variable(
        "wait_timeout",
        "86400",
        Sessions,
        "a connection that waits for others is ended",
    ),
    variable(
        "idle_transaction_timeout",
        "0",
        Sessions,
        "as wait_timeout, in a transaction",
    ),
    variable(
        "idle_readonly_transaction_timeout",
        "0",
        Sessions,
        "as above",
    ),
    variable("idle_write_transaction_timeout", "0", Sessions, "as above"),
    variable(
        "lock_wait_timeout",
        "300",
        Sessions,
        "DDL that waits for us must not make us wait for a day",
    ),
    variable(
        "innodb_lock_wait_timeout",
        "300",
        Sessions,
        "50 s is short for a lock on a large table",
    ),
    // What statements do.
    variable(
        "completion_type",
        "'NO_CHAIN'",
        Sessions,
        "COMMIT would begin a transaction, or end the connection",
    ),
    variable(
        "sql_safe_updates",
        "0",
        Sessions,
        "refuses UPDATE and DELETE without a key",
    ),
    variable(
        "sql_if_exists",
        "0",
        LoadingAndHead(100_500),
        "DROP and RENAME of what is not there would succeed in silence",
    ),
    variable(
        "alter_algorithm",
        "'DEFAULT'",
        Loading,
        "an ALTER that needs a copy would be refused",
    ),
    variable(
        "autocommit",
        "1",
        Reading,
        "a read would begin a transaction",
    ),
    variable(
        "autocommit",
        "0",
        Loading,
        "each statement would be a transaction: twice the time",
    ),
    variable(
        "foreign_key_checks",
        "0",
        Loading,
        "tables come in any order",
    ),
    variable(
        "unique_checks",
        "0",
        Loading,
        "speed; InnoDB still refuses a duplicate",
    ),
    variable(
        "check_constraint_checks",
        "0",
        Loading,
        "rows from before a CHECK are rows",
    ),
    variable(
        "innodb_strict_mode",
        "0",
        LoadingAndHead(0),
        "refuses a table that was made without it",
    ),
    variable(
        "innodb_compression_default",
        "0",
        LoadingAndHead(0),
        "a table would be compressed that was not",
    ),
    variable(
        "explicit_defaults_for_timestamp",
        "1",
        LoadingAndHead(101_000),
        "the first TIMESTAMP would get ON UPDATE by itself",
    ),
    variable(
        "default_storage_engine",
        "InnoDB",
        Loading,
        "the engine of a table that names none",
    ),
    variable(
        "enforce_storage_engine",
        "NULL",
        Loading,
        "every table would become one of that engine",
    ),
    variable(
        "sql_require_primary_key",
        "0",
        Loading,
        "MySQL: refuses tables without a key",
    ),
    variable(
        "sql_generate_invisible_primary_key",
        "0",
        Loading,
        "MySQL: adds a column",
    ),
    variable(
        "system_versioning_alter_history",
        "'ERROR'",
        Loading,
        "ALTER would rewrite history",
    ),
];

/// The character set and collation of what is sent and received. The collation is named, since
/// that of utf8mb4 alone can be set for a server.
const NAMES: &str = "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci";

/// The SQL mode under which a dump of ours is read.
pub(crate) const LOAD_SQL_MODE: &str = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES";

/// Gives a session its settings. `ask` runs a statement and gives the first cell of its answer.
///
/// # Errors
/// When the server refuses one, and has another value.
pub fn pin(
    purpose: Purpose,
    ask: &mut dyn FnMut(&str) -> Result<Option<String>, Cause>,
) -> Result<(), Error> {
    ask(NAMES).map_err(|source| Error::prepare(NAMES, source))?;
    for variable in VARIABLES.iter().filter(|variable| variable.is_for(purpose)) {
        let statement = format!("SET SESSION {} = {}", variable.name, variable.value);
        let Err(source) = ask(&statement) else {
            continue;
        };
        if !is_unknown(&source) && !has_value(variable, ask) {
            return Err(Error::prepare(&statement, source));
        }
    }
    pin_moment(ask)
}

impl Variable {
    fn is_for(&self, purpose: Purpose) -> bool {
        match self.scope {
            Sessions => true,
            Reading => purpose == Purpose::Read,
            Loading | LoadingAndHead(_) => purpose == Purpose::Load,
        }
    }
}

/// Unknown variable, a value that an older server does not know, a variable that is read-only or
/// global there.
fn is_unknown(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Server {
            code: 1193 | 1229 | 1231 | 1238,
            ..
        }
    )
}

fn has_value(
    variable: &Variable,
    ask: &mut dyn FnMut(&str) -> Result<Option<String>, Cause>,
) -> bool {
    let query = format!("SELECT @@SESSION.{} <=> {}", variable.name, variable.value);
    ask(&query).is_ok_and(|answer| answer.as_deref() == Some("1"))
}

/// `system_versioning_asof` makes every SELECT on a versioned table one of another moment. It has
/// no value for "now" but DEFAULT, which is the global one: so what it is then is looked at.
fn pin_moment(ask: &mut dyn FnMut(&str) -> Result<Option<String>, Cause>) -> Result<(), Error> {
    let statement = "SET SESSION system_versioning_asof = DEFAULT";
    if ask(statement).is_err() {
        return Ok(());
    }
    match ask("SELECT @@system_versioning_asof") {
        Ok(Some(value)) if value != "DEFAULT" => Err(Error::OtherMoment { value }),
        _ => Ok(()),
    }
}

/// The lines of a dump's head that pin what the loading session must have, and remember what it
/// had.
pub(crate) fn head() -> String {
    head_variables()
        .map(|(version, variable)| {
            let (name, value) = (variable.name.to_ascii_uppercase(), variable.value);
            guarded(
                version,
                &format!("SET @OLD_{name}=@@{name}, {name}={value}"),
            )
        })
        .collect()
}

/// The lines of a dump's foot that undo [`head`].
pub(crate) fn foot() -> String {
    head_variables()
        .map(|(version, variable)| {
            let name = variable.name.to_ascii_uppercase();
            guarded(version, &format!("SET {name}=@OLD_{name}"))
        })
        .collect()
}

fn head_variables() -> impl Iterator<Item = (u32, &'static Variable)> {
    VARIABLES
        .iter()
        .filter_map(|variable| match variable.scope {
            LoadingAndHead(version) => Some((version, variable)),
            _ => None,
        })
}

/// A statement that servers before `version` skip.
fn guarded(version: u32, statement: &str) -> String {
    if version == 0 {
        format!("{statement};\n")
    } else {
        format!("/*M!{version} {statement} */;\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_has_a_value_of_its_own() {
        for variable in VARIABLES {
            assert!(
                !variable.value.eq_ignore_ascii_case("DEFAULT"),
                "{}",
                variable.name
            );
        }
    }

    #[test]
    fn head_and_foot_belong_together() {
        assert!(
            head().contains(
                "SET @OLD_INNODB_STRICT_MODE=@@INNODB_STRICT_MODE, INNODB_STRICT_MODE=0;\n"
            )
        );
        assert!(foot().contains("/*M!100500 SET SQL_IF_EXISTS=@OLD_SQL_IF_EXISTS */;\n"));
        assert_eq!(head().lines().count(), foot().lines().count());
    }

    #[test]
    fn a_refusal_is_an_error_unless_the_value_is_there() {
        let refuse = |current: &'static str| {
            let mut ask = move |statement: &str| match statement {
                "SET SESSION enforce_storage_engine = NULL" => Err(Cause::Server {
                    code: 1227,
                    message: "denied".into(),
                }),
                "SELECT @@SESSION.enforce_storage_engine <=> NULL" => Ok(Some(current.to_owned())),
                _ => Ok(None),
            };
            pin(Purpose::Load, &mut ask)
        };
        assert!(refuse("1").is_ok());
        assert!(matches!(refuse("0"), Err(Error::Prepare { .. })));
    }
}
