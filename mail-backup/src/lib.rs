//! mail-backup.
