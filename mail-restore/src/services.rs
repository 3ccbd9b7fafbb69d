//! Which services of the mail server use what is restored: to be stopped before and started after.

use mail_common::set::Component;

/// The services of the compose project that use a component.
pub(crate) fn users_of(component: Component) -> &'static [&'static str] {
    match component {
        Component::Mailboxes => &["dovecot", "postfix"],
        Component::Mysql => &[
            "dovecot",
            "inbound-api",
            "postfix",
            "roundcube",
            "user-management",
        ],
        Component::Config => &[
            "clamav",
            "dovecot",
            "nginx",
            "postfix",
            "roundcube",
            "rspamd",
        ],
        Component::Ssl => &["dovecot", "nginx", "postfix"],
        Component::Dkim => &["opendkim", "rspamd"],
    }
}

/// The services that use any of `components`, each once, sorted.
pub(crate) fn affected(components: &[Component]) -> Vec<&'static str> {
    let mut services: Vec<&str> = components
        .iter()
        .flat_map(|component| users_of(*component))
        .copied()
        .collect();
    services.sort_unstable();
    services.dedup();
    services
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_is_named_once() {
        assert_eq!(
            affected(&[Component::Mailboxes, Component::Ssl]),
            ["dovecot", "nginx", "postfix"]
        );
    }
}
