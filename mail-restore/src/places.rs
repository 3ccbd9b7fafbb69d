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
    /// `None` here and in `dkim`: the settings say that the server has none.
    pub(crate) ssl: Option<PathBuf>,
    pub(crate) dkim: Option<PathBuf>,
    pub(crate) compose: FilePlace,
    pub(crate) env: FilePlace,
}

/// Where a single file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilePlace {
    At(PathBuf),
    /// Into the tree of the configuration, as it is called in the set.
    InTree,
    /// The settings say that the server has none.
    Nowhere,
}

impl FilePlace {
    fn of_setting(setting: Option<&PathBuf>) -> Self {
        setting.map_or(Self::Nowhere, |path| Self::At(resolved(path)))
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::At(path) => Some(path),
            Self::InTree | Self::Nowhere => None,
        }
    }
}

impl Places {
    /// The live mail server: flags over settings. A directory that is a symbolic link is resolved,
    /// so that what it leads to is replaced and not the link.
    pub(crate) fn live(args: &Args, settings: &Settings) -> Self {
        let or =
            |flag: &Option<PathBuf>, setting: &Path| resolved(flag.as_deref().unwrap_or(setting));
        let optional = |flag: &Option<PathBuf>, setting: &Option<PathBuf>| {
            flag.as_deref().or(setting.as_deref()).map(resolved)
        };
        Self {
            mail: or(&args.mail_dir, &settings.mail_data_dir),
            config: or(&args.config_dir, &settings.config_dir),
            ssl: optional(&args.ssl_dir, &settings.ssl_dir),
            dkim: optional(&args.dkim_dir, &settings.dkim_dir),
            compose: FilePlace::of_setting(settings.docker_compose_file.as_ref()),
            env: FilePlace::of_setting(settings.env_file.as_ref()),
        }
    }

    /// `DIR/<component>`.
    pub(crate) fn below(directory: &Path) -> Self {
        let of = |component: Component| directory.join(component.name());
        Self {
            mail: of(Component::Mailboxes),
            config: of(Component::Config),
            ssl: Some(of(Component::Ssl)),
            dkim: Some(of(Component::Dkim)),
            compose: FilePlace::InTree,
            env: FilePlace::InTree,
        }
    }

    /// The tree of a component; the databases have none.
    pub(crate) fn tree(&self, component: Component) -> Option<&Path> {
        match component {
            Component::Mailboxes => Some(&self.mail),
            Component::Mysql => None,
            Component::Config => Some(&self.config),
            Component::Ssl => self.ssl.as_deref(),
            Component::Dkim => self.dkim.as_deref(),
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
