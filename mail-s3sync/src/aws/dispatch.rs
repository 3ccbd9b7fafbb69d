//! How a request of rusoto goes over the wire, and its answer comes back.
//!
//! rusoto's own dispatcher has no time-outs, hangs on a cut XML document, takes a page of HTML for
//! an empty listing, and panics on odd headers. This one signs the request (after rewriting it),
//! sends it piece by piece, watches that something moves, follows a redirect to another region's
//! host, and lets [`answer`] check what comes.
//!
//! Why it watches, instead of giving each request a deadline: a part of 8 MiB over a slow line may
//! rightly take minutes, while a connection that a firewall has dropped never ends by itself. So
//! only standstill counts. What is sent marks the time of its last piece in [`Moved`]; a pause that
//! `--limit-rate` asks for marks it too, or a low rate would look like a dead line. Until the head
//! of the answer comes, `watch` looks at that mark; after it, [`answer`] bounds the time between
//! two pieces. Only where the store has to work before it can answer (a copy, the assembly of
//! parts) may nothing move for longer.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::header::{LOCATION, PROXY_AUTHORIZATION};
use http::uri::Scheme;
use http::{HeaderName, HeaderValue, StatusCode};
use hyper::client::{HttpConnector, ResponseFuture};
use hyper::{Body, Request, Response};
use hyper_tls::HttpsConnector;
use mail_common::report::chain;
use rusoto_core::request::{DispatchSignedRequestFuture, HttpResponse};
use rusoto_core::signature::{SignedRequest, SignedRequestPayload};
use rusoto_core::{ByteStream, DispatchSignedRequest, HttpDispatchError};
use tokio::time::{sleep, timeout};

use super::failure::NO_ADDRESS;
use super::host::Addressing;
use super::keys::Credentials;
use super::proxy::{Connector, Proxies, Proxy};
use super::tls::Trust;
use super::{answer, proxy, tls};
use crate::limit::{Limit, PIECE_BYTES};

/// Sent at a time where nothing limits the rate.
const FAST_PIECE_BYTES: usize = 256 * 1024;
const WATCH_EVERY: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// In base64.
const MD5_OF_NOTHING: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";
/// The store assembles or copies before it answers: gigabytes take minutes.
const LONG_WORK_FACTOR: u32 = 10;

type SecureClient = hyper::Client<HttpsConnector<Connector>>;

/// Sends requests.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    connector: Connector,
    plain: hyper::Client<Connector>,
    /// Made for the first `https` request: reading the certificates of authorities takes longer
    /// than a push of nothing new.
    secure: Arc<OnceLock<Result<SecureClient, String>>>,
    trust: Trust,
    signer: Arc<Signer>,
    /// How long nothing may move.
    patience: Duration,
    limit: Option<Arc<Limit>>,
    addressing: Option<Addressing>,
}

/// The keys that requests are signed with; none before the first are there.
#[derive(Debug, Default)]
pub(crate) struct Signer(Mutex<Option<Credentials>>);

impl Signer {
    /// Signs nothing.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Signs with these keys.
    pub(crate) fn fixed(keys: Credentials) -> Self {
        Self(Mutex::new(Some(keys)))
    }

    /// Signs with these keys from now on.
    pub(crate) fn set(&self, keys: Credentials) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }

    fn sign(&self, request: &mut SignedRequest) {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(keys) => request.sign(&keys.to_aws()),
            None => request.complement(),
        }
    }
}

impl Dispatcher {
    /// A dispatcher with its own connections, on which nothing may stand still for longer than
    /// `patience`.
    pub(crate) fn new(
        signer: Arc<Signer>,
        patience: Duration,
        trust: Trust,
        proxies: Proxies,
    ) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let connect_patience = patience.min(CONNECT_TIMEOUT);
        http.set_connect_timeout(Some(connect_patience));
        let connector = Connector {
            http,
            proxies,
            patience: connect_patience,
        };
        let plain = hyper::Client::builder().build(connector.clone());
        Self {
            connector,
            plain,
            secure: Arc::default(),
            trust,
            signer,
            patience,
            limit: None,
            addressing: None,
        }
    }

    /// Sends no faster than `limit`.
    pub(crate) fn limited(self, limit: Option<Arc<Limit>>) -> Self {
        Self { limit, ..self }
    }

    /// Rewrites requests as `addressing` says.
    pub(crate) fn addressed(self, addressing: Option<Addressing>) -> Self {
        Self { addressing, ..self }
    }

    fn request(&self, request: Request<Body>) -> Result<ResponseFuture, HttpDispatchError> {
        // What is not plain by its own word is never sent without TLS.
        if request.uri().scheme() == Some(&Scheme::HTTP) {
            return Ok(self.plain.request(request));
        }
        let connect = || self.trust.connector(self.connector.clone());
        let secure = self
            .secure
            .get_or_init(|| Ok(hyper::Client::builder().build(connect()?)));
        match secure {
            Ok(client) => Ok(client.request(request)),
            Err(reason) => Err(HttpDispatchError::new(reason.clone())),
        }
    }

    async fn send(self, mut request: SignedRequest) -> Result<HttpResponse, HttpDispatchError> {
        let expected = answer::expected(&request);
        let payload = take_payload(&mut request).await?;
        if matches!(payload, Payload::Nothing) {
            add_md5_of_nothing(&mut request);
        }
        if let Some(addressing) = &self.addressing {
            addressing.rewrite(&mut request);
        }
        let mut response = self.send_once(&mut request, &payload).await?;
        if let Some(host) = redirected(&request, &response) {
            request.set_hostname(Some(host));
            response = self.send_once(&mut request, &payload).await?;
        }
        answer::read(response, expected, self.patience).await
    }

    async fn send_once(
        &self,
        request: &mut SignedRequest,
        payload: &Payload,
    ) -> Result<Response<Body>, HttpDispatchError> {
        payload.stand_in(request);
        self.signer.sign(request);
        let moved = Arc::new(Moved::now());
        let mut request = to_hyper(request, self.body(payload, &moved))?;
        let is_long = request.method() == http::Method::POST
            || request.headers().contains_key("x-amz-copy-source");
        let patience = if is_long {
            self.patience * LONG_WORK_FACTOR
        } else {
            self.patience
        };
        let host = request.uri().host().unwrap_or_default().to_owned();
        let chosen = self.connector.proxies.choose(request.uri());
        let proxy = chosen.map_err(|error| HttpDispatchError::new(error.to_string()))?;
        if let Some(proxy) = &proxy {
            introduce(&mut request, proxy);
        }
        let by = proxy
            .as_ref()
            .map_or_else(String::new, |proxy| format!(", through {proxy},"));
        let response = self
            .watch(self.request(request)?, &moved, patience)
            .await
            .map_err(|error| match error {
                Stop::Failed(error) => HttpDispatchError::new(complaint(&error, &host)),
                Stop::Still => HttpDispatchError::new(format!(
                    "{host}{by} did not answer, and nothing has moved for {} s",
                    patience.as_secs_f64()
                )),
            })?;
        match proxy {
            Some(proxy) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(HttpDispatchError::new(proxy.wants_password(&host)))
            }
            _ => Ok(response),
        }
    }

    /// The payload in pieces; each marks that something moved.
    fn body(&self, payload: &Payload, moved: &Arc<Moved>) -> Body {
        let Some(content) = payload.content() else {
            return Body::empty();
        };
        let piece_bytes = if self.limit.is_some() {
            PIECE_BYTES
        } else {
            FAST_PIECE_BYTES
        };
        let state = (content, self.limit.clone(), Arc::clone(moved));
        Body::wrap_stream(stream::unfold(
            state,
            move |(mut rest, limit, moved)| async move {
                if rest.is_empty() {
                    return None;
                }
                let piece = rest.split_to(rest.len().min(piece_bytes));
                if let Some(limit) = &limit {
                    moved
                        .pause(limit.reserve(piece.len(), Instant::now()))
                        .await;
                }
                moved.touch();
                Some((Ok::<Bytes, io::Error>(piece), (rest, limit, moved)))
            },
        ))
    }

    /// Waits for the head of the answer for as long as something moves.
    async fn watch(
        &self,
        answer: ResponseFuture,
        moved: &Moved,
        patience: Duration,
    ) -> Result<Response<Body>, Stop> {
        tokio::pin!(answer);
        loop {
            match timeout(WATCH_EVERY, &mut answer).await {
                Ok(answer) => return answer.map_err(Stop::Failed),
                Err(_) if moved.still_for() > patience => return Err(Stop::Still),
                Err(_) => {}
            }
        }
    }
}

impl DispatchSignedRequest for Dispatcher {
    fn dispatch(&self, request: SignedRequest, _: Option<Duration>) -> DispatchSignedRequestFuture {
        Box::pin(self.clone().send(request))
    }
}

/// Says who is there to a proxy that gets the request itself. One that gets a CONNECT has heard it
/// then, and the store must not.
fn introduce(request: &mut Request<Body>, proxy: &Proxy) {
    if request.uri().scheme() != Some(&Scheme::HTTP) {
        return;
    }
    if let Some(authorization) = proxy.authorization() {
        request
            .headers_mut()
            .insert(PROXY_AUTHORIZATION, authorization);
    }
}

/// What to say of a request to `host` that failed.
fn complaint(error: &hyper::Error, host: &str) -> String {
    proxy::complaint(error)
        .or_else(|| tls::complaint(error, host))
        .unwrap_or_else(|| failed(error, host))
}

/// What to say of a request to `host` that failed on the way. The resolver has one text for a name
/// that does not exist (EAI_NONAME), and others for its own failures.
fn failed(error: &hyper::Error, host: &str) -> String {
    let chain = chain(error);
    if chain.contains("dns error") && chain.contains("not known") {
        return format!("{NO_ADDRESS}{host}; check the endpoint and the region ({chain})");
    }
    if error.is_connect() {
        return format!("cannot connect to {host}; check the endpoint and the network ({chain})");
    }
    format!("the connection to {host} broke off ({chain})")
}

/// Why no answer came.
enum Stop {
    Failed(hyper::Error),
    Still,
}

/// When something was last sent.
#[derive(Debug)]
struct Moved {
    start: Instant,
    milliseconds: AtomicU64,
}

impl Moved {
    fn now() -> Self {
        Self {
            start: Instant::now(),
            milliseconds: AtomicU64::new(0),
        }
    }

    fn touch(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.milliseconds.store(elapsed, Ordering::Relaxed);
    }

    fn still_for(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(
            self.milliseconds.load(Ordering::Relaxed),
        ))
    }

    /// Waits on purpose, which does not count as standstill.
    async fn pause(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while let Some(left) = end
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            self.touch();
            sleep(left.min(WATCH_EVERY)).await;
        }
    }
}

/// What a request carries.
enum Payload {
    Nothing,
    /// A document; it is signed.
    Document(Bytes),
    /// Content of an object. It is not signed, which would cost another digest: Content-MD5
    /// protects it.
    Content(Bytes),
}

impl Payload {
    fn content(&self) -> Option<Bytes> {
        match self {
            Self::Nothing => None,
            Self::Document(bytes) | Self::Content(bytes) => Some(bytes.clone()),
        }
    }

    /// Puts into the request what its signature is computed from.
    fn stand_in(&self, request: &mut SignedRequest) {
        request.payload = match self {
            Self::Nothing => None,
            Self::Document(bytes) => Some(SignedRequestPayload::Buffer(bytes.clone())),
            Self::Content(bytes) => {
                let nothing = stream::empty::<io::Result<Bytes>>();
                Some(SignedRequestPayload::Stream(ByteStream::new_with_size(
                    nothing,
                    bytes.len(),
                )))
            }
        };
    }
}

/// A request with a lock must have a digest of its body, also where there is none: rusoto has no
/// field for it.
fn add_md5_of_nothing(request: &mut SignedRequest) {
    if request.headers().contains_key("x-amz-object-lock-mode") {
        request.remove_header("content-md5");
        request.add_header("content-md5", MD5_OF_NOTHING);
    }
}

async fn take_payload(request: &mut SignedRequest) -> Result<Payload, HttpDispatchError> {
    match request.payload.take() {
        None => Ok(Payload::Nothing),
        Some(SignedRequestPayload::Buffer(bytes)) => Ok(Payload::Document(bytes)),
        Some(SignedRequestPayload::Stream(mut stream)) => {
            // Ours is one piece, which is shared and not copied.
            let mut whole = Bytes::new();
            while let Some(piece) = stream.next().await {
                let piece = piece?;
                whole = if whole.is_empty() {
                    piece
                } else {
                    joined(&whole, &piece)
                };
            }
            Ok(Payload::Content(whole))
        }
    }
}

fn joined(a: &[u8], b: &[u8]) -> Bytes {
    let mut both = BytesMut::with_capacity(a.len() + b.len());
    both.extend_from_slice(a);
    both.extend_from_slice(b);
    both.freeze()
}

fn to_hyper(request: &SignedRequest, body: Body) -> Result<Request<Body>, HttpDispatchError> {
    let odd = |error: &dyn std::fmt::Display| {
        HttpDispatchError::new(format!("the request cannot be made: {error}"))
    };
    let query = request.canonical_query_string();
    let mark = if query.is_empty() { "" } else { "?" };
    let uri = format!(
        "{}://{}{}{mark}{query}",
        request.scheme(),
        request.hostname(),
        request.canonical_path()
    );
    let mut built = Request::builder().method(request.method()).uri(uri);
    for (name, values) in request.headers() {
        for value in values {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| odd(&error))?;
            built = built.header(
                name,
                HeaderValue::from_bytes(value).map_err(|error| odd(&error))?,
            );
        }
    }
    built.body(body).map_err(|error| odd(&error))
}

/// The host that a 307 of AWS sends to: a new bucket is not known everywhere for some hours.
fn redirected(request: &SignedRequest, response: &Response<Body>) -> Option<String> {
    if !matches!(response.status().as_u16(), 307 | 308) {
        return None;
    }
    let location: http::Uri = response
        .headers()
        .get(LOCATION)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    let host = location.host()?;
    let is_aws = |host: &str| host.ends_with(".amazonaws.com");
    // Keys are for the same service over the same protocol, and for nobody else.
    let is_safe = is_aws(host)
        && is_aws(&request.hostname())
        && location.scheme_str() == Some(&request.scheme());
    is_safe.then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusoto_core::Region;

    #[test]
    fn keys_are_sent_on_to_aws_alone() {
        let check = |from: &str, to: &str, expected: Option<&str>| {
            let region = Region::Custom {
                name: "x".into(),
                endpoint: from.into(),
            };
            let request = SignedRequest::new("PUT", "s3", &region, "/b/k");
            let response = Response::builder()
                .status(307)
                .header(LOCATION, to)
                .body(Body::empty())
                .unwrap();
            assert_eq!(redirected(&request, &response).as_deref(), expected);
        };
        let aws = "https://s3.us-east-1.amazonaws.com";
        check(
            aws,
            "https://b.s3.eu-west-3.amazonaws.com/k",
            Some("b.s3.eu-west-3.amazonaws.com"),
        );
        check(aws, "http://b.s3.eu-west-3.amazonaws.com/k", None);
        check(aws, "https://evil.example/k", None);
        check(
            "https://store.example",
            "https://b.s3.eu-west-3.amazonaws.com/k",
            None,
        );
    }
}
