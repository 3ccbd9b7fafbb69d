//! `mail-check`: tells the truth about a mail server before a user does.

fn main() -> std::process::ExitCode {
    mail_check::run(std::env::args_os())
}
