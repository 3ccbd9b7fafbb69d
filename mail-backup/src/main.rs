//! `mail-backup`: makes a complete backup set of a running mail server.

fn main() -> std::process::ExitCode {
    mail_backup::run(std::env::args_os())
}
