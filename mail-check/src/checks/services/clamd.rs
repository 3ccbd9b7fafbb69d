//! clamd: whether it answers, and how old its signatures are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use mail_common::clamav::Version;

use super::answer::{answered, down, most_of};
use super::settings::Settings;
use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::net::{Line, NetError, Place};
use crate::probe::Probe;

pub(super) fn probes(settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    let mut places = settings.clamd.clone();
    let mut probes = Vec::new();
    match context
        .server
        .clamd_address
        .as_deref()
        .map(str::parse::<Place>)
    {
        Some(Ok(place)) if !places.contains(&place) => places.push(place),
        Some(Err(error)) => {
            let why = format!("CLAMD_ADDRESS: {error}");
            probes.push(Probe::unknown("clamd", "CLAMD_ADDRESS", why));
        }
        _ => {}
    }
    for place in places {
        probes.push(probe(place, settings, context));
    }
    probes
}

fn probe(place: Place, settings: &Settings, context: &Arc<Context>) -> Probe {
    let (within, now) = (context.timeout, context.now.timestamp());
    let (response, signatures) = (settings.response, settings.signatures);
    Probe::new("clamd", place.to_string(), within, move || {
        check(&place, most_of(within) / 2, response, signatures, now)
    })
}

/// Each of two questions may take `within`.
fn check(
    place: &Place,
    within: Duration,
    response: Ceiling,
    signatures: Ceiling,
    now: Timestamp,
) -> Vec<Finding> {
    let target = place.to_string();
    let begun = Instant::now();
    let pong = ask(place, b"zPING\0", within);
    let seconds = begun.elapsed().as_secs_f64();
    let answer = match pong {
        Ok(reply) if reply == "PONG" => answered(("clamd", &target), seconds, response),
        Ok(reply) => {
            let why = format!("it answers PING with {reply:?}, not PONG");
            down(("clamd", &target), why, seconds, response)
        }
        Err(error) => return vec![down(("clamd", &target), error, seconds, response)],
    };
    let version = ask(place, b"zVERSION\0", within).map_err(|error| error.to_string());
    vec![answer, judge_signatures(&target, version, now, signatures)]
}

fn ask(place: &Place, command: &[u8], within: Duration) -> Result<String, NetError> {
    let mut line = Line::connect(place, within)?;
    line.send(command)?;
    let reply = line.read_until(0, "a reply of clamd")?;
    let text = String::from_utf8_lossy(&reply);
    Ok(mail_common::text::printable(
        text.trim_end_matches('\0').trim(),
    ))
}

fn judge_signatures(
    target: &str,
    version: Result<String, String>,
    now: Timestamp,
    limits: Ceiling,
) -> Finding {
    const NAME: &str = "clamd-signatures";
    let version = match version {
        Ok(version) => version,
        Err(error) => return Finding::unknown(NAME, target, error),
    };
    let parsed = Version::parse(version.as_bytes());
    let Some(days) = parsed.and_then(|parsed| parsed.age_days(now)) else {
        let message =
            format!("{version:?} does not tell how old the signatures are; run freshclam");
        return Finding::unknown(NAME, target, message);
    };
    let mut finding = Finding::ok(
        NAME,
        target,
        format!("the signatures are {days:.1} days old"),
    )
    .under(days, "days", limits);
    if finding.status != crate::status::Status::Ok {
        finding.message += "; new malware is not found: see the log of freshclam";
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn the_age_of_signatures_is_judged() {
        let now: Timestamp = "2026-11-09T00:00:00Z".parse().unwrap();
        let check = |version: Result<&str, &str>, expected: Status| {
            let version = version.map(str::to_owned).map_err(str::to_owned);
            let finding = judge_signatures("x", version, now, Ceiling::warning(7.0));
            assert_eq!(finding.status, expected, "{finding:?}");
        };
        check(Ok("ClamAV 1.4.6/1/Sun Nov  8 00:00:00 2026"), Status::Ok);
        check(
            Ok("ClamAV 1.4.6/1/Sun Nov  1 00:00:00 2026"),
            Status::Warning,
        );
        check(
            Ok("ClamAV 1.4.6/1/Thu Jan  1 00:00:00 1970"),
            Status::Unknown,
        );
        check(Ok("ClamAV 1.4.6"), Status::Unknown);
        check(Err("it hangs"), Status::Unknown);
    }
}
