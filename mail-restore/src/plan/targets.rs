//! Whether what is at each target can change places with something new. Found out before anything
//! is built, so that a restore of hours does not fail at its last step.

use std::io;
use std::path::Path;

use mail_common::failure::Failed;
use mail_common::set::{Component, is_mount_point};
use mail_common::trusted;
use rustix::fs::Access;

use super::Plan;
use super::target::{Target, existing_ancestor};
use crate::error::Error;
use crate::jobs::TreeJob;
use crate::setup::Destination;

impl Plan {
    pub(super) fn check_targets(&self) -> Result<(), Error> {
        self.check_mail()?;
        for target in self.targets() {
            self.check_apart(target.path)?;
            match &self.destination {
                Destination::Live => check_live(target)?,
                Destination::Directory(directory) => check_new(directory, target.path)?,
            }
        }
        Ok(())
    }

    /// Mail that lies in another tree is replaced with it, or else would be gone from the server.
    fn check_mail(&self) -> Result<(), Error> {
        let mail = &self.places.mail;
        let loses_mail =
            |tree: &&TreeJob| mail.starts_with(&tree.target) && !tree.holds(Component::Mailboxes);
        if self.destination != Destination::Live || !mail.exists() {
            return Ok(());
        }
        match self.jobs.trees.iter().find(loses_mail) {
            None => Ok(()),
            Some(tree) => Err(Error::MailInTarget {
                target: tree.target.clone(),
                mail: mail.clone(),
                component: tree.component,
            }),
        }
    }

    /// Neither set nor root may lie in what is replaced, nor a target in the set.
    fn check_apart(&self, target: &Path) -> Result<(), Error> {
        let owned = || target.to_owned();
        if self.inventory.set.starts_with(target) {
            return Err(Error::SetInTarget { target: owned() });
        }
        if target.starts_with(&self.inventory.set) {
            return Err(Error::TargetInSet { target: owned() });
        }
        match self.root.canonicalize() {
            Ok(root) if root.starts_with(target) => Err(Error::RootInTarget { target: owned() }),
            _ => Ok(()),
        }
    }
}

/// Whether what is at a target of the live server can change places with something new.
fn check_live(target: Target<'_>) -> Result<(), Error> {
    let Target { path, wanted, base } = target;
    let owned = || path.to_owned();
    if path.parent().is_none() {
        return Err(Error::MountPoint { target: owned() });
    }
    if !base.is_dir() {
        return Err(Error::NoParent {
            target: owned(),
            parent: base.to_owned(),
        });
    }
    check_writable(&existing_ancestor(path), path)?;
    let metadata = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(Failed::at("look at", path))?,
    };
    if metadata.is_dir() != (wanted == "directory") {
        return Err(Error::OtherKind {
            target: owned(),
            wanted,
        });
    }
    if is_mount_point(path).map_err(Failed::at("look at", path))? {
        return Err(Error::MountPoint { target: owned() });
    }
    Ok(())
}

/// Whether something can be made at `target` in `directory`, which need not be there yet.
fn check_new(directory: &Path, target: &Path) -> Result<(), Error> {
    if directory.exists() {
        check_writable(directory, target)?;
    } else {
        check_writable(&existing_ancestor(directory), target)?;
    }
    let is_empty = match trusted::read_dir(target).map(|mut entries| entries.next().is_none()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => false,
        listed => listed.map_err(Failed::at("look at", target))?,
    };
    if is_empty {
        Ok(())
    } else {
        Err(Error::NotEmpty {
            target: target.to_owned(),
        })
    }
}

fn check_writable(parent: &Path, target: &Path) -> Result<(), Error> {
    rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| {
        Error::NotWritable {
            target: target.to_owned(),
            parent: parent.to_owned(),
            source: errno.into(),
        }
    })
}
