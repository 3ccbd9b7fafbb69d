//! mail-backup.
#![allow(dead_code)]
mod mailboxes;
mod previous;
mod saved;
mod source;
mod trees;
