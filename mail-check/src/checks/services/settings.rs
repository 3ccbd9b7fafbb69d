//! `[services]`: its section of the file of checks.

use serde::Deserialize;

use super::page::Page;
use super::postfix;
use crate::limits::Ceiling;
use crate::net::http::Url;
use crate::net::{Place, Protocol};

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[services]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(super) response: Ceiling,
    pub(crate) name: Option<String>,
    pub(super) smtp: Vec<Place>,
    pub(super) submission: Vec<Place>,
    pub(super) smtps: Vec<Place>,
    pub(super) imap: Vec<Place>,
    pub(super) imaps: Vec<Place>,
    pub(super) pop3: Vec<Place>,
    pub(super) pop3s: Vec<Place>,
    pub(super) lmtp: Vec<Place>,
    pub(super) clamd: Vec<Place>,
    pub(super) signatures: Ceiling,
    pub(super) mysql: bool,
    pub(super) connections: Ceiling,
    pub(crate) postfix: postfix::Settings,
    pub(super) http: Vec<Page>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            response: Ceiling::new(2.0, 8.0),
            name: None,
            smtp: Vec::new(),
            submission: Vec::new(),
            smtps: Vec::new(),
            imap: Vec::new(),
            imaps: Vec::new(),
            pop3: Vec::new(),
            pop3s: Vec::new(),
            lmtp: Vec::new(),
            clamd: Vec::new(),
            signatures: Ceiling::warning(7.0),
            mysql: false,
            connections: Ceiling::new(80.0, 95.0),
            postfix: postfix::Settings::default(),
            http: Vec::new(),
        }
    }
}

impl Settings {
    /// Every mail protocol at every address.
    pub(crate) fn endpoints(&self) -> Vec<(Protocol, Place)> {
        let all = [
            (Protocol::Smtp, &self.smtp),
            (Protocol::Submission, &self.submission),
            (Protocol::Smtps, &self.smtps),
            (Protocol::Imap, &self.imap),
            (Protocol::Imaps, &self.imaps),
            (Protocol::Pop3, &self.pop3),
            (Protocol::Pop3s, &self.pop3s),
            (Protocol::Lmtp, &self.lmtp),
        ];
        all.into_iter()
            .flat_map(|(protocol, places)| {
                places.iter().map(move |place| (protocol, place.clone()))
            })
            .collect()
    }

    /// Pages that are served by HTTPS.
    pub(crate) fn secure_urls(&self) -> impl Iterator<Item = &Url> {
        let urls = self.http.iter().map(|page| &page.url);
        urls.filter(|url| url.secure)
    }
}
