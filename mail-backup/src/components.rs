//! Saves the components one after the other. One that fails does not stop the others.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, Staging};
use mail_common::tool::{Session, Totals};

use crate::databases::SavedDatabases;
use crate::mailboxes::{self, Environment, SavedMailbox, save_mailboxes};
use crate::plan::Plan;
use crate::previous::PreviousSets;
use crate::saved::SavedFile;
use crate::trees::{self, SavedTree, save_copy, save_tree};

/// Why no more can be saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Mailboxes(#[from] mailboxes::Error),
    #[error(transparent)]
    Mysql(#[from] mail_mysql::Error),
    #[error(transparent)]
    Trees(#[from] trees::Error),
}

/// A run in which the components are saved.
pub(crate) struct Run<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) session: &'a Session,
    pub(crate) staging: &'a Staging<'a>,
    pub(crate) previous: &'a PreviousSets,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) result: RunResult,
}

/// What was saved, and what was not.
#[derive(Debug, Default)]
pub(crate) struct RunResult {
    pub(crate) files: Vec<SavedFile>,
    pub(crate) notices: Vec<String>,
    pub(crate) totals: Totals,
    pub(crate) failed: BTreeSet<Component>,
}

impl Run<'_> {
    /// Saves the components of the plan, one after the other.
    ///
    /// # Errors
    /// When the set cannot be written, or the run is interrupted. A component that fails is in the
    /// result.
    pub(crate) fn save_components(&mut self, now_seconds: i64) -> Result<(), Error> {
        self.try_database();
        for component in &self.plan.components {
            let progress = self.session.report.progress(component.name(), 0);
            match component {
                Component::Mailboxes => {
                    self.save_mailboxes(now_seconds, &|bytes| progress.advance(bytes))?
                }
                Component::Mysql => self.save_databases(&|rows| progress.advance(rows))?,
                Component::Config | Component::Ssl | Component::Dkim => {
                    self.save_trees(*component)?
                }
            }
        }
        Ok(())
    }

    /// Logs in once before the long work, so that a wrong password is known at the beginning of the
    /// night.
    fn try_database(&mut self) {
        let Some(databases) = &self.plan.databases else {
            return;
        };
        if let Err(error) = databases.try_connection() {
            self.fail(Component::Mysql, None, &error);
        }
    }

    fn save_mailboxes(
        &mut self,
        now_seconds: i64,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Error> {
        let environment = Environment {
            staging: self.staging,
            previous: self.previous,
            interrupt: self.interrupt,
            now_seconds,
            progress,
        };
        let saved = match save_mailboxes(&self.plan.mailboxes, environment) {
            Err(error @ mailboxes::Error::MailRoot(_)) => {
                self.fail(Component::Mailboxes, None, &error);
                return Ok(());
            }
            saved => saved?,
        };
        for mailbox in saved {
            self.take_mailbox(mailbox);
        }
        Ok(())
    }

    fn take_mailbox(&mut self, saved: SavedMailbox) {
        for (path, error) in saved.failed {
            let error = Unreadable {
                path: self.plan.mailboxes.mail_dir.join(path.as_path()),
                source: error,
            };
            self.fail(Component::Mailboxes, Some(&path), &error);
        }
        for path in saved.still_moving {
            self.fail(Component::Mailboxes, Some(&path), &StillMoving);
        }
        self.notice(saved.notices);
        self.count("messages_unchanged", saved.counts.unchanged);
        self.count("read_bytes", saved.counts.read_bytes);
        self.count("messages_expunged_meanwhile", saved.counts.expunged);
        self.count("scratch_files_left_out", saved.counts.scratch_files);
        self.result.files.extend(saved.files);
    }

    fn save_databases(&mut self, progress: &dyn Fn(u64)) -> Result<(), Error> {
        let Some(databases) = &self.plan.databases else {
            return Ok(());
        };
        if self.result.failed.contains(&Component::Mysql) {
            return Ok(());
        }
        let SavedDatabases {
            files,
            failed,
            notices,
            rows,
        } = databases.save(self.staging, &self.interrupt.flag(), progress)?;
        for (path, error) in failed {
            self.fail(Component::Mysql, Some(&path), &*error);
        }
        self.notice(notices);
        self.count("rows", rows);
        self.result.files.extend(files);
        Ok(())
    }

    fn save_trees(&mut self, component: Component) -> Result<(), Error> {
        for tree in self
            .plan
            .trees
            .iter()
            .filter(|tree| tree.component == component)
        {
            let saved = save_tree(tree, self.staging, &self.interrupt.flag())?;
            self.take_tree(component, saved);
        }
        for copy in self
            .plan
            .copies
            .iter()
            .filter(|copy| copy.component == component)
        {
            let saved = save_copy(copy, self.staging)?;
            self.take_tree(component, saved);
        }
        Ok(())
    }

    fn take_tree(&mut self, component: Component, saved: SavedTree) {
        for (path, source) in saved.failed {
            self.fail(component, None, &Unreadable { path, source });
        }
        self.notice(saved.notices);
        self.result.files.extend(saved.files);
    }

    fn fail(
        &mut self,
        component: Component,
        path: Option<&RelPath>,
        error: &(dyn StdError + 'static),
    ) {
        self.session.fail(Some(component), path, error);
        self.result.failed.insert(component);
    }

    fn notice(&mut self, notices: Vec<String>) {
        notices
            .iter()
            .for_each(|notice| self.session.report.warning(notice));
        self.result.notices.extend(notices);
    }

    fn count(&mut self, name: &str, number: u64) {
        self.result.totals.add(name, number);
    }
}

/// A message that is not in the set, since it moved whenever it was to be read.
#[derive(Debug, thiserror::Error)]
#[error("the message was moved too often to be read; run mail-backup again")]
struct StillMoving;

/// Something of the live system that is not in the set.
#[derive(Debug, thiserror::Error)]
#[error("read {path}")]
struct Unreadable {
    path: PathBuf,
    source: io::Error,
}
