//! What was learnt of a file, a member or a window, and the record of it.

use mail_common::checksum::Sha256;
use mail_common::record::{self, VerdictStatus};
use mail_common::relpath::PathField;

use crate::item::Place;
use crate::message::Envelope;
use crate::verdict::Verdict;

/// What was learnt of a file, a member or a window.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    /// The digest of what was scanned, where all of it was read.
    pub(crate) sha256: Option<Sha256>,
    /// Whose verdict it is.
    pub(crate) engine: String,
    /// What there is to say of a clean or infected one.
    pub(crate) note: Option<String>,
    pub(crate) envelope: Envelope,
}

impl Finding {
    /// There is no verdict.
    pub(crate) fn unscanned(reason: impl Into<String>, engine: &str) -> Self {
        Self {
            verdict: Verdict::Unscanned(reason.into()),
            sha256: None,
            engine: engine.to_owned(),
            note: None,
            envelope: Envelope::default(),
        }
    }

    /// The record of it, of the whole file or of a member.
    pub(crate) fn record(&self, place: &Place, member: Option<&[u8]>) -> record::Verdict {
        let (status, signature, reason) = match &self.verdict {
            Verdict::Clean => (VerdictStatus::Clean, None, self.note.clone()),
            Verdict::Noted(reason) => (VerdictStatus::Clean, None, Some(reason.clone())),
            Verdict::Infected(signature) => (
                VerdictStatus::Infected,
                Some(signature.clone()),
                self.note.clone(),
            ),
            Verdict::Unscanned(reason) => (VerdictStatus::Unscanned, None, Some(reason.clone())),
        };
        let member = member.map(PathField::of_bytes);
        let (root, set) = place.set.clone().unzip();
        record::Verdict {
            root,
            set,
            path: place.path.clone(),
            member_b64: member.as_ref().and_then(|member| member.path_b64.clone()),
            member: member.map(|member| member.path),
            sha256: self.sha256,
            status,
            signature,
            reason,
            message_id: self.envelope.message_id.clone(),
            subject: self.envelope.subject.clone(),
            engine: self.engine.clone(),
        }
    }
}
