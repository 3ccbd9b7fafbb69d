//! Certificates in files.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mail_common::trusted;

use super::days;
use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Floor;
use crate::net::{CertificateJudge, Chain, certificate_file};
use crate::probe::Probe;

/// The files that hold certificates.
#[derive(Clone, Debug)]
pub(super) enum Files {
    /// Patterns of the settings: one that fits nothing is reported.
    Named(Vec<String>),
    /// certbot's `live/`: a directory for each name. It may be absent, but what is in it counts.
    Live(PathBuf),
}

impl Files {
    pub(super) fn new(named: &[String], ssl_dir: Option<&Path>) -> Self {
        match ssl_dir {
            Some(ssl_dir) if named.is_empty() => Self::Live(ssl_dir.join("live")),
            _ => Self::Named(named.to_vec()),
        }
    }

    /// Those that are looked at. What is there by name only, such as a link that leads nowhere, is
    /// among them: that it cannot be read is reported.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::Live(live) => lineages(live),
            Self::Named(patterns) => patterns.iter().flat_map(|pattern| named(pattern)).collect(),
        }
    }
}

/// A pattern that fits nothing is looked at by its name.
fn named(pattern: &str) -> Vec<PathBuf> {
    let paths = expand(Path::new(pattern));
    if paths.is_empty() {
        vec![PathBuf::from(pattern)]
    } else {
        paths
    }
}

/// `fullchain.pem` of each name, whether it is there or not; `live/` itself where it cannot be
/// listed.
fn lineages(live: &Path) -> Vec<PathBuf> {
    let entries = match trusted::read_dir(live) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(_) => return vec![live.to_owned()],
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .map(|path| path.join("fullchain.pem"))
        .collect();
    paths.sort();
    paths
}

/// A probe a file.
pub(super) fn probes(files: &Files, limits: Floor, context: &Context) -> Vec<Probe> {
    let (within, now) = (context.timeout, context.now.timestamp());
    let probe = |path: PathBuf| {
        Probe::new(
            "certificate",
            path.display().to_string(),
            within,
            move || vec![check(&path, limits, now)],
        )
    };
    files.paths().into_iter().map(probe).collect()
}

fn check(path: &Path, limits: Floor, now: Timestamp) -> Finding {
    let target = path.display().to_string();
    let chain = match read(path) {
        Ok(chain) => chain,
        Err(why) => return Finding::unknown("certificate", target, why),
    };
    match CertificateJudge::of_file(now).of_itself(chain.own()) {
        Some(why) => Finding::critical("certificate", target, why),
        None => days::judge(&target, &chain, now, limits),
    }
}

/// The certificates of a file.
pub(super) fn read(path: &Path) -> Result<Chain, String> {
    let unread = |why: &str| format!("{} cannot be read: {why}; see [tls] files", path.display());
    let certificates = certificate_file::read(path).map_err(|why| unread(&why))?;
    match Chain::parse(&certificates) {
        Ok(Some(chain)) => Ok(chain),
        Ok(None) => Err(unread("nothing is in it")),
        Err(error) => Err(unread(&error.to_string())),
    }
}

/// The paths that fit; a part of the pattern that is `*`, or has one in it, stands for names.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str().to_string_lossy().into_owned();
        paths = match name.split_once('*') {
            None => paths.into_iter().map(|path| path.join(&name)).collect(),
            Some((head, tail)) => paths
                .iter()
                .flat_map(|path| names(path, head, tail))
                .collect(),
        };
    }
    paths.retain(|path| path.symlink_metadata().is_ok());
    paths
}

fn names(dir: &Path, head: &str, tail: &str) -> Vec<PathBuf> {
    // A directory that is not there, or may not be read, holds nothing that fits.
    let entries = trusted::read_dir(dir).into_iter().flatten().flatten();
    let fits = |name: &str| {
        name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
    };
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(fits))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_star_stands_for_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["live/a/x.pem", "live/b/x.pem", "live/README"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            mail_common::atomic::write_file(&path, b"").unwrap();
        }
        let check = |pattern: &str, expected: &[&str]| {
            let found = expand(&dir.path().join(pattern));
            assert_eq!(
                found,
                expected
                    .iter()
                    .map(|name| dir.path().join(name))
                    .collect::<Vec<_>>(),
                "{pattern}"
            );
        };
        check("live/*/x.pem", &["live/a/x.pem", "live/b/x.pem"]);
        check("live/a/*.pem", &["live/a/x.pem"]);
        check("live/c/*.pem", &[]);
        check("live/a/x.pem", &["live/a/x.pem"]);
    }

    #[test]
    fn every_name_of_live_is_looked_at_whether_its_file_is_there_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("live");
        assert_eq!(lineages(&live), Vec::<PathBuf>::new());
        for name in ["whole", "dangling", "empty"] {
            fs::create_dir_all(live.join(name)).unwrap();
        }
        mail_common::atomic::write_file(&live.join("whole/fullchain.pem"), b"").unwrap();
        mail_common::atomic::write_file(&live.join("README"), b"").unwrap();
        let link = live.join("dangling/fullchain.pem");
        std::os::unix::fs::symlink("../../archive/x.pem", link).unwrap();
        let names = ["dangling", "empty", "whole"];
        let expected = names.map(|name| live.join(name).join("fullchain.pem"));
        assert_eq!(lineages(&live), expected);
        assert_eq!(
            expand(&live.join("dangl*/fullchain.pem")),
            [live.join("dangling/fullchain.pem")]
        );
    }
}
