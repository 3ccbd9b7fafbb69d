//! One content, from its bytes to what was found in it: known already, unpacked where clamd does not, shown to clamd.

use std::io::{self, Read};

use mail_common::archive::compression::Compression;
use mail_common::checksum::Sha256;
use mail_common::report::chain;

use crate::cache::Known;
use crate::clamd::{Answer, Verdict, Worker};
use crate::content::{Content, MEMORY_MAX_BYTES};
use crate::encrypted;
use crate::item::Finding;
use crate::message::{Envelope, HEAD_BYTES};
use crate::packing::Layer;
use crate::run::Run;
use crate::totals::add;

/// Finds out what is in `content`, whose digest is `sha256`.
pub(crate) fn examine(run: &Run<'_>, worker: &mut Worker<'_>, content: &Content, sha256: Sha256) -> Finding {
    add(&run.totals.bytes, content.bytes());
    let engine = || run.pool.engine();
    if let Some(reason) = run.leaves_out(content.bytes()) {
        return Finding { sha256: Some(sha256), ..Finding::unscanned(reason, &engine()) };
    }
    if let Some(known) = run.known(sha256) {
        return of_known(known, content, sha256, engine());
    }
    let unscanned = |reason| Finding { sha256: Some(sha256), ..Finding::unscanned(reason, &engine()) };
    let inner = match unpacked(content) {
        Ok(Unpacked::NotPacked) => None,
        Ok(Unpacked::Content(inner)) => Some(inner),
        Ok(Unpacked::Impossible(reason)) => return unscanned(reason),
        Err(error) => return unscanned(format!("it begins as zstd and cannot be unpacked: {}", chain(&error))),
    };
    let shown = inner.as_ref().unwrap_or(content);
    let answer = believed(worker.scan(shown), shown);
    remember(run, &answer, sha256);
    let envelope = envelope_of(&answer.verdict, shown);
    Finding {
        verdict: answer.verdict,
        sha256: Some(sha256),
        engine: answer.by.version.text.clone(),
        note: None,
        envelope,
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

fn remember(run: &Run<'_>, answer: &Answer, sha256: Sha256) {
    let known = match &answer.verdict {
        Verdict::Clean => Known::Clean(None),
        Verdict::Infected(name) => Known::Infected(name.clone()),
        Verdict::Unscanned(_) => return,
    };
    run.remember(&answer.by.identity(), sha256, known);
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
