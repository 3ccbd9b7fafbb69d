//! `mail-check --notify --prometheus --report` at its edge: receivers that keep what they get, a parser of metrics, a browser.
#![expect(clippy::disallowed_methods, reason = "sample files are not stored files")]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

mod receiver; // servers that keep what they get, and misbehave
mod http; // one that speaks HTTP
mod smtp; // one that speaks SMTP
mod support; // a machine to check, and its settings

mod mails; // by sendmail and SMTP
mod hooks; // webhooks and the dead-man switch
mod memory; // what is told once, again, and never lost
mod metrics; // --prometheus
mod page; // --report
