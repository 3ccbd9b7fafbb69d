//! How an administrator says that the server does not have a part: what an error suggests when the
//! part is not there.

use mail_common::set::Component;

/// What can be said, given what a full set of this server holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Absence<'a> {
    pub(crate) wanted: &'a [Component],
}

impl Absence<'_> {
    /// The setting that leaves `component` out, such as `BACKUP_COMPONENTS=mailboxes,config,ssl`;
    /// `None` where nothing else would be left.
    pub(crate) fn of_component(&self, component: Component) -> Option<String> {
        let others = self.wanted.iter().filter(|other| **other != component);
        let names: Vec<&str> = others.map(|other| other.name()).collect();
        if names.is_empty() {
            return None;
        }
        Some(format!("BACKUP_COMPONENTS={}", names.join(",")))
    }
}
