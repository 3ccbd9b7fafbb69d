//! What is reported of each clamd before work, as records: which it is, how old its signatures are,
//! what it keeps silent about.

use jiff::Timestamp;
use mail_common::record::{Check, CheckStatus, Record};
use mail_common::tool::Session;

use crate::clamd::{Address, Introduction, Route};

/// Older signatures than this give a warning.
const SIGNATURES_MAX_DAYS: f64 = 7.0;

/// Reports what `clamd` at `address` has shown of itself.
pub(crate) fn report(session: &Session, address: &Address, clamd: &Introduction, now: Timestamp) {
    for check in [
        engine(address, clamd),
        signatures(address, clamd, now),
        silence(address, clamd),
    ] {
        if check.status != CheckStatus::Ok {
            session.report.warning(&check.message);
        }
        session.emit(&Record::Check(check));
    }
}

fn check(name: &str, address: &Address, status: CheckStatus, message: String) -> Check {
    let (value, unit, warning, critical) = (None, None, None, None);
    Check {
        name: name.to_owned(),
        target: address.to_string(),
        status,
        value,
        unit,
        warning,
        critical,
        message,
    }
}

fn engine(address: &Address, clamd: &Introduction) -> Check {
    let route = match clamd.route {
        Route::Descriptor => "by descriptor",
        Route::Stream => "by stream",
    };
    let threads = clamd.threads.map_or_else(
        || "an unknown number of".to_owned(),
        |threads| threads.to_string(),
    );
    let rar = if clamd.opens_rar {
        ""
    } else {
        "; it does not open RAR archives (libclamunrar), which are not scanned"
    };
    let message = format!(
        "{} finds EICAR {route}, alone, in an archive and in a message; {threads} threads{rar}",
        clamd.version.text
    );
    check("clamd", address, CheckStatus::Ok, message)
}

fn signatures(address: &Address, clamd: &Introduction, now: Timestamp) -> Check {
    let Some(days) = clamd.version.age_days(now) else {
        let message = format!(
            "clamd at {address} does not say how old its signatures are: {}",
            clamd.version.text
        );
        return check("clamd-signatures", address, CheckStatus::Unknown, message);
    };
    let (status, message) = if days > SIGNATURES_MAX_DAYS {
        let message = format!(
            "the signatures of clamd at {address} are {days:.0} days old; run freshclam there"
        );
        (CheckStatus::Warning, message)
    } else {
        let message = format!("the signatures of clamd at {address} are {days:.1} days old");
        (CheckStatus::Ok, message)
    };
    let signatures = check("clamd-signatures", address, status, message);
    Check {
        value: Some((days * 10.0).round() / 10.0),
        unit: Some("days".to_owned()),
        warning: Some(SIGNATURES_MAX_DAYS),
        ..signatures
    }
}

/// What a clamd says OK to although it has not looked into it. Sizes are found out by trying; these
/// two are not seen from outside.
fn silence(address: &Address, clamd: &Introduction) -> Check {
    let mut silent = Vec::new();
    if !clamd.names_encrypted {
        silent.push("encrypted archives (AlertEncrypted yes)");
    }
    if !clamd.names_limits {
        silent.push("what lies beyond its limits inside archives (AlertExceedsMax yes)");
    }
    if silent.is_empty() {
        let message =
            format!("clamd at {address} names encrypted archives and the limits that it meets");
        return check("clamd-silence", address, CheckStatus::Ok, message);
    }
    let message = format!(
        "clamd at {address} says OK to {}: set what is in brackets in its clamd.conf",
        silent.join(" and to ")
    );
    check("clamd-silence", address, CheckStatus::Warning, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_common::clamav::Version;

    fn clamd(version: &str) -> Introduction {
        Introduction {
            version: Version::parse(version.as_bytes()).unwrap(),
            threads: Some(10),
            route: Route::Stream,
            names_encrypted: false,
            names_limits: true,
            opens_rar: true,
        }
    }

    #[test]
    fn old_signatures_are_a_warning() {
        let address: Address = "tcp:av:3310".parse().unwrap();
        let now: Timestamp = "2026-11-09T12:00:00Z".parse().unwrap();
        let status = |version: &str| signatures(&address, &clamd(version), now).status;
        assert_eq!(
            status("ClamAV 1/1/Sun Nov  1 12:00:00 2026"),
            CheckStatus::Warning
        );
        assert_eq!(
            status("ClamAV 1/1/Mon Nov  2 12:30:00 2026"),
            CheckStatus::Ok
        );
        assert_eq!(status("ClamAV 1"), CheckStatus::Unknown);
    }

    #[test]
    fn what_a_clamd_is_silent_about_is_named() {
        let address: Address = "tcp:av:3310".parse().unwrap();
        let check = silence(&address, &clamd("ClamAV 1"));
        assert_eq!(check.status, CheckStatus::Warning);
        assert!(
            check.message.contains("AlertEncrypted") && !check.message.contains("AlertExceedsMax"),
            "{}",
            check.message
        );
    }
}
