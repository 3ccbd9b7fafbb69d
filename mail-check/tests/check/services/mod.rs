//! Checks that speak with services, on a private Postfix and Dovecot, MariaDB and clamd.

mod certificates; // served and on disk
mod mailflow; // the round trip
mod protocols; // the mail protocols: sound, stopped, hung, nonsense
mod scanner; // clamd and MariaDB
