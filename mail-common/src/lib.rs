//! What two of the mail tools must agree on.
//!
//! It knows nothing of S3, ClamAV, MySQL or Docker, and has no async runtime.

pub mod atomic; // files and directories: created, linked, synced, renamed
pub mod checksum; // sha256 digests and the files that list them
pub mod relpath; // names inside a set or a mail tree, which cannot escape it

pub mod archive;
pub mod set; // backup sets: layout, naming, lock, commit // segments, frames and their index
