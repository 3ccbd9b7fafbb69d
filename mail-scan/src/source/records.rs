//! The records of the tool before this one: passed on, every line, in order; its artifacts are
//! kept, and how it ended.

use std::io::BufRead;

use mail_common::jsonl;
use mail_common::record::{Artifact, Record};
use mail_common::tool::Session;

/// What the upstream said.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    /// What it has saved, in order.
    pub(crate) artifacts: Vec<Artifact>,
    /// The tools that ended with another code than 0, with that code.
    pub(crate) failed: Vec<(String, u8)>,
    /// Why its records cannot be trusted to be all: it died, or the stream is damaged.
    pub(crate) broken: Option<jsonl::Error>,
}

/// Reads `input` to its end and passes all of it on.
pub(crate) fn read_records(input: impl BufRead, session: &Session) -> Upstream {
    let mut upstream = Upstream::default();
    let passed = session.pass_all(input, |record| match record {
        Record::Artifact(artifact) => upstream.artifacts.push(artifact),
        Record::End(end) if end.exit != 0 => upstream.failed.push((end.tool, end.exit)),
        _ => {}
    });
    upstream.broken = passed.err();
    upstream
}
