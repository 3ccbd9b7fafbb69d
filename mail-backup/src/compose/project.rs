//! From the settings to what is copied of the project, and what is said of the rest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mail_common::compose::{self, Variables};
use mail_common::config::Settings;
use mail_common::relpath::RelPath;
use mail_common::report;
use mail_common::set::{Component, PROJECT, Staging};

use super::named::{Named, NamedFile, Need};
use super::place::{LeftOut, Place, Places, resolved_name};
use crate::error::Error;
use crate::part::SavedPart;
use crate::trees::{CopyPlan, save_copy};

/// More files than this no project has.
const MAX_FILES: usize = 1000;

/// What of the project goes into the set, beside the compose file and `.env`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProjectPlan {
    pub(crate) copies: Vec<CopyPlan>,
    /// What does not, a sentence each.
    pub(crate) notices: Vec<String>,
}

impl ProjectPlan {
    /// Reads the compose files. `saved` are the directories that a set has anyway.
    pub(crate) fn read(settings: &Settings, saved: &[&Path]) -> Self {
        let mut plan = Self::default();
        let Some(compose_file) = &settings.docker_compose_file else {
            return plan;
        };
        let env_file = settings.env_file.as_deref();
        let named = named(compose_file, env_file);
        plan.notices = named.unclear;
        let Some(places) = places(compose_file, env_file, saved) else {
            return plan;
        };
        let mut targets = BTreeSet::new();
        for file in named.files {
            match places.find(&file.path) {
                Ok(Place::InSet) => {}
                Ok(Place::Copied(source, below)) => {
                    if targets.insert(below.clone()) {
                        plan.copy(source, &below);
                    }
                }
                Err(LeftOut::NotThere) if is_spared(&file, compose_file) => {}
                Err(reason) => plan.leave_out(&file.path, &reason.to_string()),
            }
        }
        plan
    }

    fn copy(&mut self, source: PathBuf, below: &RelPath) {
        if self.copies.len() == MAX_FILES {
            let reason = format!("the project names more than {MAX_FILES} files");
            self.leave_out(&source, &reason);
            return;
        }
        let directory = RelPath::new(PROJECT).expect("the directory of the layout is a safe path");
        self.copies.push(CopyPlan {
            component: Component::Config,
            source,
            target: below.below(&directory),
            absence: None,
        });
    }

    fn leave_out(&mut self, path: &Path, reason: &str) {
        let sentence = format!(
            "{}, a file of the Compose project, is not in the set: {reason}",
            path.display()
        );
        if !self.notices.contains(&sentence) {
            self.notices.push(sentence);
        }
    }
}

/// Whether nothing is missing without a file that is not there: Compose does without it, or the
/// copy of the compose file itself fails and says so.
fn is_spared(file: &NamedFile, compose_file: &Path) -> bool {
    file.need == Need::Optional || file.path == compose_file
}

/// The files of the project, with all they name.
///
/// Under cron the environment is not that of the shell in which Compose is run. Where `.env` and
/// the environment differ, both are followed: a file more in the set does no harm.
fn named(compose_file: &Path, env_file: Option<&Path>) -> Named {
    let mut named = Named::default();
    let process = Variables::of_process();
    let file = env_file.map_or_else(|| Ok(Variables::default()), Variables::of_file);
    let file = file.unwrap_or_else(|error| {
        named.add_unclear(format!(
            "{error}: which files of the Compose project it names is not known"
        ));
        Variables::default()
    });
    for variables in [file.clone().over(&process), process.over(&file)] {
        named.add_project(&compose::of_project(compose_file, &variables), &variables);
        for usual in compose::usual_files(compose_file) {
            named.add_project(&[usual], &variables);
        }
    }
    // Without `--env-file`, Compose reads the one in the directory of the project.
    named.add(compose_file.with_file_name(".env"), Need::Optional);
    named
}

/// `None` where the directory of the project is not there; the copy of the compose file says so.
fn places(compose_file: &Path, env_file: Option<&Path>, saved: &[&Path]) -> Option<Places> {
    let compose_file = resolved_name(compose_file).ok()?;
    let project = compose_file.parent()?.to_owned();
    let resolved = |path: &&Path| path.canonicalize().ok();
    let mut saved: Vec<PathBuf> = saved.iter().filter_map(resolved).collect();
    saved.extend(compose_file.canonicalize());
    saved.push(compose_file);
    if let Some(env_file) = env_file {
        saved.extend(resolved_name(env_file));
        saved.extend(env_file.canonicalize());
    }
    Some(Places { project, saved })
}

/// Whether the compose file of the settings is not there and another file of the project takes its
/// place, as `compose.yaml` does.
pub(crate) fn has_stand_in(settings: &Settings) -> bool {
    let Some(compose_file) = &settings.docker_compose_file else {
        return false;
    };
    let env_file = settings.env_file.as_deref();
    let variables = env_file.map(Variables::read).and_then(Result::ok);
    let variables = variables.unwrap_or_else(Variables::of_process);
    let files = compose::of_project(compose_file, &variables);
    compose_file.symlink_metadata().is_err() && files.iter().any(|file| file.exists())
}

/// Copies the files of the project into the set.
///
/// # Errors
/// Only when the set cannot be written.
pub(crate) fn save_project(plan: &ProjectPlan, staging: &Staging<'_>) -> Result<SavedPart, Error> {
    let mut part = SavedPart {
        notices: plan.notices.clone(),
        ..SavedPart::default()
    };
    for copy in &plan.copies {
        let copied = save_copy(copy, staging)?;
        part.files.extend(copied.files);
        part.watched.extend(copied.watched);
        for (_, error) in copied.failures {
            part.notices.push(format!(
                "{}, a file of the Compose project, is not in the set: {}",
                copy.source.display(),
                report::chain(&error)
            ));
        }
    }
    Ok(part)
}
