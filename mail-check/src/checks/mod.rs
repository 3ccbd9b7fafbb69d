//! The checks. Each group gathers facts and judges them in pure functions, and owns its section of
//! the file of checks.

pub(crate) mod resources; // processors, memory, disks, time
pub(crate) mod containers; // services of the compose project
pub(crate) mod services; // each answers as its protocol says
pub(crate) mod mailflow; // the round trip of a message
pub(crate) mod logs; // what the services wrote since the last run
pub(crate) mod backups; // whether there are sets, young and complete
pub(crate) mod scans; // what the newest scan found
pub(crate) mod s3; // the copy elsewhere
pub(crate) mod tls; // certificates, on disk and as they are served
pub(crate) mod credentials; // age, modes and owners of secrets
pub(crate) mod users; // the database of users against mailboxes and sets
pub(crate) mod set; // whether a backup set is as it was made
