//! Certificates in files.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::days;
use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Floor;
use crate::net::{Certificate, CertificateJudge};
use crate::probe::Probe;

/// The files that hold certificates.
#[derive(Clone, Debug)]
pub(super) enum Files {
    /// Patterns of the settings: one that fits nothing is told.
    Named(Vec<String>),
    /// The usual place, which may be empty.
    Usual(PathBuf),
}

impl Files {
    pub(super) fn new(named: &[String], ssl_dir: &Path) -> Self {
        if named.is_empty() {
            Self::Usual(ssl_dir.join("live/*/fullchain.pem"))
        } else {
            Self::Named(named.to_vec())
        }
    }

    /// Those that are there.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::Usual(pattern) => expand(pattern),
            Self::Named(patterns) => {
                let patterns = patterns.iter().map(Path::new);
                patterns.flat_map(expand).collect()
            }
        }
    }

    /// Those that are looked at: a pattern that fits nothing is looked at by its name.
    fn wanted(&self) -> Vec<PathBuf> {
        match self {
            Self::Usual(pattern) => expand(pattern),
            Self::Named(patterns) => patterns.iter().flat_map(|pattern| named(pattern)).collect(),
        }
    }
}

fn named(pattern: &str) -> Vec<PathBuf> {
    let paths = expand(Path::new(pattern));
    if paths.is_empty() {
        vec![PathBuf::from(pattern)]
    } else {
        paths
    }
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
    files.wanted().into_iter().map(probe).collect()
}

fn check(path: &Path, limits: Floor, now: Timestamp) -> Finding {
    let target = path.display().to_string();
    let certificate = match read(path) {
        Ok(certificate) => certificate,
        Err(why) => return Finding::unknown("certificate", target, why),
    };
    match CertificateJudge::of_file(now).of_itself(&certificate) {
        Some(why) => Finding::critical("certificate", target, why),
        None => days::judge(&target, &certificate, now, limits),
    }
}

/// The first certificate of a PEM file.
pub(super) fn read(path: &Path) -> Result<Certificate, String> {
    let der = CertificateDer::from_pem_file(path).map_err(|error| {
        format!(
            "{} cannot be read: {error}; see [tls] files",
            path.display()
        )
    })?;
    Certificate::parse(&der)
        .ok_or_else(|| format!("{} holds no certificate that can be read", path.display()))
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
    paths.retain(|path| path.exists());
    paths
}

fn names(dir: &Path, head: &str, tail: &str) -> Vec<PathBuf> {
    // A directory that is not there, or may not be read, holds nothing that fits.
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
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
}
