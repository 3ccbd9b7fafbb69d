//! Contents, from their bytes to what was found in them: known already, unpacked where clamd does not, shown to clamd.

use std::io::{self, Read};

use mail_common::archive::compression::Compression;
use mail_common::checksum::Sha256;
use mail_common::report::chain;

use crate::cache::Known;
use crate::clamd::{Answer, Introduction, Verdict, Worker};
use crate::content::{Content, MEMORY_MAX_BYTES};
use crate::encrypted;
use crate::item::Finding;
use crate::message::{Envelope, HEAD_BYTES};
use crate::packing::Layer;
use crate::run::Run;
use crate::totals::add;

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
}

/// Finds out what is in each of `contents`, which have these digests, in order.
pub(crate) fn examine(run: &Run<'_>, worker: &mut Worker<'_>, contents: &[(Content, Sha256)]) -> Vec<Finding> {
    let prepared: Vec<Prepared<'_>> = contents.iter().map(|(content, sha256)| prepare(run, content, *sha256)).collect();
    let questions = prepared.iter().filter_map(|prepared| match prepared {
        Prepared::Ask(question) => Some(question.shown()),
        Prepared::Found(_) => None,
    });
    let mut answers = worker.scan_all(&questions.collect::<Vec<_>>()).into_iter();
    let mut finding = |prepared| match prepared {
        Prepared::Found(finding) => Some(finding),
        Prepared::Ask(question) => answers.next().map(|answer| question.conclude(run, answer)),
    };
    let no_answer = || Finding::unscanned("it was not asked for", &run.pool.engine());
    prepared.into_iter().map(|prepared| finding(prepared).unwrap_or_else(no_answer)).collect()
}

fn prepare<'a>(run: &Run<'_>, content: &'a Content, sha256: Sha256) -> Prepared<'a> {
    add(&run.totals.bytes, content.bytes());
    let engine = || run.pool.engine();
    let unscanned = |reason| Prepared::Found(Finding { sha256: Some(sha256), ..Finding::unscanned(reason, &engine()) });
    if let Some(reason) = run.leaves_out(content.bytes()) {
        return unscanned(reason);
    }
    if let Some(known) = run.known(sha256) {
        return Prepared::Found(of_known(known, content, sha256, engine()));
    }
    if run.seen.contains(sha256) {
        add(&run.totals.repeated, 1);
        return Prepared::Found(of_known(Known::Clean(None), content, sha256, engine()));
    }
    match unpacked(content) {
        Ok(Unpacked::NotPacked) => Prepared::Ask(Question { content, inner: None, sha256 }),
        Ok(Unpacked::Content(inner)) => Prepared::Ask(Question { content, inner: Some(inner), sha256 }),
        Ok(Unpacked::Impossible(reason)) => unscanned(reason),
        Err(error) => unscanned(format!("it begins as zstd and cannot be unpacked: {}", chain(&error))),
    }
}

impl Question<'_> {
    fn shown(&self) -> &Content {
        self.inner.as_ref().unwrap_or(self.content)
    }

    fn conclude(&self, run: &Run<'_>, answer: Answer) -> Finding {
        let Answer { verdict, by } = believed(answer, self.shown());
        remember(run, &verdict, &by, self.sha256);
        if verdict == Verdict::Clean {
            run.seen.add(self.sha256);
        }
        let envelope = envelope_of(&verdict, self.shown());
        Finding { verdict, sha256: Some(self.sha256), engine: by.version.text.clone(), note: None, envelope }
    }
}

/// The answer, but for the OK of a clamd that keeps silent about what is encrypted.
fn believed(answer: Answer, content: &Content) -> Answer {
    if answer.verdict != Verdict::Clean || answer.by.names_encrypted {
        return answer;
    }
    let reason = match content.to_memory() {
        Ok(Some(memory)) => encrypted::find(&memory).map(|what| format!("encrypted: {what}")),
        Ok(None) => None,
        Err(error) => Some(format!("it cannot be read again: {}", chain(&error))),
    };
    Answer { verdict: reason.map_or(Verdict::Clean, Verdict::Unscanned), ..answer }
}

fn of_known(known: Known, content: &Content, sha256: Sha256, engine: String) -> Finding {
    let (verdict, note) = match known {
        Known::Clean(note) => (Verdict::Clean, note),
        Known::Infected(name) => (Verdict::Infected(name), None),
    };
    let envelope = envelope_of(&verdict, content);
    Finding { verdict, sha256: Some(sha256), engine, note, envelope }
}

/// Of an infected message; of others nobody asks.
fn envelope_of(verdict: &Verdict, content: &Content) -> Envelope {
    match verdict {
        Verdict::Infected(_) => content.head(HEAD_BYTES).map(|head| Envelope::of(&head)).unwrap_or_default(),
        Verdict::Clean | Verdict::Unscanned(_) => Envelope::default(),
    }
}

fn remember(run: &Run<'_>, verdict: &Verdict, by: &Introduction, sha256: Sha256) {
    if run.cache.is_none() {
        return;
    }
    let known = match verdict {
        Verdict::Clean => Known::Clean(None),
        Verdict::Infected(name) => Known::Infected(name.clone()),
        Verdict::Unscanned(_) => return,
    };
    run.remember(&by.identity(), sha256, known);
}

/// A content without the layer of compression that clamd does not open.
enum Unpacked {
    NotPacked,
    Content(Content),
    Impossible(String),
}

fn unpacked(content: &Content) -> io::Result<Unpacked> {
    match Layer::of_head(content.magic()) {
        None => return Ok(Unpacked::NotPacked),
        Some(Layer::Lz4) => {
            return Ok(Unpacked::Impossible(
                "compressed with lz4, which clamd does not open, nor does this tool".into(),
            ));
        }
        Some(Layer::Zstd) => {}
    }
    let Some(packed) = content.to_memory()? else {
        return Ok(Unpacked::Impossible("compressed with zstd, and too large to be unpacked in memory".into()));
    };
    let mut inner = Vec::new();
    Compression::Zstd.reader(&*packed)?.take(MEMORY_MAX_BYTES + 1).read_to_end(&mut inner)?;
    if inner.len() as u64 > MEMORY_MAX_BYTES {
        return Ok(Unpacked::Impossible(format!(
            "compressed with zstd, it unpacks to more than {MEMORY_MAX_BYTES} bytes"
        )));
    }
    Ok(Unpacked::Content(Content::Memory(inner)))
}
