//! Files, includes, extensions and overrides become one project (Compose specification, "Include",
//! "Extends", "Merge", "Profiles").

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mail_common::compose::{self, Variables};
use serde_yaml_ng::value::TaggedValue;
use serde_yaml_ng::{Mapping, Value};

use crate::docker::error::DockerError;

/// Includes and extensions that go deeper lead in a circle.
const MAX_DEPTH: usize = 16;

/// Tags of what an override takes away or replaces (Compose specification, "Merge").
const RESET: &str = "!reset";
const OVERRIDE: &str = "!override";

/// What the files of a project say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::docker) struct Compose {
    /// The name of the project.
    pub(in crate::docker) project: String,
    /// The services that `up` starts: in no profile or an active one, and with a replica.
    pub(in crate::docker) wanted: Vec<String>,
}

/// What files say, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Project {
    name: Option<String>,
    /// What matters of each, with the variables filled in: see [`Source::own`]. With its tags, so
    /// that an override can say more than a value.
    services: BTreeMap<String, Value>,
}

/// A file, where its paths begin, and what its variables are.
struct Source<'a> {
    path: &'a Path,
    base: &'a Path,
    variables: &'a Variables,
    depth: usize,
}

impl Project {
    /// Reads the files; each overrides those before it.
    pub(super) fn read(files: &[PathBuf], variables: &Variables) -> Result<Self, DockerError> {
        let mut project = Self::default();
        let base = files.first().map_or(Path::new("."), |file| beside(file));
        for path in files {
            let source = Source {
                path,
                base,
                variables,
                depth: 0,
            };
            project.merge(source.project()?);
        }
        if project.services.is_empty() {
            let path = files.first().cloned().unwrap_or_default();
            let reason = "there is no service in it".to_owned();
            return Err(DockerError::ComposeContent { path, reason });
        }
        Ok(project)
    }

    /// With its name and the services that are wanted.
    pub(super) fn settled(
        self,
        files: &[PathBuf],
        variables: &Variables,
    ) -> Result<Compose, DockerError> {
        let name = variables.get("COMPOSE_PROJECT_NAME").map(str::to_owned);
        let by_directory = || name_of_directory(files.first().map_or(Path::new("."), |file| file));
        let active = variables.get("COMPOSE_PROFILES").unwrap_or_default();
        let active: Vec<&str> = active.split(',').map(str::trim).collect();
        let services = self.services.into_iter();
        let services = services.filter_map(|(name, service)| Some((name, merged(None, service)?)));
        let wanted = services.filter(|(_, service)| is_wanted(service, &active));
        Ok(Compose {
            wanted: wanted.map(|(name, _)| name).collect(),
            project: name.or(self.name).unwrap_or_else(by_directory),
        })
    }

    fn merge(&mut self, other: Self) {
        self.name = other.name.or(self.name.take());
        for (name, service) in other.services {
            let service = match self.services.remove(&name) {
                // Its tags are for what a file before this one says.
                None => Some(service),
                Some(under) => merged(merged(None, under), service),
            };
            self.services.extend(service.map(|service| (name, service)));
        }
    }
}

/// `over` upon `base`: mappings are merged, sequences joined, anything else is replaced. `!reset`
/// takes away what was said before, and `!override` replaces it.
fn merged(base: Option<Value>, over: Value) -> Option<Value> {
    match (base, over) {
        (_, Value::Tagged(tagged)) if tagged.tag == RESET => None,
        (_, Value::Tagged(tagged)) => Some(tagged.value),
        (Some(Value::Mapping(mut base)), Value::Mapping(over)) => {
            for (key, value) in over {
                let under = base.remove(&key);
                base.extend(merged(under, value).map(|value| (key, value)));
            }
            Some(Value::Mapping(base))
        }
        (_, Value::Mapping(over)) => merged(Some(Mapping::new().into()), over.into()),
        (Some(Value::Sequence(mut base)), Value::Sequence(over)) => {
            base.extend(over);
            Some(base.into())
        }
        (_, over) => Some(over),
    }
}

/// Whether `up` starts a container of the service.
fn is_wanted(service: &Value, active: &[&str]) -> bool {
    let replicas = service
        .get("deploy")
        .and_then(|deploy| deploy.get("replicas"));
    let runs = replicas.or(service.get("scale")) != Some(&0.into());
    let profiles = service.get("profiles").and_then(Value::as_sequence);
    let is_active = |profile: &Value| {
        active.contains(&"*")
            || profile
                .as_str()
                .is_some_and(|profile| active.contains(&profile))
    };
    let in_profile =
        profiles.is_none_or(|profiles| profiles.is_empty() || profiles.iter().any(is_active));
    // A provider's service is not a container.
    runs && in_profile && service.get("provider").is_none()
}

impl Source<'_> {
    /// What the file says, with what it includes.
    fn project(&self) -> Result<Project, DockerError> {
        let document = compose::document(self.path)?;
        let mut project = Project::default();
        for included in self.includes(&document)? {
            project.merge(included);
        }
        let mut own = Project {
            name: self.name(&document)?,
            services: BTreeMap::new(),
        };
        if let Some(services) = document
            .get("services")
            .filter(|services| !services.is_null())
        {
            for name in self.mapping(services, "services")?.keys() {
                let name = self.text(name, "the name of a service")?;
                let service = self.service(&document, &name)?;
                own.services.insert(name, service);
            }
        }
        project.merge(own);
        Ok(project)
    }

    fn name(&self, document: &Value) -> Result<Option<String>, DockerError> {
        let name = document.get("name").filter(|name| !name.is_null());
        let name = name.map(|name| self.text(name, "name")).transpose()?;
        Ok(name.filter(|name| !name.is_empty()))
    }

    /// `include`: files, or mappings with `path` and `env_file`.
    fn includes(&self, document: &Value) -> Result<Vec<Project>, DockerError> {
        let Some(include) = document.get("include").filter(|include| !include.is_null()) else {
            return Ok(Vec::new());
        };
        let Value::Sequence(include) = include else {
            return Err(self.wrong("`include` is not a list".to_owned()));
        };
        include.iter().map(|entry| self.include(entry)).collect()
    }

    /// A file, several that override one another, or a mapping of them and what they are read with.
    fn include(&self, entry: &Value) -> Result<Project, DockerError> {
        let (path, base, env_file) = match entry {
            Value::Mapping(entry) => (
                entry.get("path"),
                entry.get("project_directory"),
                entry.get("env_file"),
            ),
            path => (Some(path), None, None),
        };
        let paths = self.texts(path.unwrap_or(&Value::Null), "path of `include`")?;
        let paths: Vec<PathBuf> = paths.iter().map(|path| self.base.join(path)).collect();
        let base = match base {
            Some(base) => self
                .base
                .join(self.text(base, "project_directory of `include`")?),
            None => paths
                .first()
                .map_or(self.base, |path| beside(path))
                .to_owned(),
        };
        let env_files: Vec<PathBuf> = match env_file {
            Some(files) => self
                .texts(files, "env_file of `include`")?
                .iter()
                .map(|file| self.base.join(file))
                .collect(),
            None => vec![base.join(".env")],
        };
        let variables = self.variables_of(&env_files)?;
        let mut project = Project::default();
        for path in &paths {
            project.merge(self.deeper(path, &base, &variables)?.project()?);
        }
        // The name of what is included is not that of the project.
        project.name = None;
        Ok(project)
    }

    /// Those of the files, of which a later one counts before an earlier one, and the project's own
    /// before all.
    fn variables_of(&self, env_files: &[PathBuf]) -> Result<Variables, DockerError> {
        let mut variables = Variables::default();
        for file in env_files {
            variables = variables.over(&Variables::of_file(file)?);
        }
        Ok(variables.over(self.variables))
    }

    /// What matters of a service of the document, with what it extends.
    fn service(&self, document: &Value, name: &str) -> Result<Value, DockerError> {
        let service = document
            .get("services")
            .and_then(|services| services.get(name));
        let service = service.ok_or_else(|| self.wrong(format!("there is no service {name:?}")))?;
        self.tagged(service, &|service| {
            let own = match service {
                Value::Null => &Mapping::new(),
                service => self.mapping(service, name)?,
            };
            let base = own
                .get("extends")
                .map(|extends| self.extended(document, extends));
            let own = self.own(own)?;
            match base.transpose()? {
                Some(base) => Ok(merged(merged(None, base), own.clone()).unwrap_or(own)),
                None => Ok(own),
            }
        })
    }

    fn extended(&self, document: &Value, extends: &Value) -> Result<Value, DockerError> {
        let (file, service) = match extends {
            Value::Mapping(extends) => (extends.get("file"), extends.get("service")),
            service => (None, Some(service)),
        };
        let service = self.text(service.unwrap_or(&Value::Null), "service of `extends`")?;
        let Some(file) = file else {
            let source = self.deeper(self.path, self.base, self.variables)?;
            return source.service(document, &service);
        };
        let path = self.base.join(self.text(file, "file of `extends`")?);
        let source = self.deeper(&path, beside(&path), self.variables)?;
        source.service(&compose::document(&path)?, &service)
    }

    /// What matters of what the service says itself: `profiles`, `scale`, `deploy.replicas`, and
    /// whether it has a `provider`.
    fn own(&self, service: &Mapping) -> Result<Value, DockerError> {
        let mut own = Mapping::new();
        for key in ["profiles", "scale", "deploy", "provider"] {
            let Some(value) = service.get(key) else {
                continue;
            };
            let value = self.tagged(value, &|value| match (key, value) {
                ("profiles", value) => Ok(self.texts(value, key)?.into()),
                ("scale", value) => Ok(self.number(value, key)?.into()),
                ("deploy", Value::Null) => Ok(Mapping::new().into()),
                ("deploy", deploy) => self.replicas(self.mapping(deploy, key)?),
                _ => Ok(true.into()),
            })?;
            own.insert(key.into(), value);
        }
        Ok(own.into())
    }

    fn replicas(&self, deploy: &Mapping) -> Result<Value, DockerError> {
        let mut own = Mapping::new();
        if let Some(value) = deploy.get("replicas") {
            let number = |value: &Value| Ok(self.number(value, "replicas")?.into());
            own.insert("replicas".into(), self.tagged(value, &number)?);
        }
        Ok(own.into())
    }

    /// What `read` makes of the value, under the same tag. What is reset has no value.
    fn tagged(
        &self,
        value: &Value,
        read: &dyn Fn(&Value) -> Result<Value, DockerError>,
    ) -> Result<Value, DockerError> {
        let Value::Tagged(tagged) = value else {
            return read(value);
        };
        let value = match &tagged.tag {
            tag if *tag == RESET => Value::Null,
            tag if *tag == OVERRIDE => read(&tagged.value)?,
            tag => return Err(self.wrong(format!("the tag {tag} is not understood"))),
        };
        let tag = tagged.tag.clone();
        Ok(Value::Tagged(Box::new(TaggedValue { tag, value })))
    }

    fn deeper<'a>(
        &self,
        path: &'a Path,
        base: &'a Path,
        variables: &'a Variables,
    ) -> Result<Source<'a>, DockerError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.wrong("`include` or `extends` leads in a circle".to_owned()));
        }
        Ok(Source {
            path,
            base,
            variables,
            depth: self.depth + 1,
        })
    }

    fn mapping<'v>(&self, value: &'v Value, what: &str) -> Result<&'v Mapping, DockerError> {
        match value {
            Value::Mapping(mapping) => Ok(mapping),
            _ => Err(self.wrong(format!("{what} is not a mapping"))),
        }
    }

    fn number(&self, value: &Value, what: &str) -> Result<u64, DockerError> {
        let text = self.text(value, what)?;
        text.parse()
            .map_err(|_| self.wrong(format!("{what} is {text:?}, which is not a number")))
    }

    /// One text, or a list.
    fn texts(&self, value: &Value, what: &str) -> Result<Vec<String>, DockerError> {
        match value {
            Value::Sequence(values) => values.iter().map(|value| self.text(value, what)).collect(),
            value => Ok(vec![self.text(value, what)?]),
        }
    }

    /// A scalar with its variables filled in.
    fn text(&self, value: &Value, what: &str) -> Result<String, DockerError> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(is_so) => is_so.to_string(),
            _ => return Err(self.wrong(format!("{what} is not a text"))),
        };
        match self.variables.fill(&text) {
            Some(filled) => Ok(filled.text),
            None => Err(self.wrong(format!("{what}: {text:?} cannot be filled in"))),
        }
    }

    fn wrong(&self, reason: String) -> DockerError {
        DockerError::ComposeContent {
            path: self.path.to_owned(),
            reason,
        }
    }
}

fn beside(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}

/// The name that Docker Compose gives a project by its directory: in the letters that it allows.
pub(super) fn name_of_directory(file: &Path) -> String {
    let directory = file.canonicalize().ok();
    let name = directory
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::file_name);
    let name = name.unwrap_or_default().to_string_lossy().to_lowercase();
    let is_allowed =
        |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_' || *c == '-';
    let name: String = name.chars().filter(is_allowed).collect();
    name.trim_start_matches(['_', '-']).to_owned()
}
