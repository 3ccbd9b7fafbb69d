//! Every database and account of a MariaDB server, as SQL that the stock
//! client loads.
//!
//! One connection, one consistent snapshot for all databases of a run. What loads back is
//! identical; what the account may not see is named in [`DumpReport::missing`]. Nothing here
//! compresses, finishes or names a file.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "sample files"))]

mod option_file; // ~/.my.cnf: groups, quoting, comments
pub mod options; // where the server is and who asks: explicit, environment, option file, defaults

mod configured; // the same from the settings of a tool
mod error; // what can go wrong, on which database and table
pub mod pinned; // the session variables that bend answers and definitions, and their values
mod session; // the connection, its settings and its snapshot

mod privilege; // what the account may see, from SHOW GRANTS
mod schema; // what is there: databases, tables, views, triggers, routines, events, sequences

mod definition; // a definition of the server as text that a dump can carry
mod value; // one value of the text protocol as SQL
mod script; // the file being written: quoting, head, foot, stored code

mod accounts; // users, roles and grants
mod dump_failure; // why an attempt, or one object of it, ended
mod view; // views, and which of them comes first
mod dump; // one database
mod table; // one table: its definition and its rows
mod count; // tables and rows that are there, by the rules of a dump
pub mod scratch; // the names of the databases that a restore uses for a while
pub mod file_name; // where each dump lies in a set

pub use accounts::dump_accounts;
pub use count::{Counts, count_database};
pub use dump::{DumpReport, dump_database};
pub use error::{Cause, Error};
pub use options::{ConnectionSettings, Options};
pub use privilege::Privileges;
pub use schema::{Databases, databases, is_of_the_server};
pub use script::name as quote_name;
pub use session::{Session, connect, connect_within};
