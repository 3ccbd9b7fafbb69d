//! What compose files say should run: services, and the name of the project.
//!
//! Docker Compose itself is asked where it is installed: it alone knows all of its format. Where it
//! is not, or does not understand the files, a YAML library reads them, and the rules of the
//! Compose specification are followed for what matters here. What neither understands is an error,
//! never a service less.

mod merge; // includes, extends and overrides become one project

use std::path::PathBuf;
use std::time::Duration;

use mail_common::compose::{self, Variables};
use serde_json::Value as Json;

use super::error::DockerError;
use crate::command;
use merge::Project;

pub(super) use merge::Compose;

/// Where the compose file and its `.env` are.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) compose_file: PathBuf,
    pub(super) env_file: Option<PathBuf>,
}

impl Location {
    /// Asks Docker Compose, which may take `within`, or else reads the files.
    pub(super) fn read(&self, within: Duration) -> Result<Compose, DockerError> {
        let variables = match &self.env_file {
            Some(env_file) => Variables::read(env_file)?,
            None => Variables::of_process(),
        };
        let files = compose::of_project(&self.compose_file, &variables);
        if let Some(compose) = self.ask(&files, within) {
            return Ok(compose);
        }
        Project::read(&files, &variables)?.settled(&files, &variables)
    }

    /// `docker compose config`; `None` where it is not there or refuses the files: an older one
    /// knows less than they say. (docker-compose 1 is not asked: it tells neither the name of the
    /// project nor which profiles are active.)
    fn ask(&self, files: &[PathBuf], within: Duration) -> Option<Compose> {
        let mut args = vec!["compose".into()];
        for file in files {
            args.extend(["--file".into(), file.clone().into_os_string()]);
        }
        if let Some(env_file) = self.env_file.as_ref().filter(|file| file.exists()) {
            args.extend(["--env-file".into(), env_file.clone().into_os_string()]);
        }
        args.extend(["config", "--format", "json"].map(Into::into));
        let text = command::output("docker", &args, within).ok()?;
        let config: Json = serde_json::from_str(&text).ok()?;
        let services = config.get("services")?.as_object()?;
        let is_off = |service: &Json| {
            let replicas = service.pointer("/deploy/replicas").or(service.get("scale"));
            // A provider's service is not a container.
            replicas.and_then(Json::as_u64) == Some(0) || service.get("provider").is_some()
        };
        let wanted = services.iter().filter(|(_, service)| !is_off(service));
        Some(Compose {
            project: config.get("name")?.as_str()?.to_owned(),
            wanted: wanted.map(|(name, _)| name.clone()).collect(),
        })
    }
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
