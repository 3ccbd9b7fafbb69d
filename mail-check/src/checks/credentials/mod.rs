//! `credentials`: how old secrets are, and who may read them.

mod access; // who owns a file and who may read it
mod accounts; // names of users
mod age; // when secrets were changed
mod keys; // private keys below a directory

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::config::Source;
use serde::Deserialize;

use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::probe::Probe;
use access::Rule;
use age::Day;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// Keys of opendkim and of rspamd.
const DKIM_KEYS: &[&str] = &[".private", ".key"];

/// Keys of certbot (`privkey.pem`, `privkey1.pem`), and of others.
const TLS_KEYS: &[&str] = &["privkey*.pem", ".key"];

/// The target of their age, wherever they are.
const AWS_KEYS: &str = "AWS keys";

/// `[credentials]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    files: Vec<PathBuf>,
    age: Ceiling,
    aws_created: Option<Day>,
    owners: Vec<String>,
    group_may_read: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            age: Ceiling::warning(90.0),
            aws_created: None,
            owners: Vec::new(),
            group_may_read: false,
        }
    }
}

/// Something that holds secrets, and whether anybody named it: what is only looked for in its usual
/// place may be absent.
#[derive(Clone, Debug)]
struct Place {
    path: PathBuf,
    is_named: bool,
}

/// None where nothing is named and nothing is in its usual place.
pub(crate) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let mut probes: Vec<Probe> = secret_files(context)
        .into_iter()
        .filter(Place::is_wanted)
        .map(|file| probe("file-mode", file.path, context, check_file))
        .collect();
    probes.extend(key_probes(context));
    probes.extend(aws_probe(context));
    if !probes.is_empty() {
        // It may be a mount that hangs: only its probe touches it.
        probes.push(probe(
            "file-mode",
            context.root.clone(),
            context,
            |root, context| vec![check_access(root, context)],
        ));
    }
    probes
}

fn secret_files(context: &Context) -> Vec<Place> {
    let mut files = vec![place(context, "ENV_FILE", context.server.env_file.clone())];
    files.extend(
        context
            .server
            .mysql
            .config_file
            .clone()
            .map(|path| place(context, "MYSQL_CONFIG_FILE", path)),
    );
    files.extend(context.settings.credentials.files.iter().map(|path| Place {
        path: path.clone(),
        is_named: true,
    }));
    files
}

fn key_probes(context: &Arc<Context>) -> Vec<Probe> {
    let server = &context.server;
    let trees = [
        ("DKIM_DIR", &server.dkim_dir, DKIM_KEYS),
        ("SSL_DIR", &server.ssl_dir, TLS_KEYS),
    ];
    let wanted = trees
        .into_iter()
        .filter(|(name, tree, _)| place(context, name, (*tree).clone()).is_wanted());
    let check = |(_, tree, patterns): (&str, &PathBuf, &'static [&'static str])| {
        probe("file-mode", tree.clone(), context, move |tree, context| {
            vec![keys::check(tree, patterns, &rule(context))]
        })
    };
    wanted.map(check).collect()
}

fn aws_probe(context: &Arc<Context>) -> Option<Probe> {
    match aws_file(context).filter(Place::is_wanted) {
        Some(file) => Some(probe("secret-age", file.path, context, check_aws)),
        None => {
            context.settings.credentials.aws_created?;
            Some(probe("secret-age", AWS_KEYS.into(), context, check_aws_age))
        }
    }
}

impl Place {
    fn is_wanted(&self) -> bool {
        // What cannot be looked at may be there.
        self.is_named || self.path.try_exists().unwrap_or(true)
    }
}

fn place(context: &Context, name: &str, path: PathBuf) -> Place {
    let is_named = context
        .config
        .get(name)
        .is_some_and(|setting| setting.source != Source::Default);
    Place { path, is_named }
}

fn aws_file(context: &Context) -> Option<Place> {
    if let Some(setting) = context.config.get("AWS_SHARED_CREDENTIALS_FILE") {
        return Some(Place {
            path: setting.value.into(),
            is_named: true,
        });
    }
    let home = PathBuf::from(context.config.get("HOME")?.value);
    Some(Place {
        path: home.join(".aws/credentials"),
        is_named: false,
    })
}

fn probe(
    name: &'static str,
    path: PathBuf,
    context: &Arc<Context>,
    check: impl FnOnce(&Path, &Context) -> Vec<Finding> + Send + 'static,
) -> Probe {
    let within = context.timeout;
    let context = Arc::clone(context);
    Probe::new(name, path.display().to_string(), within, move || {
        check(&path, &context)
    })
}

fn check_file(path: &Path, context: &Context) -> Vec<Finding> {
    let age = age::of_file(path, fs::metadata(path), context.now.timestamp());
    let target = path.display().to_string();
    vec![
        age::judge(&target, age, context.settings.credentials.age),
        check_access(path, context),
    ]
}

fn check_aws(path: &Path, context: &Context) -> Vec<Finding> {
    let age = match context.settings.credentials.aws_created {
        Some(created) => age::since(created, context.now.date()),
        None => age::of_file(path, fs::metadata(path), context.now.timestamp()),
    };
    vec![
        age::judge(AWS_KEYS, age, context.settings.credentials.age),
        check_access(path, context),
    ]
}

/// Of keys that are in no file, as those of the environment.
fn check_aws_age(_: &Path, context: &Context) -> Vec<Finding> {
    let settings = &context.settings.credentials;
    let created = settings
        .aws_created
        .map(|created| age::since(created, context.now.date()));
    created
        .map(|age| age::judge(AWS_KEYS, age, settings.age))
        .into_iter()
        .collect()
}

fn check_access(path: &Path, context: &Context) -> Finding {
    access::judge(path, fs::metadata(path), &rule(context))
}

fn rule(context: &Context) -> Rule {
    let settings = &context.settings.credentials;
    Rule {
        owners: accounts::numbers(&settings.owners),
        group_may_read: settings.group_may_read,
    }
}
