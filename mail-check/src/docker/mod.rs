//! The Docker Engine, and what the compose file says should run on it.

mod error; // why it gives no answer
mod compose; // what the compose file says of services
mod container; // what the daemon knows of a container
mod client; // the daemon, asked over its socket
mod exec; // programs run in a container
mod logs; // what a container wrote
mod stats; // what a container uses
mod project; // the compose project of the mail server, and its section of settings

pub(crate) use client::Docker;
pub(crate) use container::{Container, Details, Health, Image, State};
pub(crate) use error::DockerError;
pub(crate) use logs::LogLine;
pub(crate) use project::{EXAMPLE, Project, Settings};
pub(crate) use stats::{CpuTime, Usage};
