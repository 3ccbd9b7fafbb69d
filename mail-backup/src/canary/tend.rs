//! Whether the canary is as it was made.

use std::io::{self, Read};

use jiff::Timestamp;
use mail_common::beneath::Beneath;
use mail_common::checksum::Sha256;
use mail_common::maildir::unique_name;
use mail_common::record::{Canary, CanaryState};
use mail_common::relpath::RelPath;
use mail_common::set::BackupRoot;
use mail_common::suspicion::{DayRun, Hold, Rule};
use rustix::io::Errno;

use super::make::{make, text};
use super::place::{CanaryPlan, child, is_absence, names_in};
use crate::error::Error;

/// The message is much shorter.
const MAX_BYTES: u64 = 64 << 10;

/// What a run says of it.
#[derive(Debug, Default)]
pub(crate) struct Tended {
    /// `None` where nothing is known of it.
    pub(crate) record: Option<Canary>,
    /// Why this is an alarm.
    pub(crate) alarm: Option<String>,
    /// What a person should know.
    pub(crate) notice: Option<String>,
    /// Why nobody could look after it. The set is good without: what is wrong is the run.
    pub(crate) failure: Option<Error>,
}

/// What stands where the canary was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    AsMade,
    Changed,
    Nothing,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Make,
    Record(CanaryState),
    Raise(CanaryState),
}

/// Looks after the canary, and makes it where there has been none, or where somebody has accepted
/// that it is gone. `runs` are those that made the sets of the root.
pub(crate) fn tend(
    plan: &CanaryPlan,
    root: &BackupRoot,
    runs: &[DayRun],
    now: Timestamp,
) -> Result<Tended, Error> {
    let known = runs.iter().filter(|run| run.records.canary.is_some());
    let known = known.max_by_key(|run| (run.begun, run.set));
    let known = known.and_then(|run| run.records.canary.clone());
    let is_open = Hold::of(root)?.is_some_and(|hold| is_raised(&hold));
    let tended = plan.tend(known, is_open, now);
    Ok(tended.unwrap_or_else(|error| plan.untended(error)))
}

/// Whether an alarm of it waits for somebody, or may: a hold that cannot be read may be of it.
fn is_raised(hold: &Hold) -> bool {
    let name = Rule::Canary.name();
    hold.unreadable.is_some() || hold.alarms.iter().any(|alarm| alarm.rule == name)
}

fn step(known: Option<CanaryState>, met: Met, raised: Raised) -> Step {
    let bad = match met {
        Met::AsMade => return Step::Record(CanaryState::There),
        Met::Changed => CanaryState::Changed,
        Met::Nothing => CanaryState::Gone,
    };
    match (known, raised) {
        (None, _) => Step::Make,
        (Some(CanaryState::Made | CanaryState::There), _) => Step::Raise(bad),
        (Some(CanaryState::Gone | CanaryState::Changed), Raised::Before) => Step::Record(bad),
        // Somebody has looked.
        (Some(CanaryState::Gone | CanaryState::Changed), Raised::No) => Step::Make,
    }
}

/// Whether an alarm of the canary is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Raised {
    Before,
    No,
}

impl CanaryPlan {
    fn tend(&self, known: Option<Canary>, is_open: bool, now: Timestamp) -> io::Result<Tended> {
        let root = Beneath::open(&self.mail_dir)?;
        let known = match known {
            None => self.find(&root)?,
            known => known,
        };
        let met = match &known {
            Some(canary) => look(&root, canary)?,
            None => Met::Nothing,
        };
        let raised = if is_open { Raised::Before } else { Raised::No };
        let state = known.as_ref().map(|canary| canary.state);
        let (state, raises) = match step(state, met, raised) {
            Step::Make => return self.make(&root, now),
            Step::Record(state) => (state, false),
            Step::Raise(state) => (state, true),
        };
        let record = known.map(|canary| Canary { state, ..canary });
        let alarm = record.as_ref().filter(|_| raises).map(words);
        Ok(Tended {
            record,
            alarm,
            ..Tended::default()
        })
    }

    fn untended(&self, source: io::Error) -> Tended {
        let advice = match Errno::from_io_error(&source) {
            Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => format!(
                "; mail-backup has to write there: its unit needs ReadWritePaths=-{}",
                self.mail_dir.display()
            ),
            _ => String::new(),
        };
        let failure = Error::Canary {
            place: self.mail_dir.join(self.directory().as_path()),
            advice,
            source,
        };
        Tended {
            notice: Some(mail_common::report::chain(&failure)),
            failure: Some(failure),
            ..Tended::default()
        }
    }

    fn make(&self, root: &Beneath, now: Timestamp) -> io::Result<Tended> {
        let Some(made) = make(root, self, now)? else {
            let notice = "there is no mailbox yet, so BACKUP_CANARY has none to watch over";
            return Ok(Tended {
                notice: Some(notice.to_owned()),
                ..Tended::default()
            });
        };
        Ok(Tended {
            record: Some(made),
            ..Tended::default()
        })
    }

    /// The canary that an earlier run made, by its text.
    fn find(&self, root: &Beneath) -> io::Result<Option<Canary>> {
        let cur = child(&self.directory(), b"cur")?;
        for name in names_in(root, &cur)? {
            let path = child(&cur, &name)?;
            let Some(text) = String::from_utf8(unique_name(&name).to_owned())
                .ok()
                .map(|unique| text(&unique))
            else {
                continue;
            };
            let sha256 = Sha256::of(text.as_bytes());
            if digest(root, &path)? == Some(sha256) {
                return Ok(Some(Canary {
                    path: path.to_string(),
                    sha256,
                    state: CanaryState::There,
                }));
            }
        }
        Ok(None)
    }
}

fn words(canary: &Canary) -> String {
    let path = mail_common::text::printable(&canary.path);
    match canary.state {
        CanaryState::Changed => format!("the message that nobody touches has changed: {path}"),
        CanaryState::Gone => format!("the message that nobody touches is gone: {path}"),
        CanaryState::Made | CanaryState::There => {
            format!("the message that nobody touches is there: {path}")
        }
    }
}

/// Looks for the canary by its unique name. Its flags may be others.
fn look(root: &Beneath, canary: &Canary) -> io::Result<Met> {
    let path: RelPath = canary.path.parse().map_err(io::Error::other)?;
    let unique = unique_name(path.name());
    let mailbox = path.parent().and_then(|cur| cur.parent());
    let mailbox = mailbox.unwrap_or_else(RelPath::root);
    let mut met = Met::Nothing;
    for folder in [&b"cur"[..], b"new"] {
        let folder = child(&mailbox, folder)?;
        for name in names_in(root, &folder)? {
            if unique_name(&name) != unique {
                continue;
            }
            if digest(root, &child(&folder, &name)?)? == Some(canary.sha256) {
                return Ok(Met::AsMade);
            }
            met = Met::Changed;
        }
    }
    Ok(met)
}

/// The digest of a file; `None` when it is too long, or no longer a file.
fn digest(root: &Beneath, path: &RelPath) -> io::Result<Option<Sha256>> {
    let file = match root.regular_file(path) {
        Err(error) if is_absence(&error) => return Ok(None),
        opened => opened?,
    };
    let mut content = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= MAX_BYTES).then(|| Sha256::of(&content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canary_is_made_once_and_again_when_somebody_has_accepted_that_it_is_gone() {
        use CanaryState::{Changed, Gone, Made, There};
        let check = |known, met, raised, expected| assert_eq!(step(known, met, raised), expected);
        check(None, Met::Nothing, Raised::No, Step::Make);
        check(None, Met::Nothing, Raised::Before, Step::Make);
        check(Some(Made), Met::AsMade, Raised::No, Step::Record(There));
        check(Some(There), Met::Nothing, Raised::No, Step::Raise(Gone));
        check(Some(Made), Met::Changed, Raised::No, Step::Raise(Changed));
        check(Some(Gone), Met::Nothing, Raised::Before, Step::Record(Gone));
        check(
            Some(Gone),
            Met::Changed,
            Raised::Before,
            Step::Record(Changed),
        );
        check(Some(Gone), Met::AsMade, Raised::Before, Step::Record(There));
        check(Some(Changed), Met::Changed, Raised::No, Step::Make);
    }
}
