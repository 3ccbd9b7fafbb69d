//! `mail-check logs` and `--diagnose` at their edge: real files that are rotated, real containers.

mod support; // a directory of logs, a run, and its checks

mod files; // files that grow, are rotated, vanish
mod containers; // what containers wrote
mod servers; // what a real Postfix and Dovecot write
mod diagnose; // from symptoms to the cause
