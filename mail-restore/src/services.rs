//! Which services of the mail server use what is restored: to be stopped before and started after.
//!
//! The compose file says which there are and what they mount. Where it cannot be read none is
//! named: a list that is wrong is worse than none.

use std::path::{Path, PathBuf};

use mail_common::compose::{self, Value, Variables};

/// The services of the project of `compose_file` that mount something of `targets`, sorted; all of
/// them where a target is no directory, such as a database, or none mounts any.
pub(crate) fn users_of(compose_file: Option<&Path>, targets: &[Option<&Path>]) -> Vec<String> {
    let Some(compose_file) = compose_file else {
        return Vec::new();
    };
    let variables = variables_beside(compose_file);
    let mut all = Vec::new();
    let mut users = Vec::new();
    for file in compose::of_project(compose_file, &variables) {
        let Ok(document) = compose::document(&file) else {
            return Vec::new();
        };
        let services = document.get("services").and_then(Value::as_mapping);
        for (name, service) in services.into_iter().flatten() {
            let Some(name) = name.as_str() else { continue };
            all.push(name.to_owned());
            let mounts = mounts(&file, service, &variables);
            if targets
                .iter()
                .flatten()
                .any(|target| shows(&mounts, target))
            {
                users.push(name.to_owned());
            }
        }
    }
    let mut named = if users.is_empty() || targets.contains(&None) {
        all
    } else {
        users
    };
    named.sort_unstable();
    named.dedup();
    named
}

/// `: ` and the names; nothing where there are none.
pub(crate) fn list(services: &[String]) -> String {
    if services.is_empty() {
        return String::new();
    }
    format!(": {}", services.join(" "))
}

/// A .env that cannot be read leaves variables empty: their mounts are not found.
fn variables_beside(compose_file: &Path) -> Variables {
    let env = Variables::of_file(&beside(compose_file, ".env"));
    env.unwrap_or_default().over(&Variables::of_process())
}

/// Where `path` is that is named in `file`: relative to the directory of the file.
fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new(".")).join(path)
}

/// The directories and files of the host that a service of `file` mounts: the short form
/// `SOURCE:TARGET[:MODE]`, and the long one.
fn mounts(file: &Path, service: &Value, variables: &Variables) -> Vec<PathBuf> {
    let volumes = service.get("volumes").and_then(Value::as_sequence);
    let mut mounts = Vec::new();
    for volume in volumes.into_iter().flatten() {
        let short = volume.as_str();
        let source = short.or_else(|| volume.get("source").and_then(Value::as_str));
        let filled = source.and_then(|source| variables.fill(source));
        let Some(filled) = filled else { continue };
        let path = match short {
            Some(_) => filled.text.split(':').next().unwrap_or_default(),
            None => &filled.text,
        };
        // Any other is the name of a volume.
        if path.starts_with(['/', '.']) {
            mounts.push(resolved(&beside(file, path)));
        }
    }
    mounts
}

/// Whether one of `mounts` shows something of `target`.
fn shows(mounts: &[PathBuf], target: &Path) -> bool {
    let target = resolved(target);
    let is_shown =
        |mount: &&PathBuf| target.starts_with(mount) || mount.starts_with(target.as_path());
    mounts.iter().any(|mount| is_shown(&mount))
}

fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a compose file as people write it"
    )]
    fn check(compose: &str, targets: &[Option<&str>], expected: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("docker-compose.yml");
        std::fs::write(&file, compose).unwrap();
        std::fs::write(directory.path().join(".env"), "MAIL=./data/mail\n").unwrap();
        let targets: Vec<Option<PathBuf>> = targets
            .iter()
            .map(|target| target.map(|target| directory.path().join(target)))
            .collect();
        let targets: Vec<Option<&Path>> = targets.iter().map(Option::as_deref).collect();
        assert_eq!(users_of(Some(&file), &targets), expected, "{targets:?}");
    }

    #[test]
    fn services_are_those_of_the_compose_file_that_mount_what_is_restored() {
        let compose = "services:\n\
            \x20 imap: {image: a, volumes: ['${MAIL}:/var/mail', './config/dovecot:/etc/dovecot:ro']}\n\
            \x20 mta: {image: b, volumes: [{type: bind, source: ./config, target: /etc/postfix}]}\n\
            \x20 db: {image: c, volumes: ['dbdata:/var/lib/mysql']}\n";
        check(compose, &[Some("data/mail")], &["imap"]);
        check(compose, &[Some("config")], &["imap", "mta"]);
        check(compose, &[Some("config/dovecot/conf.d")], &["imap", "mta"]);
        check(compose, &[Some("data/mail"), None], &["db", "imap", "mta"]);
        check(compose, &[Some("elsewhere")], &["db", "imap", "mta"]);
    }

    #[test]
    fn where_no_compose_file_can_be_read_none_is_named() {
        assert!(users_of(None, &[None]).is_empty());
        assert!(users_of(Some(Path::new("/nonexistent/compose.yaml")), &[None]).is_empty());
        check("services: [\n", &[None], &[]);
        assert_eq!(list(&[]), "");
        assert_eq!(list(&["a".to_owned(), "b".to_owned()]), ": a b");
    }
}
