//! Whether a scanner has found the files of a set clean that are to be used. What it did not see is
//! not clean.
//!
//! A clean verdict counts only when it is on this file of this set, on the file itself and not on a
//! member of it, has the digest that the set records, was given by a scanner, and no scan of the
//! stream could not finish: a scanner that lost its trust in clamd may have reported clean before.
//! The worst that anybody reported of a file or of a member of it counts in every case.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, FailureKind};
use crate::record::{Verdict, VerdictStatus};
use crate::relpath::{PathField, RelPath};
use crate::set::SetFile;
use crate::upstream::{Ending, SCANNER, SetName, Statement, ToolRun, Upstream};

/// Why a file is not known to be clean.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// A signature matched.
    #[error("{path} is infected with {signature}")]
    Infected {
        /// The file, relative to the set.
        path: RelPath,
        /// What was found.
        signature: String,
    },
    /// The scanner reports it as unscanned.
    #[error("{path} was not scanned: {reason}")]
    Unscanned {
        /// The file, relative to the set.
        path: RelPath,
        /// Why.
        reason: String,
    },
    /// A scan could not finish.
    #[error("{path} was not scanned: {SCANNER} {ending}; scan it again")]
    UnfinishedScan {
        /// The file, relative to the set.
        path: RelPath,
        /// How that scan ended.
        ending: String,
    },
    /// What was called clean is not what the set holds.
    #[error("{path} is not what was scanned: its verdict is for another content")]
    OtherContent {
        /// The file, relative to the set.
        path: RelPath,
    },
    /// It was called clean by another tool than the scanner.
    #[error("{path} was called clean, but not by {SCANNER}")]
    NotByScanner {
        /// The file, relative to the set.
        path: RelPath,
    },
    /// There is no verdict on the file itself.
    #[error("{path} has no verdict")]
    NoVerdict {
        /// The file, relative to the set.
        path: RelPath,
    },
}

impl Refusal {
    /// The file, relative to the set.
    #[must_use]
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Infected { path, .. }
            | Self::Unscanned { path, .. }
            | Self::UnfinishedScan { path, .. }
            | Self::OtherContent { path }
            | Self::NotByScanner { path }
            | Self::NoVerdict { path } => path,
        }
    }
}

impl Failure for Refusal {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Infected { .. } => FailureKind::Infected,
            Self::Unscanned { .. }
            | Self::UnfinishedScan { .. }
            | Self::OtherContent { .. }
            | Self::NotByScanner { .. }
            | Self::NoVerdict { .. } => FailureKind::Unscanned,
        }
    }
}

/// A file that is not known to be clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFile {
    /// Why.
    pub refusal: Refusal,
    /// The members because of which it is refused, where all else in it is clean: a scanner that
    /// could finish has read this very content to its end, and the worst of the file is that of
    /// members with names. `None` where the file is refused as a whole.
    pub members: Option<Vec<RefusedMember>>,
}

/// A member of an archive that is not known to be clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedMember {
    /// Its name: in an archive of a mailbox that of the day of the set.
    pub member: RelPath,
    /// Why; the path is that of the archive.
    pub refusal: Refusal,
}

/// Which of `files` of the set in the directory `set` are not known to be clean by what `upstream`
/// says, in their order.
pub fn refusals<'a>(
    upstream: &Upstream,
    set: &Path,
    files: impl IntoIterator<Item = &'a SetFile>,
) -> Vec<Refusal> {
    let refused = refused_files(upstream, set, files).into_iter();
    refused.map(|file| file.refusal).collect()
}

/// The same, with the members that are the reason.
pub fn refused_files<'a>(
    upstream: &Upstream,
    set: &Path,
    files: impl IntoIterator<Item = &'a SetFile>,
) -> Vec<RefusedFile> {
    let mut known: HashMap<SetName<'_>, bool> = HashMap::new();
    let resolved = set.canonicalize().ok();
    let clearance = Clearance::new(upstream, |name| {
        *known
            .entry(name)
            .or_insert_with(|| is_directory(name, set, resolved.as_ref()))
    });
    let refused = |file| {
        Some(RefusedFile {
            refusal: clearance.refusal(file)?,
            members: clearance.refused_members(file),
        })
    };
    files.into_iter().filter_map(refused).collect()
}

/// Whether `name` is the set in the directory `set`, which links may lead to.
fn is_directory(name: SetName<'_>, set: &Path, resolved: Option<&PathBuf>) -> bool {
    let named = name.directory();
    named == set || named.canonicalize().ok().as_ref() == resolved && resolved.is_some()
}

/// The verdicts on the files of one set.
#[derive(Debug)]
struct Clearance<'a> {
    by_path: HashMap<RelPath, Vec<&'a Statement>>,
    /// How the first scan ended that could not finish.
    unfinished: Option<String>,
}

impl<'a> Clearance<'a> {
    fn new(upstream: &'a Upstream, mut is_set: impl FnMut(SetName<'a>) -> bool) -> Self {
        let mut by_path: HashMap<RelPath, Vec<&Statement>> = HashMap::new();
        for statement in &upstream.verdicts {
            let verdict = &statement.verdict;
            if SetName::of_verdict(verdict).is_some_and(&mut is_set)
                && let Ok(path) = RelPath::try_from(&verdict.path)
            {
                by_path.entry(path).or_default().push(statement);
            }
        }
        let mut scans = upstream.runs.of(SCANNER);
        Self {
            by_path,
            unfinished: scans.find_map(unfinished),
        }
    }

    fn refusal(&self, file: &SetFile) -> Option<Refusal> {
        let path = file.path.clone();
        let statements = self.by_path.get(&file.path).map_or(&[][..], Vec::as_slice);
        let with = |status| {
            let mut verdicts = statements.iter().map(|statement| &statement.verdict);
            verdicts.find(|verdict| verdict.status == status)
        };
        if let Some(verdict) = with(VerdictStatus::Infected) {
            let signature = signature_of(verdict);
            return Some(Refusal::Infected { path, signature });
        }
        if let Some(verdict) = with(VerdictStatus::Unscanned) {
            let reason = reason_of(verdict);
            return Some(Refusal::Unscanned { path, reason });
        }
        // Nothing but clean from here on.
        let of_file: Vec<&&Statement> = statements
            .iter()
            .filter(|statement| is_on_file_itself(&statement.verdict))
            .collect();
        if of_file.is_empty() {
            return Some(Refusal::NoVerdict { path });
        }
        let is_content = |verdict: &Verdict| verdict.sha256 == Some(file.sha256);
        let of_content: Vec<_> = of_file
            .iter()
            .filter(|statement| is_content(&statement.verdict))
            .collect();
        if of_content.is_empty() {
            return Some(Refusal::OtherContent { path });
        }
        if !of_content.iter().any(|statement| statement.is_of_scanner) {
            return Some(Refusal::NotByScanner { path });
        }
        let ending = self.unfinished.clone()?;
        Some(Refusal::UnfinishedScan { path, ending })
    }
}

impl Clearance<'_> {
    /// mail-scan gives the digest of an archive only where it has read it to its end, and a verdict
    /// of its own to each member that is not clean.
    fn refused_members(&self, file: &SetFile) -> Option<Vec<RefusedMember>> {
        let statements = self.by_path.get(&file.path)?;
        let (of_file, of_members): (Vec<&Statement>, Vec<&Statement>) = statements
            .iter()
            .partition(|statement| is_on_file_itself(&statement.verdict));
        let is_clean = |statement: &&Statement| statement.verdict.status == VerdictStatus::Clean;
        let bad: Vec<&Verdict> = of_members
            .iter()
            .filter(|statement| !is_clean(statement))
            .map(|statement| &statement.verdict)
            .collect();
        let is_content = |statement: &&Statement| statement.verdict.sha256 == Some(file.sha256);
        let was_read = of_file
            .iter()
            .any(|statement| is_content(statement) && statement.is_of_scanner);
        let is_by_members = of_file.iter().all(|statement| {
            is_clean(statement) || is_content(statement) && says_no_more(&statement.verdict, &bad)
        });
        if self.unfinished.is_some() || bad.is_empty() || !was_read || !is_by_members {
            return None;
        }
        let members = bad.into_iter().map(|verdict| refused_member(file, verdict));
        members.collect()
    }
}

/// Whether the verdict on a file says no more than those on its members did: mail-scan repeats the
/// first signature, or ends with the first reason.
fn says_no_more(of_file: &Verdict, members: &[&Verdict]) -> bool {
    match of_file.status {
        VerdictStatus::Clean => true,
        VerdictStatus::Infected => members.iter().any(|member| {
            member.status == VerdictStatus::Infected && member.signature == of_file.signature
        }),
        VerdictStatus::Unscanned => of_file.reason.as_ref().is_some_and(|reason| {
            let reasons = members.iter().filter_map(|member| member.reason.as_ref());
            reasons
                .into_iter()
                .any(|of_member| reason.ends_with(of_member.as_str()))
        }),
    }
}

fn refused_member(file: &SetFile, verdict: &Verdict) -> Option<RefusedMember> {
    let member = RelPath::try_from(&PathField {
        path: verdict.member.clone()?,
        path_b64: verdict.member_b64.clone(),
    });
    let path = file.path.clone();
    let refusal = match verdict.status {
        VerdictStatus::Infected => Refusal::Infected {
            path,
            signature: signature_of(verdict),
        },
        VerdictStatus::Clean | VerdictStatus::Unscanned => Refusal::Unscanned {
            path,
            reason: reason_of(verdict),
        },
    };
    Some(RefusedMember {
        member: member.ok()?,
        refusal,
    })
}

fn signature_of(verdict: &Verdict) -> String {
    let signature = verdict.signature.clone();
    signature.unwrap_or_else(|| "no name".to_owned())
}

fn reason_of(verdict: &Verdict) -> String {
    let reason = verdict.reason.clone();
    reason.unwrap_or_else(|| "no reason given".to_owned())
}

fn is_on_file_itself(verdict: &Verdict) -> bool {
    verdict.member.is_none() && verdict.member_b64.is_none()
}

/// How a run ended that could not finish; `None` of others.
fn unfinished(run: &ToolRun) -> Option<String> {
    if run.ending().is_finished() {
        return None;
    }
    Some(match (&run.end, run.ending()) {
        (Some(end), Ending::Locked) => format!("was locked out (exit code {})", end.exit),
        (Some(end), _) => format!("could not finish (exit code {})", end.exit),
        (None, _) => "died".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Sha256;
    use crate::set::FileFacts;
    use serde_json::{Value, json};

    const SET: &str = "/b/daily/2026-11-23";

    fn file(path: &[u8]) -> SetFile {
        SetFile::from(FileFacts {
            path: RelPath::new(path).unwrap(),
            sha256: Sha256::of(b"dkim"),
            component: None,
            recorded: None,
        })
    }

    fn begin(tool: &str) -> Value {
        json!({"type": "begin", "data": {
            "v": 1, "tool": tool, "version": "1", "host": "mx", "time": "t", "args": []}})
    }

    fn end(tool: &str, exit: u8) -> Value {
        json!({"type": "end", "data": {
            "tool": tool, "status": "ok", "exit": exit, "seconds": 1, "totals": {}}})
    }

    /// A clean verdict on the file, with these fields changed; `null` takes one out.
    #[expect(clippy::needless_pass_by_value, reason = "given as json!(..)")]
    fn verdict(changes: Value) -> Value {
        let mut data = json!({
            "root": "/b", "set": "daily/2026-11-23", "path": "dkim/dkim.tar.zst",
            "sha256": Sha256::of(b"dkim"), "status": "clean", "engine": "ClamAV"});
        for (key, value) in changes.as_object().unwrap() {
            if value.is_null() {
                data.as_object_mut().unwrap().remove(key);
            } else {
                data[key] = value.clone();
            }
        }
        json!({"type": "verdict", "data": data})
    }

    fn clean() -> Value {
        verdict(json!({}))
    }

    /// Records between the begin and the end of a scan that ends with `exit`.
    fn scan(exit: u8, records: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let mut stream = vec![begin("mail-scan")];
        stream.extend(records);
        stream.push(end("mail-scan", exit));
        stream
    }

    fn refusal_of(file: &SetFile, stream: &[Value]) -> Option<Refusal> {
        let mut upstream = Upstream::default();
        for record in stream {
            upstream.add(serde_json::from_value(record.clone()).unwrap());
        }
        let mut refused = refusals(&upstream, Path::new(SET), [file]);
        assert!(refused.len() <= 1);
        refused.pop()
    }

    #[track_caller]
    fn check(stream: &[Value], expected: &str) {
        let found = refusal_of(&file(b"dkim/dkim.tar.zst"), stream);
        let found = found.map_or_else(|| "clean".to_owned(), |refusal| refusal.to_string());
        assert_eq!(
            found.replace("dkim/dkim.tar.zst ", ""),
            expected,
            "{stream:#?}"
        );
    }

    const NO_VERDICT: &str = "has no verdict";
    const OTHER: &str = "is not what was scanned: its verdict is for another content";
    const UNFINISHED: &str =
        "was not scanned: mail-scan could not finish (exit code 3); scan it again";

    #[test]
    fn a_clean_verdict_on_the_file_itself_is_clean() {
        check(&scan(0, [clean()]), "clean");
        check(&scan(1, [clean()]), "clean");
        check(&scan(0, [clean(), clean()]), "clean");
    }

    #[test]
    fn root_set_path_and_file_must_be_the_same() {
        check(&scan(0, []), NO_VERDICT);
        for changes in [
            json!({"root": "/c"}),
            json!({"root": null}),
            json!({"set": "daily/2026-11-22"}),
            json!({"set": null}),
            json!({"path": "dkim/other"}),
            json!({"path": "/b/daily/2026-11-23/dkim/dkim.tar.zst", "root": null, "set": null}),
            json!({"path": "../2026-11-23/dkim/dkim.tar.zst"}),
            json!({"path_b64": "b3RoZXI="}),
            json!({"member": "keys/a"}),
            json!({"member_b64": "/w=="}),
        ] {
            check(&scan(0, [verdict(changes)]), NO_VERDICT);
        }
    }

    #[test]
    fn only_the_content_that_was_scanned_is_clean() {
        let other = || verdict(json!({"sha256": "0".repeat(64)}));
        check(&scan(0, [other()]), OTHER);
        check(&scan(0, [verdict(json!({"sha256": null}))]), OTHER);
        // An older scan of what the set held before stands for nothing, and harms nothing.
        check(&scan(0, [other(), clean()]), "clean");
        check(&scan(0, [clean(), other()]), "clean");
        // A member with the digest of the file says nothing of the file.
        check(&scan(0, [other(), verdict(json!({"member": "a"}))]), OTHER);
    }

    #[test]
    fn the_worst_on_file_or_member_counts_whoever_says_it() {
        let infected = |changes: Value| {
            let mut verdict = verdict(changes);
            verdict["data"]["status"] = "infected".into();
            verdict["data"]["signature"] = "Eicar".into();
            verdict
        };
        let unscanned = || verdict(json!({"status": "unscanned", "reason": "too large"}));
        let is_infected = "is infected with Eicar";
        check(&scan(1, [clean(), infected(json!({}))]), is_infected);
        let member = || infected(json!({"member": "cur/1", "sha256": null}));
        check(&scan(1, [clean(), member()]), is_infected);
        check(&scan(1, [member(), clean()]), is_infected);
        check(&scan(1, [unscanned(), member(), clean()]), is_infected);
        let is_unscanned = "was not scanned: too large";
        check(&scan(1, [clean(), unscanned()]), is_unscanned);
        check(&scan(3, [clean(), unscanned()]), is_unscanned);
        let bare = verdict(json!({"status": "unscanned"}));
        check(&scan(1, [bare]), "was not scanned: no reason given");
        // Another set, another tool, another scan.
        let elsewhere = infected(json!({"set": "daily/2026-11-22"}));
        check(&scan(1, [clean(), elsewhere]), "clean");
        let stream = [scan(0, [clean()]), vec![infected(json!({}))]].concat();
        check(&stream, is_infected);
        check(
            &[scan(1, [infected(json!({}))]), scan(0, [clean()])].concat(),
            is_infected,
        );
    }

    #[test]
    fn members_are_refused_alone_where_the_scanner_has_read_all_of_the_file() {
        let check = |stream: &[Value], expected: Option<&[&str]>| {
            let mut upstream = Upstream::default();
            for record in stream {
                upstream.add(serde_json::from_value(record.clone()).unwrap());
            }
            let file = file(b"dkim/dkim.tar.zst");
            let refused = refused_files(&upstream, Path::new(SET), [&file]).pop();
            let found = refused.and_then(|file| file.members).map(|members| {
                let text = |it: RefusedMember| format!("{}: {}", it.member, it.refusal);
                members.into_iter().map(text).collect::<Vec<_>>()
            });
            let found = found.map(|found| found.join("; ").replace("dkim/dkim.tar.zst ", ""));
            assert_eq!(found, expected.map(|it| it.join("; ")), "{stream:#?}");
        };
        let infected = |changes: Value| {
            let mut verdict = verdict(changes);
            verdict["data"]["status"] = "infected".into();
            verdict["data"]["signature"] = "Eicar".into();
            verdict
        };
        let whole = || infected(json!({}));
        let member = || infected(json!({"member": "keys/a", "sha256": null}));
        let unscanned =
            || verdict(json!({"member": "keys/b", "status": "unscanned", "reason": "too large"}));
        let of_a = "keys/a: is infected with Eicar";
        let of_b = "keys/b: was not scanned: too large";
        check(&scan(1, [member(), whole()]), Some(&[of_a]));
        check(
            &scan(1, [unscanned(), member(), whole()]),
            Some(&[of_b, of_a]),
        );
        // Nobody says which member it is, or it was not read to its end.
        check(&scan(1, [whole()]), None);
        check(&scan(1, [member()]), None);
        let cut = || verdict(json!({"status": "unscanned", "sha256": null}));
        check(&scan(1, [member(), cut()]), None);
        check(&scan(1, [member(), whole(), cut()]), None);
        let other = infected(json!({"sha256": "0".repeat(64)}));
        check(&scan(1, [member(), other]), None);
        // Not by a scanner, or by one that could not finish.
        check(&scan(3, [member(), whole()]), None);
        check(&[vec![member(), whole()], scan(0, [])].concat(), None);
        // Something else was found in the file than in its members.
        let mut other = infected(json!({}));
        other["data"]["signature"] = "Worm".into();
        check(&scan(1, [member(), other]), None);
        check(&scan(1, [unscanned(), whole()]), None);
        let of_file = |reason: &str| verdict(json!({"status": "unscanned", "reason": reason}));
        let counted = of_file("1 of 9 members not scanned: too large");
        check(&scan(1, [unscanned(), counted]), Some(&[of_b]));
        check(&scan(1, [unscanned(), of_file("damaged")]), None);
        let escapes = infected(json!({"member": "../keys", "sha256": null}));
        check(&scan(1, [escapes, member(), whole()]), None);
    }

    #[test]
    fn a_stream_with_a_scan_that_could_not_finish_makes_nothing_clean() {
        check(&scan(3, [clean()]), UNFINISHED);
        check(&[scan(3, [clean()]), scan(0, [])].concat(), UNFINISHED);
        check(&[scan(0, [clean()]), scan(3, [])].concat(), UNFINISHED);
        check(&[scan(3, []), scan(0, [clean()])].concat(), UNFINISHED);
        let dead = vec![begin("mail-scan"), clean()];
        check(&dead, "was not scanned: mail-scan died; scan it again");
        let locked = "was not scanned: mail-scan was locked out (exit code 4); scan it again";
        check(&scan(4, [clean()]), locked);
        // What the stream leaves out is named first.
        check(&scan(3, []), NO_VERDICT);
    }

    #[test]
    fn only_the_verdict_of_a_scanner_is_clean() {
        let by = |tool: &str| vec![begin(tool), clean(), end(tool, 0)];
        let not_by_scanner = "was called clean, but not by mail-scan";
        check(&by("mail-backup"), not_by_scanner);
        check(&by("mail-scan2"), not_by_scanner);
        // A scan that comes after the verdict, or has ended before it, did not give it.
        check(&[vec![clean()], scan(0, [])].concat(), not_by_scanner);
        check(&[scan(0, []), vec![clean()]].concat(), not_by_scanner);
        check(&scan(0, by("mail-backup")), not_by_scanner);
        // As a pipeline has it: each tool passes on what came before, then speaks for itself.
        let backup = [begin("mail-backup"), end("mail-backup", 0)];
        check(&scan(0, backup.into_iter().chain([clean()])), "clean");
        let mut checked = vec![begin("mail-check")];
        checked.extend(scan(0, [clean()]));
        checked.push(end("mail-check", 2));
        check(&checked, "clean");
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_known_by_its_bytes() {
        let of = |b64: &str| verdict(json!({"path": "dkim/\u{fffd}", "path_b64": b64}));
        let file = file(b"dkim/\xff");
        // dkim/\xff, dkim/\xfe
        assert_eq!(refusal_of(&file, &scan(0, [of("ZGtpbS//")])), None);
        let other = refusal_of(&file, &scan(0, [of("ZGtpbS/+")]));
        assert!(
            matches!(other, Some(Refusal::NoVerdict { .. })),
            "{other:?}"
        );
    }

    #[test]
    fn a_set_is_the_same_by_another_path_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path().join("b/daily/2026-11-23");
        crate::atomic::create_dir_all(&set).unwrap();
        std::os::unix::fs::symlink("b", dir.path().join("link")).unwrap();
        let root = dir.path().join("link");
        let mut upstream = Upstream::default();
        for record in scan(0, [verdict(json!({"root": root}))]) {
            upstream.add(serde_json::from_value(record).unwrap());
        }
        let file = file(b"dkim/dkim.tar.zst");
        assert_eq!(refusals(&upstream, &set, [&file]), []);
        let other = dir.path().join("b/daily/2026-11-24");
        assert_eq!(refusals(&upstream, &other, [&file]).len(), 1);
    }
}
