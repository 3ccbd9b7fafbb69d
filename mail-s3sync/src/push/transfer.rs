//! One file: found in the store, copied inside it, or sent.

use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::record::TransferAction;

use super::context::Push;
use super::disposition::Disposition;
use super::error::Error;
use super::item::{Delivered, Item};
use super::sources::Source;
use crate::store::{Attributes, Confirmed, Found, Marks};

impl Push<'_> {
    /// Sees to it that the store has the file under `key`.
    pub(super) fn transfer(
        &self,
        item: &Arc<Item>,
        disposition: &Disposition,
        key: &str,
        source: Option<&Source>,
    ) -> Result<Delivered, Error> {
        let found = match disposition {
            Disposition::Keep(_) => disposition.delivered(item),
            Disposition::Ask => self.ask(item, key)?,
            Disposition::Send => None,
        };
        if let Some(delivered) = found {
            if let Some(lock) = self.lock {
                self.store.extend_lock(key, lock)?;
            }
            return Ok(delivered);
        }
        let copied = match source {
            Some(source) => self.copy(item, key, source)?,
            None => None,
        };
        match copied {
            Some(delivered) => Ok(delivered),
            None => self.upload(item, key),
        }
    }

    /// What an interrupted push has left under that key, when it is the file.
    fn ask(&self, item: &Arc<Item>, key: &str) -> Result<Option<Delivered>, Error> {
        let Some(Found {
            bytes, etag, marks, ..
        }) = self.store.look(key)?
        else {
            return Ok(None);
        };
        let is_same = match self.recipients {
            Some(recipients) => {
                marks.plain_sha256 == Some(item.sha256)
                    && marks.recipients.as_deref() == Some(recipients.text())
            }
            None => marks.sha256 == Some(item.sha256) && bytes == item.bytes,
        };
        let as_found = |stored| {
            delivered(
                item,
                bytes,
                stored,
                Confirmed { etag },
                TransferAction::Skipped,
            )
        };
        Ok(marks.sha256.filter(|_| is_same).map(as_found))
    }

    /// Lets the store copy the file; `None` when the source is not what it was, or the store
    /// cannot.
    fn copy(
        &self,
        item: &Arc<Item>,
        key: &str,
        source: &Source,
    ) -> Result<Option<Delivered>, Error> {
        if self.recipients.is_none() && source.object.bytes != item.bytes {
            return Ok(None);
        }
        if !source.is_confirmed && !self.is_marked(source)? {
            if self.store.copies_share_storage() {
                self.session.report.warning(format!(
                    "{} is damaged: it is not what the checksums of its set say, and is sent \
                     instead of linked; `verify --deep` names all files of that set that are",
                    self.store.url(&source.object.key)
                ));
            }
            return Ok(None);
        }
        let attributes = self.attributes(item, source.stored);
        let copied = self.copy_in_store(&source.object, key, &attributes)?;
        let bytes = source.object.bytes;
        Ok(copied.map(|confirmed| {
            delivered(
                item,
                bytes,
                source.stored,
                confirmed,
                TransferAction::Copied,
            )
        }))
    }

    /// Whether the store says of the source what the checksums of its set say.
    fn is_marked(&self, source: &Source) -> Result<bool, Error> {
        let found = self.store.look(&source.object.key)?;
        Ok(found.is_some_and(|found| {
            found.marks.sha256 == Some(source.stored) && found.etag == source.object.etag
        }))
    }

    fn upload(&self, item: &Arc<Item>, key: &str) -> Result<Delivered, Error> {
        let plain = item.file.open()?;
        let body = match self.recipients {
            Some(recipients) => self.encrypt(recipients, &item.file.location(), plain)?,
            None => plain,
        };
        let (bytes, stored) = (body.bytes(), body.sha256());
        let confirmed = self.store.put(key, body, &self.attributes(item, stored))?;
        Ok(delivered(
            item,
            bytes,
            stored,
            confirmed,
            TransferAction::Uploaded,
        ))
    }

    fn attributes(&self, item: &Arc<Item>, stored: Sha256) -> Attributes {
        let marks = Marks {
            sha256: Some(stored),
            plain_sha256: self.recipients.map(|_| item.sha256),
            recipients: self
                .recipients
                .map(|recipients| recipients.text().to_owned()),
            ..Marks::default()
        };
        Attributes {
            marks,
            lock: self.lock,
        }
    }
}

fn delivered(
    item: &Arc<Item>,
    bytes: u64,
    stored: Sha256,
    confirmed: Confirmed,
    action: TransferAction,
) -> Delivered {
    Delivered {
        item: Arc::clone(item),
        bytes,
        stored,
        etag: confirmed.etag,
        action,
    }
}
