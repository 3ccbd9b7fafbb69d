//! What a check comes to, in the order and the words of Nagios.

pub(crate) use mail_common::record::CheckStatus as Status;

/// As it is shown to people.
pub(crate) fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "OK",
        Status::Warning => "WARNING",
        Status::Critical => "CRITICAL",
        Status::Unknown => "UNKNOWN",
    }
}
