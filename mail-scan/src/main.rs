//! `mail-scan`: shows every byte that would be restored to ClamAV, or names it as not seen.

fn main() -> std::process::ExitCode {
    mail_scan::run(std::env::args_os())
}
