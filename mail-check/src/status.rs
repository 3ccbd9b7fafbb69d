//! What a check comes to, in the order and the words of Nagios.

pub(crate) use mail_common::record::CheckStatus as Status;

/// The worse of two: critical, then warning, then unknown, as the monitoring plugins order them.
pub(crate) fn worse(a: Status, b: Status) -> Status {
    if severity(a) >= severity(b) { a } else { b }
}

/// As it is shown to people.
pub(crate) fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "OK",
        Status::Warning => "WARNING",
        Status::Critical => "CRITICAL",
        Status::Unknown => "UNKNOWN",
    }
}

/// How bad it is, for sorting: the larger the worse.
pub(crate) fn severity(status: Status) -> u8 {
    match status {
        Status::Ok => 0,
        Status::Unknown => 1,
        Status::Warning => 2,
        Status::Critical => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_critical_then_warning_then_unknown() {
        assert_eq!(worse(Status::Critical, Status::Warning), Status::Critical);
        assert_eq!(worse(Status::Unknown, Status::Warning), Status::Warning);
        assert_eq!(worse(Status::Ok, Status::Unknown), Status::Unknown);
    }
}
