//! Whether the clock is kept, as the programs that keep it say.

use std::time::Duration;

use crate::command::{self, CommandError};
use crate::finding::Finding;

/// A program that knows, its arguments, and how to read its answer.
struct Keeper {
    program: &'static str,
    args: &'static [&'static str],
    read: fn(&str) -> Option<bool>,
}

/// In the order in which they are asked; the first that knows is believed.
const KEEPERS: [Keeper; 3] = [
    Keeper {
        program: "chronyc",
        args: &["-n", "tracking"],
        read: chrony,
    },
    Keeper {
        program: "timedatectl",
        args: &["show", "--property=NTPSynchronized", "--value"],
        read: systemd,
    },
    Keeper {
        program: "adjtimex",
        args: &["--print"],
        read: kernel,
    },
];

/// All of them together may take `within`.
pub(super) fn check(within: Duration) -> Vec<Finding> {
    let within = within / 4;
    let answer = KEEPERS
        .iter()
        .find_map(|keeper| ask(keeper, within).map(|kept| (keeper.program, kept)));
    vec![judge(answer)]
}

/// `None` when it is not there or does not know.
fn ask(keeper: &Keeper, within: Duration) -> Option<bool> {
    let output: Result<String, CommandError> = command::output(keeper.program, keeper.args, within);
    output.ok().and_then(|text| (keeper.read)(&text))
}

fn judge(answer: Option<(&str, bool)>) -> Finding {
    match answer {
        Some((program, true)) => Finding::ok(
            "time-sync",
            "clock",
            format!("the clock is kept, says {program}"),
        ),
        Some((program, false)) => {
            let message =
                format!("the clock is not kept, says {program}; see timedatectl timesync-status");
            Finding::warning("time-sync", "clock", message)
        }
        None => {
            let message = "neither chronyc, timedatectl nor adjtimex says whether the clock \
                           is kept; install one, or set time_sync = false in [resources]";
            Finding::unknown("time-sync", "clock", message)
        }
    }
}

fn chrony(text: &str) -> Option<bool> {
    let status = text
        .lines()
        .find_map(|line| line.strip_prefix("Leap status"))?;
    Some(!status.contains("Not synchronised"))
}

fn systemd(text: &str) -> Option<bool> {
    match text.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// STA_UNSYNC of adjtimex(2).
fn kernel(text: &str) -> Option<bool> {
    const STA_UNSYNC: u32 = 0x40;
    let status = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("status:"))?;
    let status: u32 = status.trim().split(' ').next()?.parse().ok()?;
    Some(status & STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn each_program_is_understood() {
        assert_eq!(
            chrony("Reference ID : 1\nLeap status     : Normal\n"),
            Some(true)
        );
        assert_eq!(chrony("Leap status     : Not synchronised\n"), Some(false));
        assert_eq!(chrony("506 Cannot talk to daemon\n"), None);
        assert_eq!(
            (systemd("yes\n"), systemd("no\n"), systemd("")),
            (Some(true), Some(false), None)
        );
        assert_eq!(kernel("         mode: 0\n       status: 64\n"), Some(false));
        assert_eq!(kernel("       status: 8193\n"), Some(true));
    }

    #[test]
    fn nobody_who_knows_is_not_ok() {
        assert_eq!(judge(None).status, Status::Unknown);
        assert_eq!(judge(Some(("chronyc", false))).status, Status::Warning);
    }
}
