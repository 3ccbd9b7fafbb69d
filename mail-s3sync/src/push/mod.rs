//! Sends a set to a store: what is not there yet first, in parallel; its manifest and checksums
//! last.
//!
//! Until its checksums are there, a set is not. Nothing is deleted, and nothing is taken to be
//! there that the store has not confirmed by digest.

mod closing; // the manifest and the checksums, which make a set of the files
mod error; // why a set was not pushed
mod fate; // what is to be done with a file
mod local; // the set on this machine
mod protect; // how the bucket protects it, and locks
mod sources; // what earlier sets in the store already hold
mod tell; // records and counts
mod tidy; // what runs that died have left
mod transfer; // one file

pub(crate) use error::Error;
pub(crate) use local::LocalSet;
pub(crate) use protect::lock_end;

use std::collections::HashSet;
use std::num::NonZeroUsize;

use jiff::{Timestamp, ZonedDateTime};
use mail_common::checksum::Sha256;
use mail_common::exit::Exit;
use mail_common::interrupt::Interrupt;
use mail_common::record::{TransferAction, timestamp};
use mail_common::relpath::RelPath;
use mail_common::report::{self, Progress, Unit};
use mail_common::set::{CHECKSUMS, MANIFEST, SetKind};
use mail_common::tool::{Session, Totals};

use crate::encryption::Recipients;
use crate::location::Location;
use crate::parallel::each_until_fatal;
use crate::remote::{self, AsText, RemoteSet, SetName, seal};
use crate::store::{
    Attributes, Body, Cause, Confirmed, Listed, Lock, Marks, ObjectStore, StoreError,
};
use crate::totals::add_transfer;
use fate::Fate;
use local::LocalFile;
use protect::already_locked;
use sources::Sources;

/// Where to push, and how.
pub(crate) struct Push<'a> {
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) location: &'a Location,
    pub(crate) session: &'a Session,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) jobs: NonZeroUsize,
    pub(crate) now: Timestamp,
    pub(crate) lock: Option<Lock>,
    pub(crate) recipients: Option<&'a Recipients>,
}

/// A file that is on its way.
#[derive(Clone, Debug)]
struct Item {
    /// In the set.
    path: RelPath,
    /// In the set in the store: the text of the path, with `.age` when it is encrypted.
    stored_path: String,
    file: LocalFile,
    bytes: u64,
    sha256: Sha256,
}

/// A file that the store has confirmed.
#[derive(Clone, Debug)]
struct Done {
    item: Item,
    /// As it is stored.
    bytes: u64,
    /// The digest of what is stored.
    stored: Sha256,
    etag: Option<String>,
    action: TransferAction,
}

/// A set, what the store has of it, and what is to be done.
struct Work<'a> {
    local: &'a LocalSet,
    remote: RemoteSet,
    fates: Vec<(Item, Fate)>,
    /// Until when every object of the set will be locked.
    locked_until: Option<Timestamp>,
}

impl Work<'_> {
    /// The key of what has the name `path` in the set.
    fn key(&self, path: &str) -> String {
        format!("{}/{path}", self.local.name)
    }

    /// When the set in the store was closed.
    fn closed(&self) -> Option<Timestamp> {
        self.remote
            .listed
            .get(CHECKSUMS)
            .map(|listed| listed.modified)
    }
}

impl Push<'_> {
    /// Pushes a set. `Partial` when a file could not be sent: the others were, and the set is not
    /// closed.
    pub(crate) fn push(&self, local: &LocalSet, totals: &mut Totals) -> Result<Exit, Error> {
        let remote = self.look_at_remote(local.name).map_err(Error::LookFirst)?;
        let mut work = self.plan(local, remote)?;
        self.warn_of_strangers(&work);
        if self.is_unchanged(&work) {
            work.locked_until = work.locked_until.max(already_locked(&work));
            self.keep(&work, totals)?;
            if self.is_untidied(&work) {
                self.tidy();
            }
            return Ok(Exit::Done);
        }
        let exit = self.send(&work, totals)?;
        self.tidy();
        Ok(exit)
    }

    /// Sends what is not there, and closes the set when all of it is.
    fn send(&self, work: &Work<'_>, totals: &mut Totals) -> Result<Exit, Error> {
        self.check_protection()?;
        let sources = self.sources(work).map_err(Error::LookFirst)?;
        self.mark(work)?;
        let done = self.transfer_all(work, &sources, totals)?;
        if done.len() < work.fates.len() {
            return Ok(Exit::Partial);
        }
        self.confirm(work, &done)?;
        self.close(work, &done, totals)?;
        Ok(Exit::Done)
    }

    /// What is there. A set whose checksums are damaged says nothing of itself, and is to be
    /// healed.
    fn look_at_remote(&self, name: SetName) -> Result<RemoteSet, remote::Error> {
        let remote = RemoteSet::read(self.store, name)?;
        if let Some(damage) = &remote.damage {
            self.session
                .report
                .warning(format!("{}; it is pushed anew", report::chain(damage)));
        }
        Ok(remote)
    }

    fn recipients_text(&self) -> Option<&str> {
        self.recipients.map(Recipients::text)
    }

    fn plan<'b>(&self, local: &'b LocalSet, remote: RemoteSet) -> Result<Work<'b>, Error> {
        let files = local
            .files
            .iter()
            .filter(|file| self.recipients.is_some() || !is_manifest(file));
        let mut items: Vec<Item> = files
            .map(|file| self.item(file))
            .collect::<Result<_, _>>()?;
        if self.recipients.is_some() {
            if local.manifest().is_none() {
                return Err(Error::NoManifest {
                    set: local.directory.clone(),
                });
            }
            items.push(self.item(&own_checksums(local))?);
        }
        // The largest first: the small ones fill up the time that the last large one takes.
        items.sort_by_key(|item| std::cmp::Reverse(item.bytes));
        let fates = fate::decide(
            items,
            &remote,
            self.recipients_text(),
            self.store.keeps_marks(),
        );
        Ok(Work {
            local,
            remote,
            fates,
            locked_until: self.lock.map(|lock| lock.until),
        })
    }

    fn item(&self, file: &LocalFile) -> Result<Item, Error> {
        let stored_path = match self.recipients {
            Some(_) => closing::encrypted_path(&file.path),
            None => file.path.clone(),
        };
        let Some(text) = stored_path.as_text() else {
            let url = self.store.url(&file.path.to_string_lossy());
            return Err(Error::Key(StoreError::new("write", url, Cause::KeyNotText)));
        };
        Ok(Item {
            path: file.path.clone(),
            stored_path: text.to_owned(),
            bytes: file.bytes,
            sha256: file.sha256,
            file: file.clone(),
        })
    }

    /// Objects of an earlier set of that name: they are in no checksums any more, and we may not
    /// delete.
    fn warn_of_strangers(&self, work: &Work<'_>) {
        let ours: HashSet<&str> = work
            .fates
            .iter()
            .map(|(item, _)| item.stored_path.as_str())
            .collect();
        let is_ours = |path: &str| ours.contains(path) || [CHECKSUMS, MANIFEST].contains(&path);
        let mut strangers: Vec<&String> = work
            .remote
            .listed
            .keys()
            .filter(|path| !is_ours(path))
            .collect();
        strangers.sort();
        if let Some(example) = strangers.first() {
            self.session.report.warning(format!(
                "{} holds {} objects that are not part of the set, such as {example}; `pull` leaves them out, and they \
                 can be deleted",
                self.store.url(&work.local.name.to_string()),
                strangers.len(),
            ));
        }
    }

    /// Whether the store has this very set, closed.
    fn is_unchanged(&self, work: &Work<'_>) -> bool {
        let Some(contents) = &work.remote.contents else {
            return false;
        };
        let is_there = |(_, fate): &(Item, Fate)| matches!(fate, Fate::There(_));
        let same_list = match self.recipients {
            // What is encrypted differs each time; that each file is there under its own digest is
            // the same.
            Some(_) => contents.entries.len() == work.fates.len() + 1,
            None => contents.checksums == work.local.checksums,
        };
        let same_manifest = contents.entry(MANIFEST).is_none_or(|entry| {
            let own = work.local.manifest().filter(|_| self.recipients.is_none());
            let listed = work.remote.confirmed(entry);
            listed.is_some_and(|listed| own.is_none_or(|own| own.bytes == listed.bytes))
        });
        contents.is_confirmed && same_list && same_manifest && work.fates.iter().all(is_there)
    }

    /// Says that everything is there, and locks it for longer where that is asked for.
    fn keep(&self, work: &Work<'_>, totals: &mut Totals) -> Result<(), Error> {
        let done: Vec<Done> = work
            .fates
            .iter()
            .filter_map(|(item, fate)| fate.done(item))
            .collect();
        if let Some(lock) = self
            .lock
            .filter(|lock| already_locked(work).is_none_or(|until| until < lock.until))
        {
            self.lock_longer(work, lock)?;
        }
        for done in &done {
            self.tell(work, done, totals);
        }
        for name in [MANIFEST, CHECKSUMS] {
            self.tell_own_skipped(work, name, totals);
        }
        Ok(())
    }

    /// Earlier objects that the store can copy. A weekly set is to stand for itself, also on the
    /// disk.
    fn sources(&self, work: &Work<'_>) -> Result<Sources, remote::Error> {
        let needed: HashSet<Sha256> = work
            .fates
            .iter()
            .filter(|(_, fate)| !matches!(fate, Fate::There(_)))
            .map(|(item, _)| item.sha256)
            .collect();
        let is_weekly = work.local.name.id().kind() == SetKind::Weekly;
        if needed.is_empty() || (is_weekly && self.store.copies_share_storage()) {
            return Ok(Sources::new());
        }
        sources::find(
            self.store,
            self.jobs,
            &work.remote,
            &needed,
            self.recipients_text(),
        )
    }

    /// Lets no one take a set for complete while files of it are replaced by others.
    fn mark(&self, work: &Work<'_>) -> Result<(), Error> {
        let Some(contents) = &work.remote.contents else {
            return Ok(());
        };
        if self.recipients.is_none() && contents.checksums == work.local.checksums {
            return Ok(());
        }
        let time = timestamp(&ZonedDateTime::now());
        let marker = Body::of_bytes(CHECKSUMS, closing::marker(&time));
        self.store
            .put(&work.key(CHECKSUMS), marker, &Attributes::default())?;
        Ok(())
    }

    /// Sends what is not there. The files that arrived are given back; what failed has been said.
    fn transfer_all(
        &self,
        work: &Work<'_>,
        sources: &Sources,
        totals: &mut Totals,
    ) -> Result<Vec<Done>, Error> {
        let total = work.fates.iter().map(|(item, _)| item.bytes).sum();
        let progress = self
            .session
            .report
            .progress("push", Unit::Bytes, Some(total));
        let results = each_until_fatal(self.jobs, &work.fates, Error::is_fatal, |(item, fate)| {
            self.transfer_one(work, sources, item, fate, &progress)
        });
        let mut done = Vec::new();
        let mut fatal = None;
        for ((item, _), result) in work.fates.iter().zip(results) {
            match result {
                None => {}
                Some(Ok(one)) => {
                    add_transfer(totals, one.action, one.bytes);
                    done.push(one);
                }
                Some(Err(error)) if error.is_fatal() => fatal = Some(error),
                Some(Err(error)) => {
                    self.session
                        .fail(item.file.component, Some(&item.path), &error)
                }
            }
        }
        fatal.map_or(Ok(done), Err)
    }

    fn transfer_one(
        &self,
        work: &Work<'_>,
        sources: &Sources,
        item: &Item,
        fate: &Fate,
        progress: &Progress,
    ) -> Result<Done, Error> {
        self.interrupt.check()?;
        progress.message(&item.stored_path);
        let done = self.transfer(
            item,
            fate,
            &work.key(&item.stored_path),
            sources.get(&item.sha256),
        )?;
        progress.advance(item.bytes);
        self.session.emit(&self.record(work, &done));
        Ok(done)
    }

    /// Whether the store lists every file as it was confirmed; only then is the set closed.
    fn confirm(&self, work: &Work<'_>, done: &[Done]) -> Result<(), Error> {
        let listed = remote::list(self.store, work.local.name)?;
        for done in done {
            let path = &done.item.stored_path;
            if !listed
                .get(path)
                .is_some_and(|listed| is_as_confirmed(listed, done))
            {
                return Err(Error::Changed {
                    url: self.store.url(&work.key(path)),
                });
            }
        }
        Ok(())
    }

    fn close(&self, work: &Work<'_>, done: &[Done], totals: &mut Totals) -> Result<(), Error> {
        self.interrupt.check()?;
        let local = work.local;
        let (manifest, checksums) = match (self.recipients, local.manifest()) {
            (Some(recipients), Some(own)) => {
                let own = Body::open(&own.location, own.sha256, Some(own.bytes))?.whole()?;
                let manifest = closing::encrypted_manifest(&own, recipients.text(), done)
                    .map_err(Error::Manifest)?;
                let checksums = closing::encrypted_checksums(&manifest, done);
                (Some(Body::of_bytes(MANIFEST, manifest)), checksums)
            }
            (_, Some(own)) => (
                Some(Body::open(&own.location, own.sha256, Some(own.bytes))?),
                local.checksums.clone(),
            ),
            (_, None) => (None, local.checksums.clone()),
        };
        let mut etags: Vec<(&str, Option<&str>)> = done
            .iter()
            .map(|done| (done.item.stored_path.as_str(), done.etag.as_deref()))
            .collect();
        let put_manifest = |body| self.put_and_tell(work, MANIFEST, body, Marks::default(), totals);
        let manifest = manifest.map(put_manifest).transpose()?;
        etags.extend(
            manifest
                .as_ref()
                .map(|confirmed| (MANIFEST, confirmed.etag.as_deref())),
        );
        let marks = self.closing_marks(seal(etags));
        self.put_and_tell(
            work,
            CHECKSUMS,
            Body::of_bytes(CHECKSUMS, checksums),
            marks,
            totals,
        )?;
        Ok(())
    }

    fn put_and_tell(
        &self,
        work: &Work<'_>,
        name: &str,
        body: Body,
        marks: Marks,
        totals: &mut Totals,
    ) -> Result<Confirmed, Error> {
        let found = (body.bytes(), body.sha256());
        let confirmed = self.put_own(work, name, body, marks)?;
        self.tell_own(work, name, found, totals);
        Ok(confirmed)
    }

    fn put_own(
        &self,
        work: &Work<'_>,
        name: &str,
        body: Body,
        marks: Marks,
    ) -> Result<Confirmed, Error> {
        let marks = Marks {
            sha256: Some(body.sha256()),
            ..marks
        };
        Ok(self.store.put(
            &work.key(name),
            body,
            &Attributes {
                marks,
                lock: self.lock,
            },
        )?)
    }

    /// What the checksums say of the other objects.
    fn closing_marks(&self, seal: Option<Sha256>) -> Marks {
        Marks {
            locked_until: self.lock.map(|lock| lock.until),
            seal,
            ..Marks::default()
        }
    }
}

fn is_manifest(file: &LocalFile) -> bool {
    file.path.as_bytes() == MANIFEST.as_bytes()
}

/// The checksums as one more file of the set, which no checksums list.
fn own_checksums(local: &LocalSet) -> LocalFile {
    LocalFile {
        path: RelPath::new(CHECKSUMS).expect("the name of a file is a safe path"),
        location: local.directory.join(CHECKSUMS),
        sha256: Sha256::of(&local.checksums),
        bytes: local.checksums.len() as u64,
        component: None,
    }
}

fn is_as_confirmed(listed: &Listed, done: &Done) -> bool {
    let same_etag = match (&listed.etag, &done.etag) {
        (Some(listed), Some(confirmed)) => listed == confirmed,
        _ => true,
    };
    listed.bytes == done.bytes && same_etag
}
