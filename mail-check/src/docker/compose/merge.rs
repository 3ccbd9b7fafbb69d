//! Files, includes, extensions and overrides become one project (Compose specification, "Include",
//! "Extends", "Merge", "Profiles").

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mail_common::compose::{self, Variables};
use serde_yaml_ng::{Mapping, Value};

use crate::docker::error::DockerError;

/// Includes and extensions that go deeper lead in a circle.
const MAX_DEPTH: usize = 16;

/// What the files of a project say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::docker) struct Compose {
    /// The name of the project.
    pub(in crate::docker) project: String,
    /// The services that `up` starts: in no profile or an active one, and with a replica.
    pub(in crate::docker) wanted: Vec<String>,
}

/// What files say, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Project {
    name: Option<String>,
    services: BTreeMap<String, Service>,
}

/// A service. What is not said is `None`, so that an override can be told from silence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Service {
    profiles: Vec<String>,
    replicas: Option<u64>,
    scale: Option<u64>,
}

/// A file, and what its variables are.
struct Source<'a> {
    path: &'a Path,
    variables: &'a Variables,
    depth: usize,
}

impl Project {
    /// Reads the files; each overrides those before it.
    pub(super) fn read(files: &[PathBuf], variables: &Variables) -> Result<Self, DockerError> {
        let mut project = Self::default();
        for path in files {
            let source = Source {
                path,
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
        let wanted = self
            .services
            .iter()
            .filter(|(_, service)| service.is_wanted(&active));
        Ok(Compose {
            wanted: wanted.map(|(name, _)| name.clone()).collect(),
            project: name.or(self.name).unwrap_or_else(by_directory),
        })
    }

    fn merge(&mut self, other: Self) {
        self.name = other.name.or(self.name.take());
        for (name, service) in other.services {
            self.services.entry(name).or_default().merge(service);
        }
    }
}

impl Service {
    /// Sequences are joined, and a number is replaced.
    fn merge(&mut self, other: Self) {
        for profile in other.profiles {
            if !self.profiles.contains(&profile) {
                self.profiles.push(profile);
            }
        }
        self.replicas = other.replicas.or(self.replicas);
        self.scale = other.scale.or(self.scale);
    }

    fn is_wanted(&self, active: &[&str]) -> bool {
        let is_active =
            |profile: &String| active.contains(&"*") || active.contains(&profile.as_str());
        let runs = self.replicas.or(self.scale) != Some(0);
        runs && (self.profiles.is_empty() || self.profiles.iter().any(is_active))
    }
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
                own.services
                    .insert(name.clone(), self.service(&document, &name)?);
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
        let include = include
            .as_sequence()
            .ok_or_else(|| self.wrong("`include` is not a list".to_owned()))?;
        include.iter().map(|entry| self.include(entry)).collect()
    }

    fn include(&self, entry: &Value) -> Result<Project, DockerError> {
        let (path, env_file) = match entry {
            Value::Mapping(entry) => (entry.get("path"), entry.get("env_file")),
            path => (Some(path), None),
        };
        let paths = self.texts(path.unwrap_or(&Value::Null), "path of `include`")?;
        let directory = self.beside(paths.first().map_or("", String::as_str));
        let mut variables = match env_file {
            Some(file) => self.texts(file, "env_file of `include`")?,
            None => vec![
                directory
                    .parent()
                    .unwrap_or(Path::new("."))
                    .join(".env")
                    .display()
                    .to_string(),
            ],
        }
        .into_iter()
        .map(|file| Variables::read(&self.beside(&file)));
        // The first counts here: profiles and names come from the project's own.
        let own = variables
            .next()
            .transpose()?
            .unwrap_or_default()
            .over(self.variables);
        let mut project = Project::default();
        for path in paths {
            let path = self.beside(&path);
            project.merge(self.deeper(&path, &own)?.project()?);
        }
        // The name of what is included is not that of the project.
        project.name = None;
        Ok(project)
    }

    /// A service of the document, with what it extends.
    fn service(&self, document: &Value, name: &str) -> Result<Service, DockerError> {
        let service = document
            .get("services")
            .and_then(|services| services.get(name));
        let service = service.ok_or_else(|| self.wrong(format!("there is no service {name:?}")))?;
        let mapping = match service {
            Value::Null => &Mapping::new(),
            service => self.mapping(service, name)?,
        };
        let mut merged = match mapping.get("extends") {
            Some(extends) => self.extended(document, extends)?,
            None => Service::default(),
        };
        merged.merge(self.own(mapping)?);
        Ok(merged)
    }

    fn extended(&self, document: &Value, extends: &Value) -> Result<Service, DockerError> {
        let (file, service) = match extends {
            Value::Mapping(extends) => (extends.get("file"), extends.get("service")),
            service => (None, Some(service)),
        };
        let service = self.text(service.unwrap_or(&Value::Null), "service of `extends`")?;
        let path = match file {
            Some(file) => self.beside(&self.text(file, "file of `extends`")?),
            None => self.path.to_owned(),
        };
        let source = self.deeper(&path, self.variables)?;
        if file.is_some() {
            source.service(&compose::document(source.path)?, &service)
        } else {
            source.service(document, &service)
        }
    }

    /// What the service says itself.
    fn own(&self, service: &Mapping) -> Result<Service, DockerError> {
        let profiles = match service.get("profiles") {
            Some(profiles) => self.texts(profiles, "profiles")?,
            None => Vec::new(),
        };
        let deploy = service.get("deploy");
        let number =
            |value: Option<&Value>, what| value.map(|value| self.number(value, what)).transpose();
        Ok(Service {
            profiles,
            scale: number(service.get("scale"), "scale")?,
            replicas: number(deploy.and_then(|deploy| deploy.get("replicas")), "replicas")?,
        })
    }

    fn deeper<'a>(
        &self,
        path: &'a Path,
        variables: &'a Variables,
    ) -> Result<Source<'a>, DockerError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.wrong("`include` or `extends` leads in a circle".to_owned()));
        }
        Ok(Source {
            path,
            variables,
            depth: self.depth + 1,
        })
    }

    fn beside(&self, path: &str) -> PathBuf {
        compose::beside(self.path, path)
    }

    fn mapping<'v>(&self, value: &'v Value, what: &str) -> Result<&'v Mapping, DockerError> {
        value
            .as_mapping()
            .ok_or_else(|| self.wrong(format!("{what} is not a mapping")))
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

    /// A scalar with its variables filled in. Tags such as `!reset` are not followed.
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
