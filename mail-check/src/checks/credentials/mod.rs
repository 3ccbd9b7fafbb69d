//! `credentials`: how old secrets are, and who may read them.

mod access; // who owns a file and who may read it
mod accounts; // names of users
mod age; // when secrets were changed
mod keys; // private keys below a directory
mod places; // where secrets lie
mod settings; // further files, and the limits

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::context::Context;
use crate::finding::Finding;
use crate::probe::Probe;
use access::Rule;
use age::Age;
use places::Place;

pub(crate) use settings::{EXAMPLE, Settings};

/// The target of their age, wherever they are.
const AWS_KEYS: &str = "AWS keys";

/// By what secrets are judged.
struct Judge {
    settings: Settings,
    context: Arc<Context>,
}

/// None where nothing is named and nothing is in its usual place.
pub(crate) fn probes(settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    let judge = Arc::new(Judge {
        settings: settings.clone(),
        context: Arc::clone(context),
    });
    let mut probes = Vec::new();
    for file in places::secret_files(&settings.files, context) {
        probes.push(probe("file-mode", file, &judge, Judge::secret_file));
    }
    for (tree, patterns) in places::key_trees(context) {
        probes.push(probe("file-mode", tree, &judge, move |judge, tree| {
            vec![keys::check(tree, patterns, &judge.rule())]
        }));
    }
    if let Some(file) = places::aws_file(context).filter(Place::is_wanted) {
        probes.push(probe("secret-age", file.path, &judge, Judge::aws_file));
    } else if settings.aws_created.is_some() {
        probes.push(probe(
            "secret-age",
            AWS_KEYS.into(),
            &judge,
            Judge::aws_keys_elsewhere,
        ));
    }
    if !probes.is_empty() {
        // It may be a mount that hangs: only its probe touches it.
        let root = context.root.clone();
        probes.push(probe("file-mode", root, &judge, |judge, root| {
            vec![judge.access(root)]
        }));
    }
    probes
}

fn probe(
    name: &'static str,
    path: PathBuf,
    judge: &Arc<Judge>,
    check: impl FnOnce(&Judge, &Path) -> Vec<Finding> + Send + 'static,
) -> Probe {
    let judge = Arc::clone(judge);
    let (target, within) = (path.display().to_string(), judge.context.timeout);
    Probe::new(name, target, within, move || check(&judge, &path))
}

impl Judge {
    fn secret_file(&self, path: &Path) -> Vec<Finding> {
        let target = path.display().to_string();
        let age = age::judge(&target, self.age_of(path), self.settings.age);
        vec![age, self.access(path)]
    }

    fn aws_file(&self, path: &Path) -> Vec<Finding> {
        let age = self.aws_age().unwrap_or_else(|| self.age_of(path));
        let age = age::judge(AWS_KEYS, age, self.settings.age);
        vec![age, self.access(path)]
    }

    /// Of keys that are in no file, as those of the environment.
    fn aws_keys_elsewhere(&self, _: &Path) -> Vec<Finding> {
        let age = self.aws_age().into_iter();
        age.map(|age| age::judge(AWS_KEYS, age, self.settings.age))
            .collect()
    }

    /// Since the day that the settings name.
    fn aws_age(&self) -> Option<Age> {
        let created = self.settings.aws_created?;
        Some(age::since(created, self.context.now.date()))
    }

    fn age_of(&self, path: &Path) -> Age {
        age::of_file(path, fs::metadata(path), self.context.now.timestamp())
    }

    fn access(&self, path: &Path) -> Finding {
        access::judge(path, fs::metadata(path), &self.rule())
    }

    fn rule(&self) -> Rule {
        Rule {
            owners: accounts::numbers(&self.settings.owners),
            group_may_read: self.settings.group_may_read,
        }
    }
}
