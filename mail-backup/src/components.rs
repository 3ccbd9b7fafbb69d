//! Saves the components one after the other. One that fails does not stop the others.

use std::collections::BTreeSet;

use mail_common::failure::{Failed, Failure};
use mail_common::interrupt::Interrupt;
use mail_common::record::{DatabaseRows, WatchedFile};
use mail_common::relpath::RelPath;
use mail_common::report::Unit;
use mail_common::set::{Component, Staging};
use mail_common::tool::{Session, Totals};

use crate::compose::save_project;
use crate::equal::{Linked, link_equal};
use crate::error::Error;
use crate::mailboxes::{self, Comparing, Damage, Environment, SavedMailbox, save_mailboxes};
use crate::part::SavedPart;
use crate::plan::Plan;
use crate::previous::{PreviousSets, Reading};
use crate::saved::SavedFile;
use crate::trees::{save_copy, save_tree};

/// What the components are saved from and into.
pub(crate) struct Run<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) session: &'a Session,
    pub(crate) staging: &'a Staging<'a>,
    pub(crate) previous: &'a PreviousSets,
    pub(crate) interrupt: &'a Interrupt,
    /// From which the age of mail is counted, in seconds since 1970.
    pub(crate) now_seconds: i64,
}

/// What was saved, and what was not.
#[derive(Debug, Default)]
pub(crate) struct SavedComponents {
    pub(crate) files: Vec<SavedFile>,
    pub(crate) notices: Vec<String>,
    pub(crate) remarks: Vec<String>,
    pub(crate) totals: Totals,
    pub(crate) damage: Vec<FoundDamage>,
    /// What is known of the changes of each mailbox.
    pub(crate) comparisons: Vec<Comparing>,
    pub(crate) databases: Vec<DatabaseRows>,
    /// Private keys, and files of the Compose project.
    pub(crate) watched: Vec<WatchedFile>,
    /// Those of which a part is missing.
    pub(crate) failed: BTreeSet<Component>,
}

/// What changed by itself on a disk. The set is good all the same.
#[derive(Debug)]
pub(crate) struct FoundDamage {
    pub(crate) component: Component,
    /// Of the live mail.
    pub(crate) path: Option<RelPath>,
    pub(crate) error: Error,
}

/// Saves the components of the plan.
///
/// # Errors
/// When the set cannot be written, or the run is interrupted. A component that fails is in the
/// result.
pub(crate) fn save_components(run: &Run<'_>) -> Result<SavedComponents, Error> {
    let mut saver = Saver {
        run,
        saved: SavedComponents::default(),
    };
    saver.try_database();
    for component in &run.plan.components {
        match component {
            Component::Mailboxes => saver.save_mailboxes()?,
            Component::Mysql => saver.save_databases()?,
            Component::Config | Component::Ssl | Component::Dkim => {
                saver.save_trees(*component)?;
            }
        }
    }
    Ok(saver.saved)
}

struct Saver<'a> {
    run: &'a Run<'a>,
    saved: SavedComponents,
}

impl Saver<'_> {
    /// Logs in once before the long work, so that a wrong password is known at the beginning of the
    /// night.
    fn try_database(&mut self) {
        if let Some(databases) = &self.run.plan.databases
            && let Err(error) = databases.try_connection()
        {
            self.fail(Component::Mysql, None, &error);
        }
    }

    fn save_mailboxes(&mut self) -> Result<(), Error> {
        let run = self.run;
        let progress = run
            .session
            .report
            .progress(Component::Mailboxes.name(), Unit::Bytes, None);
        let environment = Environment {
            staging: run.staging,
            previous: run.previous,
            interrupt: run.interrupt,
            now_seconds: run.now_seconds,
            purge_days: run.plan.mailboxes.purge_days,
            interval_seconds: run.previous.seconds_since_last(run.plan.id),
            progress: &progress,
        };
        match save_mailboxes(&run.plan.mailboxes, environment) {
            Ok(saved) => {
                for mut mailbox in saved {
                    self.take_damage(std::mem::take(&mut mailbox.damage));
                    let comparison = std::mem::take(&mut mailbox.comparison);
                    self.saved.comparisons.push(comparison);
                    let part = self.part_of(mailbox);
                    self.take(Component::Mailboxes, part);
                }
                Ok(())
            }
            Err(error @ mailboxes::Error::MailRoot(_)) => {
                self.fail(Component::Mailboxes, None, &error);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn take_damage(&mut self, damage: Vec<Damage>) {
        for damage in damage {
            let (path, error) = match damage {
                Damage::Stored(file) => (None, Error::StoredDamage { file }),
                Damage::Live { path, set } => {
                    let file = self.run.plan.mailboxes.mail_dir.join(path.as_path());
                    (Some(path), Error::LiveDamage { file, set })
                }
            };
            self.note_damage(FoundDamage {
                component: Component::Mailboxes,
                path,
                error,
            });
        }
    }

    fn note_damage(&mut self, damage: FoundDamage) {
        let text = damage.error.to_string();
        self.run.session.report.warning(&text);
        self.saved.notices.push(text);
        self.saved.totals.add("damaged_files", 1);
        self.saved.damage.push(damage);
    }

    fn part_of(&self, mailbox: SavedMailbox) -> SavedPart {
        let mut part = SavedPart {
            files: mailbox.files,
            notices: mailbox.notices,
            remarks: Vec::new(),
            totals: Totals::from([
                ("messages_unchanged", mailbox.counts.unchanged),
                ("read_bytes", mailbox.counts.read_bytes),
                ("messages_expunged_meanwhile", mailbox.counts.expunged),
                ("scratch_files_left_out", mailbox.counts.scratch_files),
            ]),
            ..SavedPart::default()
        };
        for (path, error) in mailbox.failed {
            let live = self.run.plan.mailboxes.mail_dir.join(path.as_path());
            part.fail(Some(path), Failed::at("read", &live)(error));
        }
        for path in mailbox.still_moving {
            part.fail(Some(path), Error::StillMoving);
        }
        part
    }

    fn save_databases(&mut self) -> Result<(), Error> {
        let run = self.run;
        // Where the log-in has failed, it is known and said already.
        if let Some(databases) = &run.plan.databases
            && !self.saved.failed.contains(&Component::Mysql)
        {
            let progress = run
                .session
                .report
                .progress(Component::Mysql.name(), Unit::Rows, None);
            let progress = |rows| progress.advance(rows);
            let part = databases.save(run.staging, run.interrupt, &progress)?;
            self.take_new(Component::Mysql, part)?;
        }
        Ok(())
    }

    fn save_trees(&mut self, component: Component) -> Result<(), Error> {
        let run = self.run;
        for tree in &run.plan.trees {
            if tree.component == component {
                let part = save_tree(tree, run.staging, run.interrupt)?;
                self.take_new(component, part)?;
            }
        }
        for copy in &run.plan.copies {
            if copy.component == component {
                let part = save_copy(copy, run.staging)?;
                self.take(component, part);
            }
        }
        if component == Component::Config {
            let part = save_project(&run.plan.project, run.staging)?;
            self.take(component, part);
        }
        Ok(())
    }

    /// Takes what was written whole; what came out as it was is linked.
    fn take_new(&mut self, component: Component, mut part: SavedPart) -> Result<(), Error> {
        let run = self.run;
        let mut files = Vec::new();
        for file in part.files {
            let path = run.staging.path().join(file.path.as_path());
            let linked = link_equal(file, run.previous, run.staging);
            let Linked { file, damaged } = linked.map_err(Failed::at("write", &path))?;
            files.push(file);
            if let Some(file) = damaged
                && run.previous.reading() == Reading::Checked
            {
                self.note_damage(FoundDamage {
                    component,
                    path: None,
                    error: Error::StoredDamage { file },
                });
            }
        }
        part.files = files;
        self.take(component, part);
        Ok(())
    }

    fn take(&mut self, component: Component, part: SavedPart) {
        for (path, error) in part.failures {
            self.fail(component, path.as_ref(), &error);
        }
        for notice in &part.notices {
            self.run.session.report.warning(notice);
        }
        for remark in &part.remarks {
            self.run.session.report.summary(remark);
        }
        self.saved.notices.extend(part.notices);
        self.saved.remarks.extend(part.remarks);
        self.saved.totals.merge(&part.totals);
        self.saved.files.extend(part.files);
        self.saved.databases.extend(part.databases);
        self.saved.watched.extend(part.watched);
    }

    fn fail(&mut self, component: Component, path: Option<&RelPath>, failure: &dyn Failure) {
        self.run.session.fail(Some(component), path, failure);
        self.saved.failed.insert(component);
    }
}
