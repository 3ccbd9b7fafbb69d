//! Where the parts of a set go: onto the live mail server, or into a directory.

use std::io;
use std::path::{Path, PathBuf};

use mail_common::config::Settings;
use mail_common::set::Component;

use crate::args::Args;

/// Where each part goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) mail: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) ssl: PathBuf,
    pub(crate) dkim: PathBuf,
    /// `None`: into the tree of the configuration, as it is called in the set.
    pub(crate) compose: Option<PathBuf>,
    /// Likewise.
    pub(crate) env: Option<PathBuf>,
}

impl Places {
    /// The live mail server: flags over settings. A directory that is a symbolic link is resolved,
    /// so that what it leads to is replaced and not the link.
    pub(crate) fn live(args: &Args, settings: &Settings) -> Self {
        let or =
            |flag: &Option<PathBuf>, setting: &Path| resolved(flag.as_deref().unwrap_or(setting));
        Self {
            mail: or(&args.mail_dir, &settings.mail_data_dir),
            config: or(&args.config_dir, &settings.config_dir),
            ssl: or(&args.ssl_dir, &settings.ssl_dir),
            dkim: or(&args.dkim_dir, &settings.dkim_dir),
            compose: Some(resolved(&settings.docker_compose_file)),
            env: Some(resolved(&settings.env_file)),
        }
    }

    /// `DIR/<component>`.
    pub(crate) fn below(directory: &Path) -> Self {
        let of = |component: Component| directory.join(component.name());
        Self {
            mail: of(Component::Mailboxes),
            config: of(Component::Config),
            ssl: of(Component::Ssl),
            dkim: of(Component::Dkim),
            compose: None,
            env: None,
        }
    }

    /// The tree of a component; the databases have none.
    pub(crate) fn tree(&self, component: Component) -> Option<&Path> {
        match component {
            Component::Mailboxes => Some(&self.mail),
            Component::Mysql => None,
            Component::Config => Some(&self.config),
            Component::Ssl => Some(&self.ssl),
            Component::Dkim => Some(&self.dkim),
        }
    }
}

fn resolved(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match path.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => with_resolved_parent(&absolute()),
        Err(_) => absolute(),
    }
}

/// The target may be gone while the directory that held it is still there.
fn with_resolved_parent(path: &Path) -> PathBuf {
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    match (parent, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}
