//! Checks of what the server is made of, on private services: containers, secrets, users.

mod containers; // on a private Docker daemon
mod credentials; // on files
mod users; // on a private MariaDB
pub(crate) mod support; // a directory, a file of checks, what was found
