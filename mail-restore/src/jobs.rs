//! What of a set becomes which file or tree: decided by the names in the set, and by where links
//! lead on the live server.

use std::fmt;
use std::path::{Path, PathBuf};

use mail_common::archive::segment::segment_number;
use mail_common::relpath::RelPath;
use mail_common::set::{
    Component, Inventory, MailboxError, PROJECT, SavedMailbox, SetFile, extra_dir, is_extra,
    is_of_mailbox, mailbox, saved_mailboxes,
};

use crate::places::{ExtraPlace, FilePlace, Places, ProjectPlace, resolved};

/// A tree that is made of files of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeJob {
    pub(crate) component: Component,
    pub(crate) target: PathBuf,
    /// Archives whose members lie in the tree.
    pub(crate) archives: Vec<SetFile>,
    /// The mailboxes that the archives are of, sorted by their directories in the set.
    pub(crate) mailboxes: Vec<SavedMailbox>,
    /// Files that become a file of the tree as they are, where the archives have none there.
    pub(crate) files: Vec<(SetFile, RelPath)>,
    /// Trees that lie in this one and replace what the archives have there.
    pub(crate) inner: Vec<(RelPath, TreeJob)>,
}

/// A file that is restored as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileJob {
    pub(crate) component: Component,
    pub(crate) file: SetFile,
    pub(crate) target: PathBuf,
    /// Must be there; directories between it and the target are made.
    pub(crate) base: PathBuf,
}

/// A file of the set that is not restored, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unplaced {
    Unknown,
    LeadsOut,
    Taken,
    /// EXTRA_DIRS does not name the directory.
    NotNamed,
}

/// All that is made of a set, but for the databases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jobs {
    pub(crate) trees: Vec<TreeJob>,
    pub(crate) files: Vec<FileJob>,
    /// Files of the set that have no place.
    pub(crate) unplaced: Vec<(RelPath, Unplaced)>,
}

impl Jobs {
    /// What `components` of the set in `inventory` become at `places`.
    ///
    /// # Errors
    /// When the files of a mailbox contradict each other.
    pub(crate) fn new(
        inventory: &Inventory,
        components: &[Component],
        places: &Places,
    ) -> Result<Self, MailboxError> {
        let mut jobs = Self::default();
        for component in components {
            if let Some(target) = places.tree(*component) {
                jobs.add_component(inventory, *component, target, places)?;
            }
        }
        jobs.put_inside();
        Ok(jobs)
    }

    /// Every file of the set that is used.
    pub(crate) fn used(&self) -> Vec<&SetFile> {
        let of_trees = self.trees.iter().flat_map(TreeJob::used);
        of_trees
            .chain(self.files.iter().map(|job| &job.file))
            .collect()
    }

    fn add_component(
        &mut self,
        inventory: &Inventory,
        component: Component,
        target: &Path,
        places: &Places,
    ) -> Result<(), MailboxError> {
        let mut tree = TreeJob::new(component, target);
        if component == Component::Mailboxes {
            tree.mailboxes = saved_mailboxes(inventory.of_component(component))?;
        }
        let mut apart = match &places.project {
            ProjectPlace::Apart(directory) => Some(TreeJob::new(component, directory)),
            ProjectPlace::Live(_) | ProjectPlace::Nowhere => None,
        };
        for file in inventory.of_component(component) {
            match role(component, &file.path) {
                Role::Archive => tree.archives.push(file.clone()),
                Role::Listing => {}
                Role::InTree(path) => tree.files.push((file.clone(), path)),
                Role::Compose => {
                    self.add_file(&mut tree, component, file, &places.compose);
                }
                Role::Env => self.add_file(&mut tree, component, file, &places.env),
                Role::Project(below) => match (&places.project, &mut apart) {
                    (ProjectPlace::Live(project), _) => self.add_of_project(file, &below, project),
                    (_, Some(apart)) => apart.files.push((file.clone(), below)),
                    (_, None) => self.unplaced.push((file.path.clone(), Unplaced::Unknown)),
                },
                Role::Extra(directory) => self.add_extra(file, &directory, &places.extra),
                Role::Unknown => self.unplaced.push((file.path.clone(), Unplaced::Unknown)),
            }
        }
        for tree in [Some(tree), apart].into_iter().flatten() {
            if tree.used().next().is_some() {
                self.trees.push(tree);
            }
        }
        Ok(())
    }

    /// A file of the live project: at its path in the directory of the project, and never outside.
    fn add_of_project(&mut self, file: &SetFile, below: &RelPath, project: &Path) {
        let target = resolved(&project.join(below.as_path()));
        let unplaced = if !target.starts_with(project) || has_link_above(&target) {
            Unplaced::LeadsOut
        } else if self.files.iter().any(|job| job.target == target) {
            Unplaced::Taken
        } else {
            self.files.push(FileJob {
                component: Component::Config,
                file: file.clone(),
                target,
                base: project.to_owned(),
            });
            return;
        };
        self.unplaced.push((file.path.clone(), unplaced));
    }

    /// The archive of a further directory: a tree of its own on the live server, below one of all
    /// of them elsewhere.
    fn add_extra(&mut self, file: &SetFile, directory: &Path, place: &ExtraPlace) {
        let job = |target: &Path| TreeJob {
            archives: vec![file.clone()],
            ..TreeJob::new(Component::Config, target)
        };
        match place {
            ExtraPlace::Live(named) if named.iter().any(|path| path == directory) => {
                self.trees.push(job(&resolved(directory)));
            }
            ExtraPlace::Live(_) => {
                self.unplaced.push((file.path.clone(), Unplaced::NotNamed));
            }
            ExtraPlace::Apart(base) => {
                let below = directory.strip_prefix("/").unwrap_or(directory);
                if !self.trees.iter().any(|tree| tree.target == *base) {
                    self.trees.push(TreeJob::new(Component::Config, base));
                }
                self.trees.push(job(&base.join(below)));
            }
        }
    }

    fn add_file(
        &mut self,
        tree: &mut TreeJob,
        component: Component,
        file: &SetFile,
        target: &FilePlace,
    ) {
        let in_tree = || RelPath::new(file.path.name());
        match (target, in_tree()) {
            (FilePlace::At(target), _) => self.files.push(FileJob {
                component,
                file: file.clone(),
                target: target.clone(),
                base: target.parent().unwrap_or(target).to_owned(),
            }),
            (FilePlace::InTree, Ok(path)) => tree.files.push((file.clone(), path)),
            (FilePlace::InTree, Err(_)) | (FilePlace::Nowhere, _) => {
                self.unplaced.push((file.path.clone(), Unplaced::Unknown));
            }
        }
    }

    /// What lies in a tree becomes a part of it: the DKIM keys may lie in the configuration, and so
    /// may the compose file.
    fn put_inside(&mut self) {
        self.put_trees_inside();
        let trees = &mut self.trees;
        self.files
            .retain(|job| !trees.iter_mut().any(|tree| tree.takes(job)));
    }

    fn put_trees_inside(&mut self) {
        let mut trees = std::mem::take(&mut self.trees);
        // The outermost come first.
        trees.sort_by_key(|tree| tree.target.components().count());
        for tree in trees {
            let outer = self
                .trees
                .iter_mut()
                .find(|outer| tree.target.starts_with(&outer.target));
            let below = outer
                .as_ref()
                .and_then(|outer| tree.target.strip_prefix(&outer.target).ok());
            match (
                outer,
                below.and_then(|path| RelPath::try_from(path.to_owned()).ok()),
            ) {
                (Some(outer), Some(path)) => outer.inner.push((path, tree)),
                _ => self.trees.push(tree),
            }
        }
    }
}

impl TreeJob {
    fn new(component: Component, target: &Path) -> Self {
        let (archives, mailboxes, files, inner) = Default::default();
        Self {
            component,
            target: target.to_owned(),
            archives,
            mailboxes,
            files,
            inner,
        }
    }

    /// Takes over a file that lies in this tree or in one in it.
    fn takes(&mut self, job: &FileJob) -> bool {
        if self.inner.iter_mut().any(|(_, inner)| inner.takes(job)) {
            return true;
        }
        let below = job.target.strip_prefix(&self.target).ok();
        let below = below.and_then(|path| RelPath::try_from(path.to_owned()).ok());
        let Some(path) = below else {
            return false;
        };
        self.files.push((job.file.clone(), path));
        true
    }

    /// Whether this or a tree in it is of `component`.
    pub(crate) fn holds(&self, component: Component) -> bool {
        self.component == component || self.inner.iter().any(|(_, tree)| tree.holds(component))
    }

    /// Every file of the set that this and the trees in it are made of.
    pub(crate) fn used(&self) -> Box<dyn Iterator<Item = &SetFile> + '_> {
        let listings = self
            .mailboxes
            .iter()
            .flat_map(|saved| saved.listing.files());
        let files = self.files.iter().map(|(file, _)| file);
        let own = self.archives.iter().chain(listings).chain(files);
        Box::new(own.chain(self.inner.iter().flat_map(|(_, tree)| tree.used())))
    }

    /// The files whose records say what comes out of this and the trees in it. The archives of a
    /// mailbox of format 2 hold messages that were gone too: there it is the state.
    pub(crate) fn telling(&self) -> Box<dyn Iterator<Item = &SetFile> + '_> {
        let telling_state = |saved: &SavedMailbox| saved.state().is_some_and(is_recorded);
        let archives = self.archives.iter().filter(move |archive| {
            let mailbox = self.mailbox_of(archive).map(|(at, _)| &self.mailboxes[at]);
            !mailbox.is_some_and(telling_state)
        });
        let states = self.mailboxes.iter().filter_map(SavedMailbox::state);
        let states = states.filter(|state| is_recorded(state));
        let files = self.files.iter().map(|(file, _)| file);
        let inner = self.inner.iter().flat_map(|(_, tree)| tree.telling());
        Box::new(archives.chain(states).chain(files).chain(inner))
    }

    /// Which of the mailboxes the archive is of, with its number.
    pub(crate) fn mailbox_of(&self, archive: &SetFile) -> Option<(usize, u32)> {
        let number = segment_number(archive.path.name())?;
        let directory = archive.path.parent()?;
        let found = self
            .mailboxes
            .binary_search_by(|saved| saved.directory.cmp(&directory));
        Some((found.ok()?, number))
    }
}

fn is_recorded(file: &SetFile) -> bool {
    file.recorded.is_some()
}

/// What a file of a component is for.
enum Role {
    Archive,
    /// What is in the archives of a mailbox.
    Listing,
    InTree(RelPath),
    Compose,
    Env,
    /// Another file of the Compose project, at this path in its directory.
    Project(RelPath),
    /// The archive of this directory.
    Extra(PathBuf),
    Unknown,
}

fn role(component: Component, path: &RelPath) -> Role {
    // The old scripts copied the mail as it was: whatever its names look like, they are messages.
    if component == Component::Mailboxes
        && let Some(below) = mailbox::plain_path(path)
    {
        return Role::InTree(below);
    }
    if component == Component::Config
        && let Some(below) = project_path(path)
    {
        return Role::Project(below);
    }
    if component == Component::Config && is_extra(path) {
        return extra_dir(path).map_or(Role::Unknown, Role::Extra);
    }
    let name = path.name();
    let suffixes: [&[u8]; 9] = [
        b".tar.zst",
        b".tar.gz",
        b".tgz",
        b".tar.bz2",
        b".tbz2",
        b".tbz",
        b".tar.xz",
        b".txz",
        b".tar",
    ];
    let is_archive = suffixes.iter().any(|suffix| name.ends_with(suffix));
    match (component, name) {
        _ if is_archive => Role::Archive,
        (Component::Mailboxes, _) if is_of_mailbox(path) => Role::Listing,
        (
            Component::Config,
            b"docker-compose.yml" | b"docker-compose.yaml" | b"compose.yml" | b"compose.yaml",
        ) => Role::Compose,
        (Component::Config, b"env" | b".env") => Role::Env,
        _ => Role::Unknown,
    }
}

/// Whether a link that leads nowhere is on the way.
fn has_link_above(path: &Path) -> bool {
    path.ancestors().skip(1).any(Path::is_symlink)
}

/// The path of a file of the Compose project in its directory; `None` for other files.
fn project_path(path: &RelPath) -> Option<RelPath> {
    let below = path.as_path().strip_prefix(PROJECT).ok()?;
    RelPath::try_from(below.to_owned()).ok()
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no place is known for it",
            Self::LeadsOut => "a link leads its place out of the directory of the compose file",
            Self::Taken => "another file of the set is restored in its place",
            Self::NotNamed => {
                "EXTRA_DIRS does not name its directory; name it, or restore it with --to DIR"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_common::checksum::Sha256;
    use mail_common::set::{FileFacts, SetState};

    fn file(path: &str) -> SetFile {
        let component = path.split('/').next().unwrap().parse().ok();
        SetFile::from(FileFacts {
            path: RelPath::new(path).unwrap(),
            sha256: Sha256::of(b""),
            component,
            recorded: None,
        })
    }

    fn inventory(paths: &[&str]) -> Inventory {
        let files = paths.iter().map(|path| file(path)).collect();
        let set = PathBuf::from("/b/daily/2026-11-23");
        Inventory {
            set,
            state: SetState::Complete,
            begin: None,
            files,
            unlisted: Vec::new(),
            missing: Vec::new(),
        }
    }

    fn places(dkim: &str) -> Places {
        Places {
            mail: "/srv/mail".into(),
            config: "/srv/config".into(),
            ssl: Some("/srv/ssl".into()),
            dkim: Some(dkim.into()),
            compose: FilePlace::At("/srv/docker-compose.yml".into()),
            env: FilePlace::At("/srv/.env".into()),
            project: ProjectPlace::Live("/srv".into()),
            extra: ExtraPlace::Live(vec!["/srv/extra/a".into(), "/srv/config/b".into()]),
        }
    }

    fn names(files: &[SetFile]) -> Vec<String> {
        files.iter().map(|file| file.path.to_string()).collect()
    }

    #[test]
    fn each_file_of_a_set_has_its_place() {
        let inventory = inventory(&[
            "config/config.tar.zst",
            "config/docker-compose.yml",
            "config/env",
            "config/notes",
            "dkim/dkim.tar.zst",
            "mailboxes/a.example/b/0000.tar.zst",
            "mailboxes/a.example/b/index.jsonl.zst",
            "mysql/mail.sql.zst",
        ]);
        let jobs = Jobs::new(&inventory, &Component::ALL, &places("/srv/config/opendkim")).unwrap();
        assert_eq!(jobs.trees.len(), 2);
        let [mail, config] = [Component::Mailboxes, Component::Config].map(|wanted| {
            jobs.trees
                .iter()
                .find(|tree| tree.component == wanted)
                .unwrap()
        });
        assert_eq!(
            names(&mail.archives),
            ["mailboxes/a.example/b/0000.tar.zst"]
        );
        assert_eq!(mail.mailbox_of(&mail.archives[0]), Some((0, 0)));
        let (path, dkim) = &config.inner[0];
        assert_eq!(
            (path.to_string().as_str(), dkim.component),
            ("opendkim", Component::Dkim)
        );
        let targets: Vec<_> = jobs
            .files
            .iter()
            .map(|job| job.target.to_str().unwrap())
            .collect();
        assert_eq!(targets, ["/srv/docker-compose.yml", "/srv/.env"]);
        let notes = RelPath::new("config/notes").unwrap();
        assert_eq!(jobs.unplaced, [(notes, Unplaced::Unknown)]);
        assert_eq!(jobs.used().len(), 6);
    }

    #[test]
    fn what_lies_beside_stays_beside() {
        let inventory = inventory(&["config/config.tar.gz", "dkim/dkim.tar.gz"]);
        let jobs = Jobs::new(&inventory, &Component::ALL, &places("/srv/config-dkim")).unwrap();
        assert_eq!(
            jobs.trees
                .iter()
                .map(|tree| tree.inner.len())
                .collect::<Vec<_>>(),
            [0, 0]
        );
    }

    #[test]
    fn mail_of_the_old_scripts_is_mail_whatever_it_is_called() {
        let inventory = inventory(&[
            "mail/a.example/b/cur/1.tar.gz",
            "mail/a.example/b/index.jsonl.zst",
        ]);
        let jobs = Jobs::new(&inventory, &Component::ALL, &places("/srv/dkim")).unwrap();
        let paths: Vec<_> = jobs.trees[0]
            .files
            .iter()
            .map(|(_, path)| path.to_string())
            .collect();
        assert_eq!(
            paths,
            ["a.example/b/cur/1.tar.gz", "a.example/b/index.jsonl.zst"]
        );
    }

    #[test]
    fn files_of_the_project_have_their_places() {
        let paths = [
            "config/config.tar.zst",
            "config/docker-compose.yml",
            "config/project/config/nginx/a.env",
            "config/project/docker-compose.yml",
            "config/project/secrets/key.tar",
        ];
        let live = Jobs::new(
            &inventory(&paths),
            &[Component::Config],
            &places("/srv/dkim"),
        )
        .unwrap();
        let targets: Vec<_> = live
            .files
            .iter()
            .map(|job| job.target.to_str().unwrap())
            .collect();
        assert_eq!(targets, ["/srv/docker-compose.yml", "/srv/secrets/key.tar"]);
        assert_eq!(live.trees[0].files[0].1.to_string(), "nginx/a.env");
        let taken = RelPath::new("config/project/docker-compose.yml").unwrap();
        assert_eq!(live.unplaced, [(taken, Unplaced::Taken)]);

        let below = Places::below(Path::new("/to"));
        let apart = Jobs::new(&inventory(&paths), &[Component::Config], &below).unwrap();
        assert_eq!(apart.trees[1].target, Path::new("/to/project"));
        assert_eq!(apart.trees[1].files.len(), 3);
        assert_eq!(apart.used().len(), paths.len());
    }

    #[test]
    fn further_directories_go_only_where_the_settings_name_them() {
        let paths = [
            "config/config.tar.zst",
            "config/extra/srv/extra/a.tar.zst",
            "config/extra/srv/config/b.tar.zst",
            "config/extra/srv/extra/a/b.tar.zst",
            "config/extra/root.tar.zst",
            "config/extra/srv/extra/a.tgz",
            "config/extra/a.tar.zst/b.tar.zst",
        ];
        let config = [Component::Config];
        let live = Jobs::new(&inventory(&paths), &config, &places("/srv/dkim")).unwrap();
        let targets: Vec<_> = live.trees.iter().map(|tree| tree.target.to_str()).collect();
        assert_eq!(targets, [Some("/srv/config"), Some("/srv/extra/a")]);
        assert_eq!(live.trees[0].inner[0].0.to_string(), "b");
        assert_eq!(
            names(&live.trees[1].archives),
            ["config/extra/srv/extra/a.tar.zst"]
        );
        let unplaced: Vec<_> = live
            .unplaced
            .iter()
            .map(|(path, why)| (path.to_string(), *why))
            .collect();
        let expected = [
            (paths[3].to_owned(), Unplaced::NotNamed),
            (paths[4].to_owned(), Unplaced::NotNamed),
            (paths[5].to_owned(), Unplaced::Unknown),
            (paths[6].to_owned(), Unplaced::Unknown),
        ];
        assert_eq!(unplaced, expected);

        let below = Places::below(Path::new("/to"));
        let apart = Jobs::new(&inventory(&paths[..5]), &config, &below).unwrap();
        let targets: Vec<_> = apart
            .trees
            .iter()
            .map(|tree| tree.target.to_str())
            .collect();
        assert_eq!(targets, [Some("/to/extra"), Some("/to/config")]);
        let inner: Vec<_> = apart.trees[0]
            .inner
            .iter()
            .map(|(path, _)| path.to_string())
            .collect();
        assert_eq!(
            inner,
            ["root", "srv/extra/a", "srv/config/b", "srv/extra/a/b"]
        );
        assert_eq!(apart.used().len(), 5);
    }

    #[test]
    fn into_a_directory_the_compose_file_goes_with_the_configuration() {
        let inventory = inventory(&["config/env"]);
        let jobs = Jobs::new(
            &inventory,
            &[Component::Config],
            &Places::below(Path::new("/to")),
        )
        .unwrap();
        assert_eq!(
            (jobs.trees[0].target.to_str(), jobs.files.len()),
            (Some("/to/config"), 0)
        );
        assert_eq!(jobs.trees[0].files[0].1.to_string(), "env");
    }
}
