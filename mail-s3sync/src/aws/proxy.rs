//! Proxies from the environment, as the AWS command line reads them (Python's urllib.request):
//! which one a request takes, and how a connection goes through it.
//!
//! A target of `https` is reached by CONNECT, and TLS begins behind it, so the proxy sees no more
//! than the name. For a target of `http` the proxy gets the request itself. Metadata services do
//! not come here: they are always asked directly.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper::client::HttpConnector;
use hyper::client::connect::{Connected, Connection};
use hyper::service::Service;
use mail_common::report::chain;
use mail_common::secret::Secret;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The head of the answer to a CONNECT is short.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// What trying again cannot help begins with this.
const WRONG_SETTING: &str = "check the proxy settings: ";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The proxies of the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Chosen>,
    https: Option<Chosen>,
    around: Arc<str>,
}

/// A variable that is set, and the proxy in it; `None` where it does not name one.
type Chosen = (&'static str, Option<Arc<Proxy>>);

/// A proxy that speaks HTTP.
#[derive(Debug)]
pub(crate) struct Proxy {
    variable: &'static str,
    uri: Uri,
    authorization: Option<Secret>,
}

impl Proxies {
    /// Lower-case names win, and an empty one takes its upper-case twin away.
    pub(crate) fn new(setting: &dyn Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            let found = names
                .into_iter()
                .find_map(|name| Some((name, setting(name)?)));
            found.filter(|(_, value)| !value.trim().is_empty())
        };
        let chosen = |names| {
            let (name, value) = first(names).or_else(|| first(["all_proxy", "ALL_PROXY"]))?;
            Some((name, Proxy::parse(name, value.trim()).map(Arc::new)))
        };
        let around = first(["no_proxy", "NO_PROXY"]).map(|(_, value)| value);
        Self {
            http: chosen(["http_proxy", "HTTP_PROXY"]),
            https: chosen(["https_proxy", "HTTPS_PROXY"]),
            around: around.unwrap_or_default().into(),
        }
    }

    /// The proxy for a request to `target`.
    pub(super) fn choose(&self, target: &Uri) -> Result<Option<Arc<Proxy>>, ProxyError> {
        let is_plain = target.scheme() == Some(&Scheme::HTTP);
        let chosen = if is_plain { &self.http } else { &self.https };
        let Some((variable, proxy)) = chosen else {
            return Ok(None);
        };
        let host = target.host().unwrap_or_default();
        if goes_around(&self.around, host, port_of(target)) {
            return Ok(None);
        }
        match proxy {
            Some(proxy) => Ok(Some(Arc::clone(proxy))),
            None => Err(ProxyError(format!(
                "{WRONG_SETTING}{variable} is not the URL of an HTTP proxy, which is needed for \
                 {host}; write http://host:port or http://user:password@host:port"
            ))),
        }
    }
}

impl Proxy {
    /// Without a scheme it is `http`. A password may hold what a URL should not.
    fn parse(variable: &'static str, text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let place = place.split(['/', '?', '#']).next().unwrap_or_default();
        let uri: Uri = format!("http://{place}/").parse().ok()?;
        let is_usable = scheme.eq_ignore_ascii_case("http") && !uri.host()?.is_empty();
        is_usable.then(|| Self {
            variable,
            uri,
            authorization: user.map(authorization),
        })
    }

    /// Its header for a proxy that asks who is there.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.authorization.as_ref()?.expose()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// What to say when the proxy wants to know who is there.
    pub(super) fn wants_password(&self, target: &str) -> String {
        let known = if self.authorization.is_some() {
            "does not accept the user and the password in its URL"
        } else {
            "wants a user and a password"
        };
        format!(
            "{WRONG_SETTING}{self} {known} (407), and does not connect to {target}; \
             set http://user:password@host:port"
        )
    }

    /// Why it did not connect to `target`.
    fn refusal(&self, target: &str, status: u16) -> ProxyError {
        ProxyError(match status {
            407 => self.wants_password(target),
            400..=499 => format!(
                "{WRONG_SETTING}{self} refuses to connect to {target} ({status}); have that host \
                 and port allowed there, or name the host in NO_PROXY"
            ),
            _ => format!(
                "{self} could not connect to {target} ({status}); see the log of the proxy, and \
                 check the endpoint"
            ),
        })
    }

    fn unreachable(&self, target: &str, error: &dyn std::error::Error) -> ProxyError {
        let chain = chain(error);
        ProxyError(
            if chain.contains("dns error") && chain.contains("not known") {
                format!(
                    "{WRONG_SETTING}{self}, which is to connect to {target}, has no address \
                     ({chain}); correct its name, or name the target in NO_PROXY"
                )
            } else {
                format!(
                    "cannot connect to {self}, which is to connect to {target}; \
                     check that it runs, and the network ({chain})"
                )
            },
        )
    }

    /// Asks for a connection to `target`, which is host and port.
    async fn open(&self, line: &mut TcpStream, target: &str) -> Result<(), ProxyError> {
        let broken = |error: io::Error| {
            ProxyError(format!(
                "{self} broke off when it should connect to {target}; see the log of the proxy \
                 ({error})"
            ))
        };
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(authorization.expose());
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        line.write_all(request.as_bytes()).await.map_err(broken)?;
        let mut head = Vec::new();
        // Byte by byte: what comes behind the head is not ours.
        while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_MAX_BYTES {
            head.push(line.read_u8().await.map_err(broken)?);
        }
        match status_of(&head) {
            Some(200..=299) => Ok(()),
            Some(status) => Err(self.refusal(target, status)),
            None => Err(ProxyError(format!(
                "{WRONG_SETTING}{self} does not answer as an HTTP proxy when it should connect to \
                 {target}; check its port"
            ))),
        }
    }
}

impl fmt::Display for Proxy {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.uri.authority().map_or("", |place| place.as_str());
        write!(f, "the proxy http://{place} ({})", self.variable)
    }
}

fn authorization(user: &str) -> Secret {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain: Vec<u8> = percent_decode_str(name).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    Secret::new(format!("Basic {}", STANDARD.encode(plain)))
}

fn status_of(head: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(head).ok()?;
    let rest = text.strip_prefix("HTTP/1.")?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn port_of(target: &Uri) -> u16 {
    let is_plain = target.scheme() == Some(&Scheme::HTTP);
    target.port_u16().unwrap_or(if is_plain { 80 } else { 443 })
}

/// Whether NO_PROXY names the host.
fn goes_around(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    list.split(',')
        .map(|entry| entry.trim().to_ascii_lowercase())
        .any(|entry| names(&entry, &host, port))
}

fn names(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        if let Some((network, bits)) = entry.split_once('/') {
            return is_in(address, network, bits);
        }
        if entry.parse() == Ok(address) {
            return true;
        }
    }
    let name = match entry.rsplit_once(':') {
        Some((name, of_port)) if of_port.parse() == Ok(port) => name,
        _ => entry,
    };
    let name = name.trim_start_matches('.').trim_matches(['[', ']']);
    let is_below = || {
        host.strip_suffix(name)
            .is_some_and(|rest| rest.ends_with('.'))
    };
    !name.is_empty() && (host == name || is_below())
}

fn is_in(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= bits
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= bits
        }
        _ => false,
    }
}

/// Why a connection through a proxy failed, in words for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ProxyError(String);

/// What to say of a request that failed because of a proxy; `None` when it was something else.
pub(super) fn complaint(error: &hyper::Error) -> Option<String> {
    let error = std::error::Error::source(error)?.downcast_ref::<ProxyError>()?;
    Some(error.to_string())
}

/// Whether `message`, of this module, will be the same next time.
pub(super) fn is_wrong_setting(message: &str) -> bool {
    message.starts_with(WRONG_SETTING)
}

/// Connects directly or through a proxy.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) http: HttpConnector,
    pub(super) proxies: Proxies,
    /// How long a proxy may take to connect.
    pub(super) patience: Duration,
}

impl Service<Uri> for Connector {
    type Response = Line;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Line, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(target).await })
    }
}

impl Connector {
    async fn connect(mut self, target: Uri) -> Result<Line, BoxError> {
        let Some(proxy) = self.proxies.choose(&target)? else {
            let stream = self.http.call(target).await?;
            return Ok(Line::direct(stream));
        };
        let name = target.host().unwrap_or_default();
        let place = format!("{name}:{}", port_of(&target));
        let connected = self.http.call(proxy.uri.clone()).await;
        let mut stream = connected.map_err(|error| proxy.unreachable(&place, &error))?;
        if target.scheme() == Some(&Scheme::HTTP) {
            return Ok(Line {
                stream,
                takes_whole_urls: true,
            });
        }
        let opened = timeout(self.patience, proxy.open(&mut stream, &place)).await;
        opened.map_err(|_| {
            ProxyError(format!(
                "{proxy} did not connect to {place} within {} s; see the log of the proxy",
                self.patience.as_secs_f64()
            ))
        })??;
        Ok(Line::direct(stream))
    }
}

/// A connection. hyper asks it in which form a request names its target.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    takes_whole_urls: bool,
}

impl Line {
    fn direct(stream: TcpStream) -> Self {
        Self {
            stream,
            takes_whole_urls: false,
        }
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.takes_whole_urls)
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_names_hosts_and_what_is_below_them() {
        let check = |list: &str, host: &str, expected: bool| {
            assert_eq!(goes_around(list, host, 443), expected, "{list} {host}");
        };
        for list in [
            "example.com",
            ".example.com",
            "a, EXAMPLE.com ,b",
            "*",
            "example.com:443",
        ] {
            check(list, "example.com", true);
            check(list, "s3.example.com", true);
        }
        for list in [
            "",
            ",",
            "ample.com",
            "s3.example.com",
            "example.com:80",
            ".",
        ] {
            check(list, "example.com", false);
        }
        check("example.com", "badexample.com", false);
        check("10.0.0.0/8", "10.1.2.3", true);
        check("10.0.0.0/8", "11.1.2.3", false);
        check("10.0.0.0/33", "10.0.0.0", false);
        check("0.0.0.0/0", "11.1.2.3", true);
        check("10.1.2.3", "10.1.2.3", true);
        check("10.1.2.3:443", "10.1.2.3", true);
        check("fd00::/8", "[fd00::1]", true);
        check("[fd00::1]", "[fd00::1]", true);
        check("fd00::/8", "[fe00::1]", false);
    }

    #[test]
    fn lower_case_wins_and_a_password_is_decoded_and_never_shown() {
        let proxies = |pairs: &'static [(&str, &str)]| {
            Proxies::new(&|name| {
                let pair = pairs.iter().find(|pair| pair.0 == name)?;
                Some(pair.1.to_owned())
            })
        };
        let check = |pairs, expected: Option<&str>| {
            let target = Uri::from_static("https://s3.test/");
            let proxy = proxies(pairs).choose(&target).unwrap();
            assert_eq!(proxy.map(|proxy| proxy.to_string()).as_deref(), expected);
        };
        check(&[], None);
        check(&[("HTTP_PROXY", "p:1")], None);
        check(&[("https_proxy", ""), ("HTTPS_PROXY", "p:1")], None);
        check(
            &[("https_proxy", "p:1"), ("HTTPS_PROXY", "q:1")],
            Some("the proxy http://p:1 (https_proxy)"),
        );
        check(
            &[("ALL_PROXY", "http://u:p%40ss@[::1]:3128/")],
            Some("the proxy http://[::1]:3128 (ALL_PROXY)"),
        );
        let proxy = Proxy::parse("HTTPS_PROXY", "http://u:p%40ss@p:1").unwrap();
        // `printf 'u:p@ss' | base64`
        assert_eq!(proxy.authorization().unwrap(), "Basic dTpwQHNz");
        assert!(!format!("{proxy:?}").contains("dTpwQHNz"));
        let socks = proxies(&[("https_proxy", "socks5://u:secret@p:1")]);
        let error = socks.choose(&Uri::from_static("https://s3.test/"));
        let error = error.unwrap_err().to_string();
        assert!(
            is_wrong_setting(&error) && !error.contains("secret"),
            "{error}"
        );
    }
}
