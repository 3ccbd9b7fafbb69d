//! What of a set becomes which file or tree: decided by the names in the set alone.

use std::path::{Path, PathBuf};

use mail_common::archive::segment::segment_number;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, Inventory, SetFile, mailbox};

use crate::places::{FilePlace, Places};

/// A tree that is made of files of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeJob {
    pub(crate) component: Component,
    pub(crate) target: PathBuf,
    /// Archives whose members lie in the tree.
    pub(crate) archives: Vec<SetFile>,
    /// What lies where in the archives of mailboxes.
    pub(crate) indices: Vec<SetFile>,
    /// Files that become a file of the tree as they are.
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
}

/// All that is made of a set, but for the databases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jobs {
    pub(crate) trees: Vec<TreeJob>,
    pub(crate) files: Vec<FileJob>,
    /// Files of the set for which no place is known.
    pub(crate) unplaced: Vec<RelPath>,
}

impl Jobs {
    /// What `components` of the set in `inventory` become at `places`.
    pub(crate) fn new(inventory: &Inventory, components: &[Component], places: &Places) -> Self {
        let mut jobs = Self::default();
        for component in components {
            if let Some(target) = places.tree(*component) {
                jobs.add_component(inventory, *component, target, places);
            }
        }
        jobs.put_inside();
        jobs
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
    ) {
        let mut tree = TreeJob::new(component, target);
        for file in inventory.of_component(component) {
            match role(component, &file.path) {
                Role::Archive => tree.archives.push(file.clone()),
                Role::Index => tree.indices.push(file.clone()),
                Role::InTree(path) => tree.files.push((file.clone(), path)),
                Role::Compose => {
                    self.add_file(&mut tree, component, file, &places.compose);
                }
                Role::Env => self.add_file(&mut tree, component, file, &places.env),
                Role::Unknown => self.unplaced.push(file.path.clone()),
            }
        }
        if tree.used().next().is_some() {
            self.trees.push(tree);
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
            }),
            (FilePlace::InTree, Ok(path)) => tree.files.push((file.clone(), path)),
            (FilePlace::InTree, Err(_)) | (FilePlace::Nowhere, _) => {
                self.unplaced.push(file.path.clone());
            }
        }
    }

    /// A tree whose target lies in that of another becomes a part of it: the DKIM keys may lie in
    /// the configuration.
    fn put_inside(&mut self) {
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
        let (archives, indices, files, inner) = Default::default();
        Self {
            component,
            target: target.to_owned(),
            archives,
            indices,
            files,
            inner,
        }
    }

    /// Every file of the set that this and the trees in it are made of.
    pub(crate) fn used(&self) -> Box<dyn Iterator<Item = &SetFile> + '_> {
        let own = self
            .archives
            .iter()
            .chain(&self.indices)
            .chain(self.files.iter().map(|(file, _)| file));
        Box::new(own.chain(self.inner.iter().flat_map(|(_, tree)| tree.used())))
    }

    /// The index of the mailbox whose archive `archive` is, with the number of the segment.
    pub(crate) fn index_of(&self, archive: &SetFile) -> Option<(&SetFile, u32)> {
        let number = segment_number(archive.path.name())?;
        let parent = archive.path.parent();
        self.indices
            .iter()
            .find(|index| index.path.parent() == parent)
            .map(|index| (index, number))
    }
}

/// What a file of a component is for.
enum Role {
    Archive,
    Index,
    InTree(RelPath),
    Compose,
    Env,
    Unknown,
}

fn role(component: Component, path: &RelPath) -> Role {
    // The old scripts copied the mail as it was: whatever its names look like, they are messages.
    if component == Component::Mailboxes
        && let Some(below) = mailbox::plain_path(path)
    {
        return Role::InTree(below);
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
        (Component::Mailboxes, _) if mailbox::is_index(path) => Role::Index,
        _ if is_archive => Role::Archive,
        (
            Component::Config,
            b"docker-compose.yml" | b"docker-compose.yaml" | b"compose.yml" | b"compose.yaml",
        ) => Role::Compose,
        (Component::Config, b"env" | b".env") => Role::Env,
        _ => Role::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_common::checksum::Sha256;
    use mail_common::set::SetState;

    fn file(path: &str) -> SetFile {
        let component = path.split('/').next().unwrap().parse().ok();
        SetFile {
            path: RelPath::new(path).unwrap(),
            sha256: Sha256::of(b""),
            component,
            recorded: None,
        }
    }

    fn inventory(paths: &[&str]) -> Inventory {
        let files = paths.iter().map(|path| file(path)).collect();
        let set = PathBuf::from("/b/daily/2026-11-23");
        Inventory {
            set,
            state: SetState::Complete,
            manifest: None,
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
        let jobs = Jobs::new(&inventory, &Component::ALL, &places("/srv/config/opendkim"));
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
        assert_eq!(
            mail.index_of(&mail.archives[0]).unwrap(),
            (&mail.indices[0], 0)
        );
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
        assert_eq!(jobs.unplaced, [RelPath::new("config/notes").unwrap()]);
        assert_eq!(jobs.used().len(), 6);
    }

    #[test]
    fn what_lies_beside_stays_beside() {
        let inventory = inventory(&["config/config.tar.gz", "dkim/dkim.tar.gz"]);
        let jobs = Jobs::new(&inventory, &Component::ALL, &places("/srv/config-dkim"));
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
        let jobs = Jobs::new(&inventory, &Component::ALL, &places("/srv/dkim"));
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
    fn into_a_directory_the_compose_file_goes_with_the_configuration() {
        let inventory = inventory(&["config/env"]);
        let jobs = Jobs::new(
            &inventory,
            &[Component::Config],
            &Places::below(Path::new("/to")),
        );
        assert_eq!(
            (jobs.trees[0].target.to_str(), jobs.files.len()),
            (Some("/to/config"), 0)
        );
        assert_eq!(jobs.trees[0].files[0].1.to_string(), "env");
    }
}
