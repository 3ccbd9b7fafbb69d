//! Which files belong to a project (docs.docker.com, "COMPOSE_FILE" and "Merge Compose files").

use std::path::{Path, PathBuf};

use super::env::Variables;

/// Names that Docker Compose looks for, in its order, and those of their overrides.
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// The files, the first to be overridden by the others.
///
/// COMPOSE_FILE names them all. Else it is the file that the settings name, or, where that is not
/// there and has a usual name, another of the usual ones beside it. A file of a usual name has the
/// override that lies beside it.
#[must_use]
pub fn of_project(named: &Path, variables: &Variables) -> Vec<PathBuf> {
    let directory = named.parent().unwrap_or(Path::new("."));
    if let Some(list) = variables.get("COMPOSE_FILE") {
        let separator = variables.get("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
        let names = list.split(separator).filter(|name| !name.is_empty());
        return names.map(|name| directory.join(name)).collect();
    }
    if !has_usual_name(named) {
        return vec![named.to_owned()];
    }
    let first_of = |names: [&str; 4]| {
        let mut paths = names.into_iter().map(|name| directory.join(name));
        paths.find(|path| path.exists())
    };
    let file = if named.exists() {
        named.to_owned()
    } else {
        first_of(NAMES).unwrap_or_else(|| named.to_owned())
    };
    [file].into_iter().chain(first_of(OVERRIDES)).collect()
}

/// Every file beside `named` that Docker Compose could take for the project's when it is run there:
/// those of the usual names. None where `named` has another name: then it is the one that is meant.
#[must_use]
pub fn usual_files(named: &Path) -> Vec<PathBuf> {
    if !has_usual_name(named) {
        return Vec::new();
    }
    let directory = named.parent().unwrap_or(Path::new("."));
    let names = NAMES.into_iter().chain(OVERRIDES);
    let paths = names.map(|name| directory.join(name));
    paths
        .filter(|path| path.symlink_metadata().is_ok())
        .collect()
}

fn has_usual_name(path: &Path) -> bool {
    let name = path.file_name();
    name.is_some_and(|name| NAMES.iter().any(|usual| name == *usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_and_the_variable_are_honoured() {
        let dir = tempfile::tempdir().unwrap();
        let check = |named: &str, variables: &[(&str, &str)], expected: &[&str]| {
            let files = of_project(&dir.path().join(named), &Variables::of(variables));
            let expected: Vec<_> = expected.iter().map(|name| dir.path().join(name)).collect();
            assert_eq!(files, expected, "{named}");
        };
        let put = |name: &str| {
            crate::atomic::write_file(&dir.path().join(name), b"").unwrap();
        };
        check("docker-compose.yml", &[], &["docker-compose.yml"]);
        put("compose.yaml");
        check("docker-compose.yml", &[], &["compose.yaml"]);
        put("docker-compose.yml");
        put("docker-compose.override.yml");
        check(
            "docker-compose.yml",
            &[],
            &["docker-compose.yml", "docker-compose.override.yml"],
        );
        check("mail.yml", &[], &["mail.yml"]);
        check(
            "mail.yml",
            &[("COMPOSE_FILE", "a.yml:b.yml")],
            &["a.yml", "b.yml"],
        );
    }
}
