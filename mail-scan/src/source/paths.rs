//! Files and directories. They are listed by descriptor, so that a directory that somebody
//! exchanges for a link meanwhile leads nowhere; links are not followed below the operand, and
//! pipes are not waited for.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::report::chain;

use super::outlet::{Closed, Outlet};
use crate::item::{Holder, Item, Place};
use crate::look::Opened;
use crate::maildir;
use crate::packing::{MAGIC_BYTES, Packing};
use crate::run::Run;
use crate::tree::{Entry, EntryKind, Tree, is_gone};
use crate::unscanned::Error;

/// Sends every file at or below `path`. What cannot be listed is reported as not scanned.
pub(crate) fn feed_path(run: &Run<'_>, path: &Path, outlet: &mut Outlet) -> Result<(), Closed> {
    let is_directory = path.is_dir();
    let top = if is_directory {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    let tree = match Tree::open(top) {
        Ok(tree) => Arc::new(tree),
        Err(error) => {
            report_unlisted(run, path, error);
            return Ok(());
        }
    };
    let mut walk = Walk {
        run,
        tree: &tree,
        outlet,
        found: 0,
    };
    if is_directory {
        walk.directories(path, Revisit::All)?;
    } else {
        walk.operand(path)?;
    }
    if walk.found == 0 {
        // A disk that is not mounted looks so.
        run.scope.session.report.warning(format!(
            "there is no file in {}: nothing is scanned there",
            Place::of_path(path)
        ));
    }
    Ok(())
}

/// Lists `directories` again, which have changed since they were listed, and sends the files that
/// were not found before.
pub(crate) fn feed_changed(
    run: &Run<'_>,
    directories: &[(Arc<Tree>, PathBuf)],
    outlet: &mut Outlet,
) -> Result<(), Closed> {
    for (tree, directory) in directories {
        let mut walk = Walk {
            run,
            tree,
            outlet,
            found: 0,
        };
        walk.directories(directory, Revisit::Unlisted)?;
    }
    outlet.flush()
}

/// Which directories below the first are listed, and which files are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revisit {
    All,
    /// Those that were not found before.
    Unlisted,
}

/// A walk through one tree.
struct Walk<'a, 'b> {
    run: &'a Run<'b>,
    tree: &'a Arc<Tree>,
    outlet: &'a mut Outlet,
    /// Files that were found, or could not be.
    found: usize,
}

impl Walk<'_, '_> {
    /// The file that an operand names.
    fn operand(&mut self, path: &Path) -> Result<(), Closed> {
        match self.tree.entry(path) {
            Ok(entry) => self.file(path.to_owned(), &entry, Revisit::All),
            Err(error) => {
                self.found += 1;
                report_unlisted(self.run, path, error);
                Ok(())
            }
        }
    }

    /// `top` and what is below it.
    fn directories(&mut self, top: &Path, revisit: Revisit) -> Result<(), Closed> {
        let mut waiting = vec![top.to_owned()];
        while let Some(directory) = waiting.pop() {
            self.run.scope.interrupt.check().map_err(|_| Closed)?;
            let listed = self.tree.directory(&directory).and_then(|opened| {
                self.run
                    .tally
                    .listed
                    .add_directory(self.tree, &directory, &opened)?;
                Tree::entries(&opened)
            });
            match listed {
                Ok(entries) => self.entries(&directory, entries, revisit, &mut waiting)?,
                // What was in it is elsewhere, or gone too.
                Err(error)
                    if is_gone(&error) && (directory != top || revisit == Revisit::Unlisted) => {}
                Err(error) => {
                    self.found += 1;
                    report_unlisted(self.run, &directory, error);
                }
            }
        }
        Ok(())
    }

    fn entries(
        &mut self,
        directory: &Path,
        entries: Vec<Entry>,
        revisit: Revisit,
        waiting: &mut Vec<PathBuf>,
    ) -> Result<(), Closed> {
        for entry in entries {
            self.run.scope.interrupt.check().map_err(|_| Closed)?;
            let path = directory.join(&entry.name);
            match entry.kind {
                EntryKind::Directory => {
                    if revisit == Revisit::All || !self.run.tally.listed.has_directory(&path) {
                        waiting.push(path);
                    }
                }
                EntryKind::Link => {}
                EntryKind::Other => self.file(path, &entry, revisit)?,
            }
        }
        Ok(())
    }

    /// A file, or what stands in the place of one: whoever opens it says what that is.
    fn file(&mut self, file: PathBuf, entry: &Entry, revisit: Revisit) -> Result<(), Closed> {
        self.found += 1;
        let is_new = self.run.tally.listed.add_file(entry.identity);
        if !is_new && revisit == Revisit::Unlisted {
            return Ok(());
        }
        let item = Item {
            place: Place::of_path(&file),
            file,
            holder: Holder::Tree(Arc::clone(self.tree), Some(entry.identity)),
            expected: None,
            segment: None,
        };
        let packing = packing_of(&item);
        self.outlet.send(item, packing, entry.bytes)
    }
}

/// By its name, which says nothing of a message, and by its first bytes.
fn packing_of(item: &Item) -> Packing {
    let name = item
        .file
        .file_name()
        .map(OsStrExt::as_bytes)
        .unwrap_or_default();
    if maildir::lies_in_place(&item.file) || Packing::of_name(name) == Packing::PLAIN {
        return Packing::PLAIN;
    }
    let mut head = Vec::new();
    if let Ok(Opened::File(file, _)) = item.open() {
        // Who reads it as a plain file says what is wrong with it.
        let _ = file.take(MAGIC_BYTES as u64).read_to_end(&mut head);
    }
    Packing::of_name_and_head(name, &head)
}

fn report_unlisted(run: &Run<'_>, path: &Path, source: io::Error) {
    let item = Item {
        file: path.to_owned(),
        place: Place::of_path(path),
        holder: Holder::Nothing,
        expected: None,
        segment: None,
    };
    let place = item.place.to_string();
    let error = Error::List { place, source };
    run.scope.session.fail(None, None, &error);
    let finding = run.scope.unscanned(chain(&error));
    run.tally.report_file(&item, &finding);
}
