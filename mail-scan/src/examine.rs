//! Contents, from their bytes to what was found in them: known already, unpacked where clamd does
//! not, shown to clamd.

use std::io::{self, Read};

use mail_common::archive::compression::Compression;
use mail_common::checksum::Sha256;
use mail_common::message::HEAD_BYTES;
use mail_common::report::chain;

use crate::cache::{Key, Known};
use crate::clamd::{Answer, Introduction, Worker};
use crate::content::{Content, MEMORY_MAX_BYTES};
use crate::encrypted;
use crate::finding::Finding;
use crate::job::BYTES_A_JOB;
use crate::message::Envelope;
use crate::packing::{Layer, compression_of_head};
use crate::run::Run;
use crate::totals::add;
use crate::verdict::Verdict;

/// What is compressed more often is not looked into.
const LAYERS_MAX: usize = 4;

/// A content that clamd is to be asked for.
struct Question<'a> {
    content: &'a Content,
    /// What is in it, where clamd does not unpack it.
    inner: Option<Content>,
    sha256: Sha256,
}

enum Prepared<'a> {
    /// Nobody has to be asked.
    Found(Finding),
    Ask(Question<'a>),
    /// It may be large once it is unpacked: it is asked for alone.
    Alone,
}

/// Finds out what is in each of `contents`, which have these digests, in order.
pub(crate) fn examine(
    run: &Run<'_>,
    worker: &mut Worker<'_>,
    contents: &[(Content, Sha256)],
) -> Vec<Finding> {
    let prepared: Vec<Prepared<'_>> = contents
        .iter()
        .map(|(content, sha256)| prepare(run, content, *sha256))
        .collect();
    let questions = prepared.iter().filter_map(|prepared| match prepared {
        Prepared::Ask(question) => Some(question.shown()),
        Prepared::Found(_) | Prepared::Alone => None,
    });
    let mut answers = worker.scan_all(&questions.collect::<Vec<_>>()).into_iter();
    let mut finding = |(prepared, (content, sha256)): (_, &(Content, Sha256))| match prepared {
        Prepared::Found(finding) => finding,
        Prepared::Ask(question) => match answers.next() {
            Some(answer) => question.conclude(run, answer),
            None => run.scope.unscanned("it was not asked for"),
        },
        Prepared::Alone => examine_alone(run, worker, content, *sha256),
    };
    prepared
        .into_iter()
        .zip(contents)
        .map(&mut finding)
        .collect()
}

fn prepare<'a>(run: &Run<'_>, content: &'a Content, sha256: Sha256) -> Prepared<'a> {
    add(&run.tally.counters.bytes, content.bytes());
    let engine = || run.scope.pool.engine();
    if let Some(reason) = run.scope.leaves_out(content.bytes()) {
        return Prepared::Found(unscanned(run, sha256, reason));
    }
    if let Some(known) = run.scope.known(sha256) {
        add(&run.tally.counters.cached, 1);
        return Prepared::Found(of_known(known, content, sha256, engine()));
    }
    if run.tally.seen.contains(sha256) {
        add(&run.tally.counters.repeated, 1);
        return Prepared::Found(of_known(Known::Clean(None), content, sha256, engine()));
    }
    match unpacked(content, BYTES_A_JOB) {
        Ok(Unpacked::NotPacked) => Prepared::Ask(Question {
            content,
            inner: None,
            sha256,
        }),
        Ok(Unpacked::Content(inner)) => Prepared::Ask(Question {
            content,
            inner: Some(inner),
            sha256,
        }),
        Ok(Unpacked::TooLarge) => Prepared::Alone,
        Ok(Unpacked::Impossible(reason)) => {
            Prepared::Found(unscanned(run, sha256, reason.to_owned()))
        }
        Err(error) => Prepared::Found(unscanned(run, sha256, not_unpacked(&error))),
    }
}

/// Of what is large once it is unpacked there is one in memory at a time, whoever asks for it.
fn examine_alone(
    run: &Run<'_>,
    worker: &mut Worker<'_>,
    content: &Content,
    sha256: Sha256,
) -> Finding {
    let _alone = run.scope.unpack_alone();
    match unpacked(content, MEMORY_MAX_BYTES) {
        Ok(Unpacked::NotPacked) => {
            unscanned(run, sha256, "it changed while it was scanned".to_owned())
        }
        Ok(Unpacked::Content(inner)) => {
            let question = Question {
                content,
                inner: Some(inner),
                sha256,
            };
            let answer = worker.scan(question.shown());
            question.conclude(run, answer)
        }
        Ok(Unpacked::TooLarge) => {
            let reason = format!(
                "compressed with zstd, it is or unpacks to more than {MEMORY_MAX_BYTES} bytes"
            );
            unscanned(run, sha256, reason)
        }
        Ok(Unpacked::Impossible(reason)) => unscanned(run, sha256, reason.to_owned()),
        Err(error) => unscanned(run, sha256, not_unpacked(&error)),
    }
}

fn unscanned(run: &Run<'_>, sha256: Sha256, reason: String) -> Finding {
    Finding {
        sha256: Some(sha256),
        ..run.scope.unscanned(reason)
    }
}

fn not_unpacked(error: &io::Error) -> String {
    format!("it begins as zstd and cannot be unpacked: {}", chain(error))
}

impl Question<'_> {
    fn shown(&self) -> &Content {
        self.inner.as_ref().unwrap_or(self.content)
    }

    fn conclude(&self, run: &Run<'_>, answer: Answer) -> Finding {
        let Answer { verdict, by } = believed(answer, self.shown());
        // Of a file that changed meanwhile clamd has seen other bytes than those of the digest.
        if self.content.holds_still() {
            remember(run, &verdict, &by, self.sha256);
        }
        let envelope = envelope_of(&verdict, self.shown());
        Finding {
            verdict,
            sha256: Some(self.sha256),
            engine: by.version.text.clone(),
            note: None,
            envelope,
        }
    }
}

/// The answer, but for the OK of a clamd that keeps silent about what is encrypted.
fn believed(answer: Answer, content: &Content) -> Answer {
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
        Verdict::Clean | Verdict::Unscanned(_) => Envelope::default(),
    }
}

/// How the message begins, where Dovecot has compressed it too.
fn message_head(content: &Content) -> io::Result<Vec<u8>> {
    let head = content.head(HEAD_BYTES)?;
    let mut plain = Vec::new();
    let mut unpacked = compression_of_head(&head)
        .reader(&*head)?
        .take(HEAD_BYTES as u64);
    // It is cut, so that the end of it cannot be unpacked.
    let _ = unpacked.read_to_end(&mut plain);
    drop(unpacked);
    Ok(plain)
}

/// For the rest of the run, and for others.
fn remember(run: &Run<'_>, verdict: &Verdict, by: &Introduction, sha256: Sha256) {
    if *verdict == Verdict::Clean {
        run.tally.seen.add(sha256);
    }
    if run.scope.cache.is_none() {
        return;
    }
    let known = match verdict {
        Verdict::Clean => Known::Clean(None),
        Verdict::Infected(name) => Known::Infected(name.clone()),
        Verdict::Unscanned(_) => return,
    };
    run.scope
        .remember(&by.identity(), Key::of_content(sha256), known);
}

/// A content without the layers of compression that clamd does not open.
enum Unpacked {
    NotPacked,
    Content(Content),
    /// It is, or becomes, larger than it may.
    TooLarge,
    Impossible(&'static str),
}

fn unpacked(content: &Content, limit_bytes: u64) -> io::Result<Unpacked> {
    let mut inner: Option<Content> = None;
    for _ in 0..=LAYERS_MAX {
        let outer = inner.as_ref().unwrap_or(content);
        match Layer::of_head(outer.magic()) {
            None => return Ok(inner.map_or(Unpacked::NotPacked, Unpacked::Content)),
            Some(Layer::Lz4) => {
                return Ok(Unpacked::Impossible(
                    "compressed with lz4, which clamd does not open, nor does this tool",
                ));
            }
            Some(Layer::Zstd) => {}
        }
        if outer.bytes() > limit_bytes {
            return Ok(Unpacked::TooLarge);
        }
        let packed = outer.head(usize::try_from(limit_bytes).unwrap_or(usize::MAX))?;
        let mut plain = Vec::new();
        Compression::Zstd
            .reader(&*packed)?
            .take(limit_bytes + 1)
            .read_to_end(&mut plain)?;
        if plain.len() as u64 > limit_bytes {
            return Ok(Unpacked::TooLarge);
        }
        inner = Some(Content::Memory(plain));
    }
    Ok(Unpacked::Impossible("compressed with zstd again and again"))
}
