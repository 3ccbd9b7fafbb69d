//! Dumps back into a MariaDB server: the current databases are saved first, and any failure brings them back.
