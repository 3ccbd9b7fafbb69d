//! The files that a Compose project is made of, beside those that every set has: overrides,
//! included and extended files, files of variables, configs and secrets.
//!
//! Each is in the set, or a notice of the set says which is not and why.

mod named; // the files that the compose files name
mod place; // where each is in the set, or why it is not
mod project; // from the settings to a plan

pub(crate) use project::{ProjectPlan, has_stand_in, save_project};
