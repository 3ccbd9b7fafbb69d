//! Certificates in files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::judge::Judge;
use super::served::judge_days;
use crate::context::Context;
use crate::finding::Finding;
use crate::net::Certificate;
use crate::probe::Probe;

/// A probe a file. A pattern that was given and fits nothing is a finding; the usual place may be
/// empty.
pub(super) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let files = &context.settings.tls.files;
    let usual = context.server.ssl_dir.join("live/*/fullchain.pem");
    if files.is_empty() {
        return expand(&usual)
            .into_iter()
            .map(|path| probe(path, context))
            .collect();
    }
    let found = files.iter().flat_map(|pattern| {
        let paths = expand(Path::new(pattern));
        // It is looked at by its name, and is not there.
        if paths.is_empty() {
            vec![PathBuf::from(pattern)]
        } else {
            paths
        }
    });
    found.map(|path| probe(path, context)).collect()
}

fn probe(path: PathBuf, context: &Arc<Context>) -> Probe {
    let context = Arc::clone(context);
    Probe::new(
        "certificate",
        path.display().to_string(),
        context.timeout,
        move || vec![check(&path, &context)],
    )
}

fn check(path: &Path, context: &Context) -> Finding {
    let target = path.display().to_string();
    let certificate = match read(path) {
        Ok(certificate) => certificate,
        Err(why) => return Finding::unknown("certificate", target, why),
    };
    let judge = Judge {
        name: None,
        allow_self_signed: true,
        now: context.now.timestamp(),
    };
    match judge.of_itself(&certificate) {
        Some(why) => Finding::critical("certificate", target, why),
        None => judge_days(&target, &certificate, context),
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
pub(super) fn expand(pattern: &Path) -> Vec<PathBuf> {
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

/// The files that are checked.
pub(super) fn files(context: &Context) -> Vec<PathBuf> {
    let files = &context.settings.tls.files;
    let usual = context.server.ssl_dir.join("live/*/fullchain.pem");
    if files.is_empty() {
        expand(&usual)
    } else {
        files
            .iter()
            .flat_map(|file| expand(Path::new(file)))
            .collect()
    }
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
