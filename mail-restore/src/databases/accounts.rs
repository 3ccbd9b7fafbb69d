//! Accounts, which are loaded on request and after all databases: a grant on a table needs the
//! table.
//!
//! Loading adds: accounts that are there keep their passwords and what they may. The way back drops
//! accounts that are new; what an account that was there was granted beside, it keeps.

use std::collections::BTreeSet;

use super::error::Error;
use super::server::{Server, name};

/// Whether accounts are loaded too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// They stay as they are.
    Leave,
    /// Those that are missing are made, with their grants.
    Load,
}

/// The users and roles of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AccountNames(BTreeSet<(String, String, bool)>);

impl AccountNames {
    /// Asks the server.
    pub(super) fn read(server: &mut Server) -> Result<Self, Error> {
        let rows = server.rows("SELECT User, Host, is_role FROM mysql.user");
        let rows = rows.map_err(|source| Error::Ask {
            what: "its accounts",
            source,
        })?;
        let account = |row: Vec<String>| {
            let [user, host, role] = row.try_into().ok()?;
            Some((user, host, role == "Y"))
        };
        Ok(Self(rows.into_iter().filter_map(account).collect()))
    }

    /// Drops the accounts of `server` that are not among these.
    pub(super) fn drop_others(&self, server: &mut Server) -> Result<(), Error> {
        let now = Self::read(server)?;
        for (user, host, is_role) in now.0.difference(&self.0) {
            let statement = match is_role {
                true => format!("DROP ROLE IF EXISTS {}", name(user)),
                false => format!("DROP USER IF EXISTS {}@{}", name(user), name(host)),
            };
            server.run(&statement).map_err(|source| Error::Ask {
                what: "the end of a new account",
                source,
            })?;
        }
        Ok(())
    }
}
