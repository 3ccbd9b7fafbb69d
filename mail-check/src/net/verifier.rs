//! Whether a server is who it should be: how this run judges the certificates that servers show.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use super::certificate::{Certificate, Chain};
use super::http::Url;
use super::place::Place;
use super::tls::{Doubt, Peer, Trust};
use crate::finding::Finding;

/// How this run judges certificates; whom it trusts is loaded when it is first needed.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// The name that users type into their mail programs.
    users_name: Option<String>,
    allow_self_signed: bool,
    ca_file: Option<PathBuf>,
    now: Timestamp,
    trust: OnceLock<Result<Arc<Trust>, String>>,
}

/// By what a certificate is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CertificateJudge<'a> {
    /// The host that it has to be for; `None` where its users use another name, which is not known.
    name: Option<&'a str>,
    allow_self_signed: bool,
    now: Timestamp,
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// Users cannot trust it.
    Bad(String),
    /// Whether they can is not known.
    Unknown(String),
}

impl Objection {
    /// In words.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Bad(why) | Self::Unknown(why) => why,
        }
    }

    /// As what a check finds of `target`.
    pub(crate) fn finding(&self, name: &str, target: &str) -> Finding {
        match self {
            Self::Bad(why) => Finding::critical(name, target, why),
            Self::Unknown(why) => Finding::unknown(name, target, why),
        }
    }
}

impl Verifier {
    pub(crate) fn new(
        users_name: Option<String>,
        allow_self_signed: bool,
        ca_file: Option<PathBuf>,
        now: Timestamp,
    ) -> Self {
        Self {
            users_name,
            allow_self_signed,
            ca_file,
            now,
            trust: OnceLock::new(),
        }
    }

    /// Whom this run trusts, or why the file of authorities cannot be used.
    pub(crate) fn trust(&self) -> Result<Arc<Trust>, String> {
        let load = || {
            let trust = Trust::load(self.ca_file.as_deref());
            trust.map(Arc::new).map_err(|error| error.to_string())
        };
        self.trust.get_or_init(load).clone()
    }

    /// The name by which a server at `place` is greeted.
    pub(crate) fn server_name<'a>(&'a self, place: &'a Place) -> &'a str {
        self.users_name.as_deref().unwrap_or(place.host())
    }

    /// For a mail service: its certificate has to be for the name that users type.
    pub(crate) fn of_service<'a>(&'a self, place: &'a Place) -> CertificateJudge<'a> {
        self.judge(self.users_name.as_deref().or(telling(place.host())))
    }

    /// For a page: its certificate has to be for the host of its URL.
    pub(crate) fn of_url<'a>(&'a self, url: &'a Url) -> CertificateJudge<'a> {
        self.judge(telling(url.place.host()))
    }

    fn judge<'a>(&self, name: Option<&'a str>) -> CertificateJudge<'a> {
        CertificateJudge {
            name,
            allow_self_signed: self.allow_self_signed,
            now: self.now,
        }
    }
}

impl CertificateJudge<'_> {
    /// For a certificate in a file: nothing tells which name it has to be for.
    pub(crate) fn of_file(now: Timestamp) -> Self {
        Self {
            name: None,
            allow_self_signed: true,
            now,
        }
    }

    /// Why users cannot trust it, and what to do.
    pub(crate) fn objection(&self, peer: &Peer) -> Option<Objection> {
        let chain = match Chain::parse(&peer.chain) {
            Ok(Some(chain)) => chain,
            Ok(None) => {
                let why = "it shows no certificate; see its TLS settings";
                return Some(Objection::Bad(why.to_owned()));
            }
            Err(error) => return Some(Objection::Unknown(error.to_string())),
        };
        let own = self.of_itself(chain.own()).map(Objection::Bad);
        own.or_else(|| match &peer.doubt {
            Some(Doubt::NotUnderstood(why)) => Some(Objection::Unknown(format!(
                "whether its certificate is trusted is not known here: {why}"
            ))),
            _ => self.of_signers(peer, &chain).map(Objection::Bad),
        })
    }

    fn of_signers(&self, peer: &Peer, chain: &Chain) -> Option<String> {
        match peer.doubt.as_ref()? {
            Doubt::Expired | Doubt::NotYetValid => Some(
                "a certificate of its chain is not valid now; renew it, fullchain.pem and all"
                    .to_owned(),
            ),
            Doubt::Untrusted(_) if chain.own().self_signed && self.allow_self_signed => None,
            Doubt::Untrusted(why) => Some(format!(
                "its certificate is not trusted: {why}; serve fullchain.pem, or name its authority \
                 as [tls] ca_file"
            )),
            Doubt::WrongName | Doubt::NotUnderstood(_) => None,
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
        let names = certificate.whose();
        Some(format!(
            "its certificate is for {names}, not for {name}; serve the right one"
        ))
    }
}

/// A host that a certificate can be for; who checks 127.0.0.1 knows that users use another name.
fn telling(host: &str) -> Option<&str> {
    (host != "localhost" && host.parse::<IpAddr>().is_err()).then_some(host)
}
