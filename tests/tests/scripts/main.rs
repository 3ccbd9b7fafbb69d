//! The scripts around the tools, and their package.

mod install; // what scripts/install puts where
mod debian_package; // what lintian says, and a life from installation to purge
mod nightly_jobs; // units, crontab, rotation of logs
mod bucket_setup; // scripts/aws, and what each key may do
mod moving; // from plain sets to a pool
mod drill; // the disaster drill
