//! `mail-check --notify --prometheus --report` at its edge: receivers that keep what they get, a
//! parser of metrics, a browser.

mod identity; // certificates of servers
pub(crate) mod http; // a server that keeps requests
mod smtp; // one that keeps messages
mod support; // a machine to check, and its settings

mod mails; // by sendmail and SMTP
mod hooks; // webhooks and the dead-man switch
mod memory; // what is sent once, again, and never lost
mod metrics; // --prometheus
mod page; // --report
