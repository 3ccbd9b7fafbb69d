//! `mail-backup`: makes a complete backup set of a running mail server.

pub mod mysql; // every database and account of a MariaDB server, as SQL
