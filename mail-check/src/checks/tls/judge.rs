//! What is to be said against the certificate that a server shows.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::context::Context;
use crate::net::{Certificate, Doubt, Peer};

/// By what it is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'a> {
    /// The host that it has to be for; `None` where its users use another name, which is not known.
    pub(crate) name: Option<&'a str>,
    pub(crate) allow_self_signed: bool,
    pub(crate) now: Timestamp,
}

impl<'a> Judge<'a> {
    /// For a mail service at `host`: `[services] name` is what its users use.
    pub(crate) fn of(context: &'a Context, host: &'a str) -> Self {
        Self {
            name: context.settings.services.name.as_deref().or(telling(host)),
            ..Self::of_url(context, host)
        }
    }

    /// For a URL at `host`.
    pub(crate) fn of_url(context: &'a Context, host: &'a str) -> Self {
        let allow_self_signed = context.settings.tls.allow_self_signed;
        Self {
            name: telling(host),
            allow_self_signed,
            now: context.now.timestamp(),
        }
    }

    /// Why users cannot trust it, and what to do.
    pub(crate) fn objection(&self, peer: &Peer) -> Option<String> {
        let Some(certificate) = peer.chain.first().and_then(|der| Certificate::parse(der)) else {
            return Some(
                "it shows no certificate that can be read; see its TLS settings".to_owned(),
            );
        };
        if let Some(why) = self.of_itself(&certificate) {
            return Some(why);
        }
        match &peer.doubt {
            Some(Doubt::Expired | Doubt::NotYetValid) => Some(
                "a certificate of its chain is not valid now; renew it, fullchain.pem and all"
                    .to_owned(),
            ),
            Some(Doubt::Untrusted(_)) if certificate.self_signed && self.allow_self_signed => None,
            Some(Doubt::Untrusted(why)) => Some(format!(
                "its certificate is not trusted: {why}; serve fullchain.pem, or name its authority as [tls] ca_file"
            )),
            Some(Doubt::WrongName) | None => None,
        }
    }

    /// What a certificate says against itself.
    pub(crate) fn of_itself(&self, certificate: &Certificate) -> Option<String> {
        if certificate.not_after <= self.now {
            return Some(format!(
                "its certificate expired at {}; renew it and reload the service",
                certificate.not_after
            ));
        }
        if certificate.not_before > self.now {
            let from = certificate.not_before;
            return Some(format!(
                "its certificate is valid only from {from}; see the clock, or who issued it"
            ));
        }
        let name = self.name.filter(|name| !certificate.covers(name))?;
        let names = certificate.names.join(", ");
        Some(format!(
            "its certificate is for {names}, not for {name}; serve the right one"
        ))
    }
}

/// A host that a certificate can be for; who checks 127.0.0.1 knows that users use another name.
fn telling(host: &str) -> Option<&str> {
    (host != "localhost" && host.parse::<IpAddr>().is_err()).then_some(host)
}
