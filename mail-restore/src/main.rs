//! `mail-restore`: restores a backup set, or any part of it, onto a mail server.

fn main() -> std::process::ExitCode {
    mail_restore::run(std::env::args_os())
}
