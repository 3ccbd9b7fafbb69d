//! Contents, from their bytes to what was found in them: known already, looked into where clamd
//! does not, shown to clamd.

use std::io::{self, Read};
use std::sync::atomic::AtomicU64;

use mail_common::checksum::Sha256;
use mail_common::message::{HEAD_BYTES, text_of};
use mail_common::report::chain;

use crate::cache::{Key, Known};
use crate::clamd::{Answer, Introduction, Worker};
use crate::content::{Content, MEMORY_MAX_BYTES};
use crate::encrypted;
use crate::finding::Finding;
use crate::inside::{self, Hidden, Inside, Role, TooLarge};
use crate::job::BYTES_A_JOB;
use crate::mailbox::Standing;
use crate::message::Envelope;
use crate::run::Run;
use crate::totals::add;
use crate::verdict::Verdict;

/// A message in memory: itself, its parts decoded, and one of them unpacked, as a rule.
const MEMORY_A_MESSAGE: u64 = 3;

/// So much of a file tells whether it is a message.
const LOOK_BYTES: usize = 2048;

/// A content to be scanned.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) content: Content,
    pub(crate) sha256: Sha256,
    pub(crate) role: Role,
    pub(crate) standing: Standing,
}

/// A content that clamd is to be asked for.
struct Question<'a> {
    sample: &'a Sample,
    /// What is shown in place of the content, where that tells clamd nothing, or beside it.
    shown: Vec<Content>,
    is_itself_shown: bool,
    hidden: Option<Hidden>,
    has_rar: bool,
}

enum Prepared<'a> {
    /// Nobody has to be asked.
    Found(Finding),
    Ask(Question<'a>),
    /// It is large, or may be once it is unpacked: it is asked for alone.
    Alone,
}

/// Finds out what is in each of `samples`, in order.
pub(crate) fn examine(run: &Run<'_>, worker: &mut Worker<'_>, samples: &[Sample]) -> Vec<Finding> {
    let prepared: Vec<Prepared<'_>> = samples.iter().map(|sample| prepare(run, sample)).collect();
    let mut shown = Vec::new();
    for prepared in &prepared {
        if let Prepared::Ask(question) = prepared {
            shown.extend(question.shown());
        }
    }
    let mut answers = worker.scan_all(&shown).into_iter();
    let mut findings = Vec::with_capacity(samples.len());
    for (prepared, sample) in prepared.into_iter().zip(samples) {
        let finding = match prepared {
            Prepared::Found(finding) => finding,
            Prepared::Ask(question) => {
                let count = question.shown().count();
                question.conclude(run, answers.by_ref().take(count).collect())
            }
            Prepared::Alone => examine_alone(run, worker, sample),
        };
        findings.push(accepted(run, sample, finding));
    }
    findings
}

/// Lets pass what somebody has accepted.
fn accepted(run: &Run<'_>, sample: &Sample, finding: Finding) -> Finding {
    let was_unscanned = matches!(finding.verdict, Verdict::Unscanned(_));
    let finding = run.scope.judge_accepted(finding);
    let passes = was_unscanned && matches!(finding.verdict, Verdict::Noted(_));
    if passes && sample.standing == Standing::Present {
        add(&run.tally.counters.accepted, 1);
    }
    finding
}

fn prepare<'a>(run: &Run<'_>, sample: &'a Sample) -> Prepared<'a> {
    let Sample {
        content,
        sha256,
        role,
        ..
    } = sample;
    add(&run.tally.counters.bytes, content.bytes());
    let engine = || run.scope.pool.engine();
    if let Some(reason) = run.scope.leaves_out(content.bytes()) {
        return Prepared::Found(unscanned(run, *sha256, reason));
    }
    if let Some(known) = run.scope.known(*sha256, *role) {
        add(&run.tally.counters.cached, 1);
        return Prepared::Found(of_known(known, content, *sha256, engine()));
    }
    if run.tally.seen.contains(*sha256, *role) {
        add(&run.tally.counters.repeated, 1);
        return Prepared::Found(of_known(Known::Clean(None), content, *sha256, engine()));
    }
    match look(sample, BYTES_A_JOB) {
        Ok(Ok(inside)) => Prepared::Ask(Question::new(sample, inside)),
        Ok(Err(TooLarge)) => Prepared::Alone,
        Err(error) => Prepared::Found(unscanned(run, *sha256, unread(&error))),
    }
}

/// What is large waits until there is room for it in memory, whoever asks for it.
fn examine_alone(run: &Run<'_>, worker: &mut Worker<'_>, sample: &Sample) -> Finding {
    let bytes = sample.content.bytes();
    let is_layer = inside::is_layer(sample.content.magic());
    let room = if is_layer {
        MEMORY_MAX_BYTES
    } else {
        MEMORY_A_MESSAGE * bytes
    };
    let _room = run.scope.take_large(room);
    match look(sample, MEMORY_MAX_BYTES) {
        Ok(Ok(inside)) => {
            let question = Question::new(sample, inside);
            let answers = question.shown().map(|shown| worker.scan(shown)).collect();
            question.conclude(run, answers)
        }
        Ok(Err(TooLarge)) => {
            let reason = format!("it is, or unpacks to, more than {MEMORY_MAX_BYTES} bytes");
            unscanned(run, sample.sha256, reason)
        }
        Err(error) => unscanned(run, sample.sha256, unread(&error)),
    }
}

/// What there is in a content beside what clamd sees of it, with no more than `room_bytes` in
/// memory.
fn look(sample: &Sample, room_bytes: u64) -> io::Result<Result<Inside, TooLarge>> {
    let Sample { content, role, .. } = sample;
    let is_of_interest = inside::is_of_interest(*role, content.magic())
        || inside::is_of_interest(*role, &content.head(LOOK_BYTES)?);
    if !is_of_interest {
        return Ok(Ok(Inside::default()));
    }
    if content.bytes() > room_bytes {
        return Ok(Err(TooLarge));
    }
    let all = content.head(usize::try_from(room_bytes).unwrap_or(usize::MAX))?;
    Ok(inside::look(&all, *role, room_bytes))
}

fn unscanned(run: &Run<'_>, sha256: Sha256, reason: String) -> Finding {
    Finding {
        sha256: Some(sha256),
        ..run.scope.unscanned(reason)
    }
}

fn unread(error: &io::Error) -> String {
    format!("it cannot be read again: {}", chain(error))
}

impl<'a> Question<'a> {
    fn new(sample: &'a Sample, inside: Inside) -> Self {
        let is_layer = inside::is_layer(sample.content.magic()) && !inside.shown.is_empty();
        Self {
            sample,
            shown: inside.shown.into_iter().map(Content::Memory).collect(),
            is_itself_shown: !is_layer,
            hidden: inside.hidden,
            has_rar: inside.has_rar,
        }
    }

    fn shown(&self) -> impl Iterator<Item = &Content> {
        let itself = Some(&self.sample.content).filter(|_| self.is_itself_shown);
        itself.into_iter().chain(&self.shown)
    }

    /// An infection outweighs what was not scanned, and that what is encrypted.
    fn conclude(&self, run: &Run<'_>, answers: Vec<Answer>) -> Finding {
        let believed = answers.into_iter().zip(self.shown());
        let mut answers: Vec<Answer> = believed
            .map(|(answer, content)| believed_of(answer, content))
            .collect();
        let agree = answers
            .windows(2)
            .all(|pair| pair[0].by.identity() == pair[1].by.identity());
        let opens_rar = answers.iter().all(|answer| answer.by.opens_rar);
        answers.sort_by_key(|answer| match answer.verdict {
            Verdict::Infected(_) => 0,
            Verdict::Unscanned(_) => 1,
            Verdict::Noted(_) | Verdict::Clean => 2,
        });
        let Some(Answer { verdict, by }) = answers.into_iter().next() else {
            return run.scope.unscanned("it was not asked for");
        };
        let verdict = self.with_hidden(run, verdict, self.hidden_from(opens_rar));
        // Of a file that changed meanwhile clamd has seen other bytes than those of the digest.
        if agree && self.sample.content.holds_still() {
            remember(run, &verdict, &by, self.sample);
        }
        let envelope = envelope_of(&verdict, &self.sample.content);
        Finding {
            verdict,
            sha256: Some(self.sample.sha256),
            engine: by.version.text.clone(),
            note: None,
            envelope,
        }
    }

    /// Counts it, where it is a message still.
    fn count(&self, counter: &AtomicU64) {
        if self.sample.standing == Standing::Present {
            add(counter, 1);
        }
    }

    /// What these clamds could not look into, of which only some open RAR archives.
    fn hidden_from(&self, opens_rar: bool) -> Option<Hidden> {
        match &self.hidden {
            None | Some(Hidden::Encrypted(_)) if self.has_rar && !opens_rar => Some(
                Hidden::NotUnpacked("a RAR archive, and clamd is without libclamunrar".to_owned()),
            ),
            hidden => hidden.clone(),
        }
    }

    fn with_hidden(&self, run: &Run<'_>, verdict: Verdict, hidden: Option<Hidden>) -> Verdict {
        match (hidden, verdict) {
            (None, verdict) | (_, verdict @ Verdict::Infected(_)) => verdict,
            (Some(Hidden::NotUnpacked(what)), verdict) => {
                self.count(&run.tally.counters.not_unpacked);
                match verdict {
                    Verdict::Unscanned(_) => verdict,
                    _ => Verdict::Unscanned(format!("not unpacked: {what}")),
                }
            }
            (Some(Hidden::Encrypted(what)), verdict) => {
                self.count(&run.tally.counters.encrypted);
                match verdict {
                    Verdict::Unscanned(_) => verdict,
                    _ => run.scope.judge_encrypted(&what),
                }
            }
        }
    }
}

/// The answer, but for the OK of a clamd that keeps silent about what is encrypted.
fn believed_of(answer: Answer, content: &Content) -> Answer {
    if answer.verdict != Verdict::Clean || answer.by.names_encrypted {
        return answer;
    }
    // The beginning tells of an archive that is too large for memory.
    let memory = content
        .to_memory()
        .and_then(|memory| memory.map_or_else(|| content.head(HEAD_BYTES), Ok));
    let reason = match memory {
        Ok(memory) => encrypted::find(&memory).map(|what| format!("encrypted: {what}")),
        Err(error) => Some(format!("it cannot be read again: {}", chain(&error))),
    };
    Answer {
        verdict: reason.map_or(Verdict::Clean, Verdict::Unscanned),
        ..answer
    }
}

fn of_known(known: Known, content: &Content, sha256: Sha256, engine: String) -> Finding {
    let (verdict, note) = match known {
        Known::Clean(note) => (Verdict::Clean, note),
        Known::Infected(name) => (Verdict::Infected(name), None),
    };
    let envelope = envelope_of(&verdict, content);
    Finding {
        verdict,
        sha256: Some(sha256),
        engine,
        note,
        envelope,
    }
}

/// Of an infected message; of others nobody asks.
fn envelope_of(verdict: &Verdict, content: &Content) -> Envelope {
    match verdict {
        Verdict::Infected(_) => message_head(content)
            .map(|head| Envelope::of(&head))
            .unwrap_or_default(),
        Verdict::Clean | Verdict::Noted(_) | Verdict::Unscanned(_) => Envelope::default(),
    }
}

/// How the message begins, where Dovecot has compressed it too.
fn message_head(content: &Content) -> io::Result<Vec<u8>> {
    let head = content.head(HEAD_BYTES)?;
    let mut plain = Vec::new();
    let Some(text) = text_of(&*head)? else {
        return Ok(plain);
    };
    let mut unpacked = text.take(HEAD_BYTES as u64);
    // It is cut, so that the end of it cannot be unpacked.
    let _as_far_as_it_goes = unpacked.read_to_end(&mut plain);
    drop(unpacked);
    Ok(plain)
}

/// For the rest of the run, and for others. What a policy let pass is looked at again: the next run
/// may have another.
fn remember(run: &Run<'_>, verdict: &Verdict, by: &Introduction, sample: &Sample) {
    let Sample { sha256, role, .. } = sample;
    if *verdict == Verdict::Clean {
        run.tally.seen.add(*sha256, *role);
    }
    if run.scope.cache.is_none() {
        return;
    }
    let known = match verdict {
        Verdict::Clean => Known::Clean(None),
        Verdict::Infected(name) => Known::Infected(name.clone()),
        Verdict::Noted(_) | Verdict::Unscanned(_) => return,
    };
    run.scope
        .remember(&by.identity(), Key::of_content(*sha256, *role), known);
}
