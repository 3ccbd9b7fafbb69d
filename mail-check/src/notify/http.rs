//! Requests that carry alerts: bounded in time, and silent about their URL, which is a secret.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mail_common::secret::Secret;
use rustls::crypto::ring;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, http};

use super::error::NotifyError;

/// An address to send to.
#[derive(Clone, Debug)]
pub(crate) struct Url(Secret);

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Url {
    /// `None` for what is not a URL of http or https.
    pub(crate) fn new(secret: Secret) -> Option<Self> {
        let uri: http::Uri = secret.expose().parse().ok()?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        is_web.then_some(Self(secret))
    }

    /// The same with `/word` at the end of its path.
    pub(crate) fn below(&self, word: &str) -> Self {
        let text = self.0.expose();
        let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
        Self(Secret::new(format!(
            "{}/{word}{query}",
            path.trim_end_matches('/')
        )))
    }
}

/// Sends `post`; only an answer of 2xx is success. A redirection is none: what follows it would be
/// sent without its body.
pub(crate) fn send(url: &Url, post: &Post, within: Duration) -> Result<(), NotifyError> {
    let mut request = agent(within)
        .post(url.0.expose())
        .content_type(post.content_type);
    for (name, value) in &post.headers {
        request = request.header(*name, value);
    }
    match request.send(&post.body) {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(NotifyError::Status(response.status().as_u16())),
        Err(error) => Err(without_url(&error, within)),
    }
}

fn agent(within: Duration) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(ROOTS.clone())
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(within))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("mail-check/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// The authorities that the machine trusts. Those that cannot be read are not trusted.
static ROOTS: LazyLock<RootCerts> = LazyLock::new(|| {
    let native = rustls_native_certs::load_native_certs().certs;
    native
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect::<Vec<_>>()
        .into()
});

fn without_url(error: &ureq::Error, within: Duration) -> NotifyError {
    match error {
        ureq::Error::Timeout(_) => NotifyError::TimedOut { within },
        ureq::Error::HostNotFound => NotifyError::Unresolved,
        ureq::Error::Io(error) => match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            Some(error) => NotifyError::Tls(error.to_string()),
            None => NotifyError::Io(error.kind()),
        },
        ureq::Error::Rustls(error) => NotifyError::Tls(error.to_string()),
        ureq::Error::Tls(what) => NotifyError::Tls((*what).to_owned()),
        ureq::Error::ConnectionFailed => NotifyError::Io(std::io::ErrorKind::ConnectionRefused),
        ureq::Error::Protocol(_) => NotifyError::Request("the answer is not HTTP"),
        _ => NotifyError::Request("see the settings of the proxy and the URL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Option<Url> {
        Url::new(Secret::new(text))
    }

    #[test]
    fn words_go_to_the_end_of_the_path() {
        let check = |text: &str, expected: &str| {
            assert_eq!(url(text).unwrap().below("start").0.expose(), expected);
        };
        check(
            "https://hc.example.com/key",
            "https://hc.example.com/key/start",
        );
        check(
            "https://hc.example.com/key/?create=1",
            "https://hc.example.com/key/start?create=1",
        );
    }

    #[test]
    fn a_url_is_of_the_web_and_is_never_shown() {
        for text in [
            "hooks.example.com/secret",
            "ftp://example.com/secret",
            "https:///secret",
            "two words secret",
        ] {
            assert!(url(text).is_none(), "{text}");
        }
        assert!(!format!("{:?}", url("https://example.com/secret")).contains("secret"));
    }
}
