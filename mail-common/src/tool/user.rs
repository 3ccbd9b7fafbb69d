//! Who runs a tool.

/// Who runs this, and who became that user by sudo.
#[must_use]
pub fn user() -> String {
    let id = rustix::process::getuid().as_raw();
    let user = match id {
        0 => "root".to_owned(),
        id => format!("uid {id}"),
    };
    match std::env::var("SUDO_USER") {
        Ok(name) if !name.is_empty() => format!("{user} ({name} by sudo)"),
        _ => user,
    }
}
