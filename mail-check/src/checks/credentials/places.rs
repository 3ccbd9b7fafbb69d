//! Where secrets lie: files and trees that are named, or in their usual place.

use std::path::PathBuf;

use mail_common::config::Source;

use crate::context::Context;

/// Keys of opendkim and of rspamd.
const DKIM_KEYS: &[&str] = &[".private", ".key"];

/// Keys of certbot (`privkey.pem`, `privkey1.pem`), and of others.
const TLS_KEYS: &[&str] = &["privkey*.pem", ".key"];

/// Something that holds secrets, and whether anybody named it: what is only looked for in its usual
/// place may be absent.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    is_named: bool,
}

impl Place {
    fn named(path: PathBuf) -> Self {
        Self {
            path,
            is_named: true,
        }
    }

    /// The path that the setting `name` has.
    fn of_setting(name: &str, path: PathBuf, context: &Context) -> Self {
        let setting = context.config.get(name);
        let is_named = setting.is_some_and(|setting| setting.source != Source::Default);
        Self { path, is_named }
    }

    /// What cannot be looked at may be there.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_named || self.path.try_exists().unwrap_or(true)
    }
}

/// Files that hold secrets; `named` are those of `[credentials]`.
pub(super) fn secret_files(named: &[PathBuf], context: &Context) -> Vec<PathBuf> {
    let server = &context.server;
    let files = [
        ("ENV_FILE", &server.env_file),
        ("MYSQL_CONFIG_FILE", &server.mysql.config_file),
    ];
    let mut places = Vec::new();
    for (name, path) in files {
        if let Some(path) = path {
            places.push(Place::of_setting(name, path.clone(), context));
        }
    }
    places.extend(named.iter().cloned().map(Place::named));
    places.retain(Place::is_wanted);
    places.into_iter().map(|place| place.path).collect()
}

/// Directories with private keys below, and how the keys are called.
pub(super) fn key_trees(context: &Context) -> Vec<(PathBuf, &'static [&'static str])> {
    let server = &context.server;
    let trees = [
        ("DKIM_DIR", &server.dkim_dir, DKIM_KEYS),
        ("SSL_DIR", &server.ssl_dir, TLS_KEYS),
    ];
    let mut wanted = Vec::new();
    for (name, path, patterns) in trees {
        if let Some(path) = path
            && Place::of_setting(name, path.clone(), context).is_wanted()
        {
            wanted.push((path.clone(), patterns));
        }
    }
    wanted
}

/// The file of AWS keys; `None` without a home directory.
pub(super) fn aws_file(context: &Context) -> Option<Place> {
    if let Some(setting) = context.config.get("AWS_SHARED_CREDENTIALS_FILE") {
        return Some(Place::named(setting.value.into()));
    }
    let home = PathBuf::from(context.config.get("HOME")?.value);
    Some(Place {
        path: home.join(".aws/credentials"),
        is_named: false,
    })
}
