//! The files that the compose files name: Compose specification, "Include", "Extends", "env_file",
//! "label_file", "Configs" and "Secrets".
//!
//! A path is relative to the directory of the project, which is that of its first file. In what
//! is included it is relative to the directory of the included file or to its `project_directory`,
//! and in what is extended to the directory of the extended file.

use std::path::{Path, PathBuf};

use mail_common::compose::{self, Variables};
use serde_yaml_ng::{Mapping, Value};

/// Keys of a compose file. One with other keys and without services is of a kind that is not read
/// here: the first version of the format had its services at the top.
const KEYS: [&str; 9] = [
    "configs", "include", "models", "name", "networks", "secrets", "services", "version", "volumes",
];

/// What compose files name.
#[derive(Default)]
pub(super) struct Named {
    /// Files, in the order in which they are named; some may not be there.
    pub(super) files: Vec<NamedFile>,
    /// What could not be followed, a sentence each.
    pub(super) unclear: Vec<String>,
    seen: Vec<Seen>,
}

/// What was read already. The same file with other variables names other files.
#[derive(PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    directory: PathBuf,
    /// The one that is extended; `None` for all of the file.
    service: Option<String>,
    variables: Variables,
}

/// A file that is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NamedFile {
    pub(super) path: PathBuf,
    pub(super) need: Need,
}

/// Whether Compose does without the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Required,
    Optional,
}

/// A compose file under reading.
struct Source<'a> {
    path: &'a Path,
    /// What its paths are relative to.
    directory: &'a Path,
    variables: &'a Variables,
}

impl Named {
    /// Adds the files of a project, the first to be overridden by the others, with all they name.
    pub(super) fn add_project(&mut self, files: &[PathBuf], variables: &Variables) {
        let first = files.first().and_then(|file| file.parent());
        let directory = first.unwrap_or(Path::new("."));
        for path in files {
            self.add(path.clone(), Need::Required);
            self.read(&Source {
                path,
                directory,
                variables,
            });
        }
    }

    pub(super) fn add_unclear(&mut self, sentence: String) {
        if !self.unclear.contains(&sentence) {
            self.unclear.push(sentence);
        }
    }

    pub(super) fn add(&mut self, path: PathBuf, need: Need) {
        let file = NamedFile { path, need };
        if !self.files.contains(&file) {
            self.files.push(file);
        }
    }

    /// The document of a file that is not read yet. One that is not there is named with the files.
    fn open(&mut self, source: &Source<'_>, service: Option<&str>) -> Option<Value> {
        // Without links and `..`, so that a circle is closed.
        let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let seen = Seen {
            path: resolved(source.path),
            directory: resolved(source.directory),
            service: service.map(str::to_owned),
            variables: source.variables.clone(),
        };
        if self.seen.contains(&seen) || !source.path.exists() {
            return None;
        }
        self.seen.push(seen);
        match compose::document(source.path) {
            Ok(document) => Some(document),
            Err(error) => {
                self.add_unclear(format!("{error}: which files it names is not known"));
                None
            }
        }
    }

    fn read(&mut self, source: &Source<'_>) {
        let Some(document) = self.open(source, None) else {
            return;
        };
        if !is_understood(&document) {
            let reason = "it is not a compose file as they are today: which files it names is not \
                          known";
            self.add_unclear(format!("{}: {reason}", source.path.display()));
            return;
        }
        for include in list(field(&document, "include")) {
            self.include(source, include);
        }
        for service in self.mappings(source, &document, "services") {
            self.service(source, service);
        }
        for key in ["configs", "secrets"] {
            for entry in self.mappings(source, &document, key) {
                if let Some(file) = field(entry, "file") {
                    self.file(source, file, Need::Required);
                }
            }
        }
    }

    /// The entries of a section, which are mappings.
    fn mappings<'v>(
        &mut self,
        source: &Source<'_>,
        document: &'v Value,
        key: &str,
    ) -> Vec<&'v Value> {
        let entries = values(field(document, key));
        let (mappings, others): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.is_mapping());
        if !others.is_empty() {
            self.not_understood(source, key);
        }
        mappings
    }

    fn not_understood(&mut self, source: &Source<'_>, key: &str) {
        self.add_unclear(format!(
            "{}: its `{key}` is not understood: which files it names is not known",
            source.path.display()
        ));
    }

    /// `include`: files, or mappings with `path`, `project_directory` and `env_file`.
    fn include(&mut self, source: &Source<'_>, entry: &Value) {
        let (path, directory, env_file) = match entry {
            Value::Mapping(_) => (
                field(entry, "path"),
                field(entry, "project_directory"),
                field(entry, "env_file"),
            ),
            path => (Some(path), None, None),
        };
        if path.is_none() {
            self.not_understood(source, "include");
        }
        let paths: Vec<PathBuf> = list(path)
            .filter_map(|path| self.path(source, path))
            .collect();
        let Some(first) = paths.first() else {
            return;
        };
        let named = directory.map(|directory| self.path(source, directory));
        let directory = match named {
            Some(None) => return,
            Some(Some(directory)) => directory,
            None => first.parent().unwrap_or(Path::new(".")).to_owned(),
        };
        let variables = self.variables_of(source, env_file, &directory);
        for path in &paths {
            self.add(path.clone(), Need::Required);
            self.read(&Source {
                path,
                directory: &directory,
                variables: &variables,
            });
        }
    }

    /// The variables of what is included: those of the project come before its own.
    fn variables_of(
        &mut self,
        source: &Source<'_>,
        env_file: Option<&Value>,
        directory: &Path,
    ) -> Variables {
        let files = match env_file {
            Some(files) => list(Some(files))
                .filter_map(|file| self.path(source, file))
                .filter(|path| path != Path::new("/dev/null"))
                .map(|path| (path, Need::Required))
                .collect(),
            None => vec![(directory.join(".env"), Need::Optional)],
        };
        let mut variables = Variables::default();
        for (path, need) in files {
            match Variables::of_file(&path) {
                Ok(own) => variables = variables.over(&own),
                Err(error) => self.add_unclear(error.to_string()),
            }
            self.add(path, need);
        }
        variables.over(source.variables)
    }

    fn service(&mut self, source: &Source<'_>, service: &Value) {
        for key in ["env_file", "label_file"] {
            for entry in list(field(service, key)) {
                self.file_of_service(source, entry);
            }
        }
        let Some(extends) = field(service, "extends") else {
            return;
        };
        let Some(file) = field(extends, "file") else {
            return;
        };
        let Some(of) = field(extends, "service").and_then(Value::as_str) else {
            self.not_understood(source, "extends");
            return;
        };
        if let Some(path) = self.path(source, file) {
            self.extended(source, &path, of);
        }
    }

    /// A path, or a mapping with `path` and `required`.
    fn file_of_service(&mut self, source: &Source<'_>, entry: &Value) {
        let need = match field(entry, "required") {
            Some(Value::Bool(false)) => Need::Optional,
            _ => Need::Required,
        };
        let path = match entry {
            Value::Mapping(_) => field(entry, "path"),
            path => Some(path),
        };
        match path {
            Some(path) => self.file(source, path, need),
            None => self.not_understood(source, "env_file"),
        }
    }

    /// A service of another file, and what that extends in its turn.
    fn extended(&mut self, source: &Source<'_>, path: &Path, service: &str) {
        self.add(path.to_owned(), Need::Required);
        let directory = path.parent().unwrap_or(Path::new("."));
        let extended = Source {
            path,
            directory,
            variables: source.variables,
        };
        let Some(document) = self.open(&extended, Some(service)) else {
            return;
        };
        let Some(found) = field(&document, "services").and_then(|all| field(all, service)) else {
            let path = path.display();
            self.add_unclear(format!(
                "{path}: there is no service {service}, which is extended: which files it names \
                 is not known"
            ));
            return;
        };
        self.service(&extended, found);
        let of_same_file = match field(found, "extends") {
            Some(Value::String(name)) => Some(name.as_str()),
            Some(extends) if field(extends, "file").is_none() => {
                field(extends, "service").and_then(Value::as_str)
            }
            _ => None,
        };
        if let Some(name) = of_same_file {
            self.extended(source, path, name);
        }
    }

    fn file(&mut self, source: &Source<'_>, value: &Value, need: Need) {
        if let Some(path) = self.path(source, value) {
            self.add(path, need);
        }
    }

    /// The path that a text of the file means on this host; what means none is said.
    fn path(&mut self, source: &Source<'_>, value: &Value) -> Option<PathBuf> {
        let file = source.path.display();
        let Some(text) = value.as_str() else {
            self.add_unclear(format!(
                "{file}: a path in it is not a text: that file is not in the set"
            ));
            return None;
        };
        let reason = match source.variables.fill(text) {
            None => "it cannot be filled in".to_owned(),
            Some(filled) => match filled.unset.first() {
                Some(name) => format!("{name} is not set here"),
                None if is_remote(&filled.text) => "it is not a file of this host".to_owned(),
                None => match expanded(&filled.text, source.variables) {
                    Some(path) => return Some(source.directory.join(path)),
                    None => "HOME is not set here".to_owned(),
                },
            },
        };
        self.add_unclear(format!("{file}: {text} is not in the set: {reason}"));
        None
    }
}

/// Whether services, includes, configs and secrets are where they are looked for.
fn is_understood(document: &Value) -> bool {
    let Some(document) = untagged(document) else {
        return true;
    };
    let Value::Mapping(mapping) = document else {
        return false;
    };
    let is_mapping = |key: &str| match field(document, key) {
        None | Some(Value::Mapping(_)) => true,
        Some(_) => false,
    };
    let is_known = |key: &Value| {
        let key = key.as_str().unwrap_or_default();
        KEYS.contains(&key) || key.starts_with("x-")
    };
    let has_services = field(document, "services").is_some();
    ["services", "configs", "secrets"]
        .into_iter()
        .all(is_mapping)
        && (has_services || mapping.keys().all(is_known))
}

/// The value of a key that says something.
fn field<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    untagged(untagged(value)?.get(key)?)
}

/// `!override` stands before a value, and `!reset` takes one away.
fn untagged(value: &Value) -> Option<&Value> {
    match value {
        Value::Null => None,
        Value::Tagged(tagged) if tagged.tag == "!reset" => None,
        Value::Tagged(tagged) => untagged(&tagged.value),
        value => Some(value),
    }
}

/// The entries of a list, or the one value in its place.
fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let entries = match value {
        Some(Value::Sequence(entries)) => &entries[..],
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    entries.iter().filter_map(untagged)
}

/// The values of a mapping.
fn values(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let mapping = value.and_then(Value::as_mapping);
    mapping
        .into_iter()
        .flat_map(Mapping::values)
        .filter_map(untagged)
}

/// Compose takes what it includes and extends from repositories and registries, too.
fn is_remote(text: &str) -> bool {
    text.contains("://") || text.starts_with("git@") || text.starts_with("oci:")
}

/// `~` is the home directory; `None` where that is not known.
fn expanded(text: &str, variables: &Variables) -> Option<PathBuf> {
    let below = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
        _ => return Some(PathBuf::from(text)),
    };
    Some(Path::new(variables.get("HOME")?).join(below))
}
