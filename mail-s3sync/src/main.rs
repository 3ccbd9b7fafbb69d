//! `mail-s3sync`: the off-site copy of backup sets: pushed, proven, brought back.

fn main() -> std::process::ExitCode {
    mail_s3sync::run(std::env::args_os())
}
