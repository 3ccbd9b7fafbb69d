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
    pub(crate) project: ProjectPlace,
    pub(crate) extra: ExtraPlace,
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

/// Where other files of the Compose project go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProjectPlace {
    /// Into the live directory of the compose file, each by itself.
    Live(PathBuf),
    /// Into a directory of their own.
    Apart(PathBuf),
    /// The settings say that the server has no compose file.
    Nowhere,
}

/// Where further directories go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExtraPlace {
    /// Each where it was, but these alone: a set does not decide where on the server is written.
    Live(Vec<PathBuf>),
    /// Below a directory, under their whole paths.
    Apart(PathBuf),
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

impl ProjectPlace {
    /// The directory in which Docker Compose finds the compose file, also where that is a link.
    fn of_setting(compose_file: Option<&Path>) -> Self {
        let Some(compose_file) = compose_file else {
            return Self::Nowhere;
        };
        match compose_file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => Self::Live(resolved(parent)),
            _ => Self::Live(resolved(Path::new("."))),
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
            project: ProjectPlace::of_setting(settings.docker_compose_file.as_deref()),
            extra: ExtraPlace::Live(settings.extra_dirs.clone()),
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
            project: ProjectPlace::Apart(directory.join("project")),
            extra: ExtraPlace::Apart(directory.join("extra")),
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

/// The path without links, as far as it is there.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match path.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => with_resolved_parent(&absolute()),
        Err(_) => absolute(),
    }
}

/// The target may be gone, with directories that led to it, while the directory that held them is
/// still there.
fn with_resolved_parent(path: &Path) -> PathBuf {
    let above = path.ancestors().skip(1);
    for ancestor in above {
        if let (Ok(resolved), Ok(below)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return resolved.join(below);
        }
    }
    path.to_owned()
}
