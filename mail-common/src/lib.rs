//! What two of the mail tools must agree on.
//!
//! It knows nothing of S3, ClamAV, MySQL or Docker, and has no async runtime.

pub mod checksum;
pub mod relpath; // names inside a set or a mail tree, which cannot escape it // sha256 digests and the files that list them

pub mod secret; // passwords and keys, which never print themselves
pub mod set; // backup sets: layout, naming, lock, commit
