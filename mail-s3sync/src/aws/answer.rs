//! The answer of a store, checked before rusoto reads it.
//!
//! Documents are read whole and parsed here first, on the same parser: what is cut, is another
//! document, or an error under status 200, never reaches rusoto. The content of an object is passed
//! on as it comes.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::stream;
use http::{HeaderMap, StatusCode};
use hyper::body::HttpBody;
use hyper::{Body, Response};
use mail_common::report::chain;
use mail_common::text::printable;
use rusoto_core::request::HttpResponse;
use rusoto_core::signature::SignedRequest;
use rusoto_core::{ByteStream, HttpDispatchError};
use tokio::time::timeout;
use xml::reader::{EventReader, XmlEvent};

/// A listing of 1000 keys of 1024 bytes, each byte escaped, is 4 MiB.
const DOCUMENT_MAX_BYTES: usize = 16 << 20;
/// A document may take this many times `--timeout`: an endless drip of small pieces is not
/// progress.
const DOCUMENT_FACTOR: u32 = 5;
/// Content that is slower than this, over all the time it was waited for, is given up.
const LEAST_BYTES_PER_SECOND: f64 = 1024.0;
/// How much is shown of an answer that is not a document.
const SHOWN_CHARACTERS: usize = 200;

/// What a good answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// The content of an object.
    Content,
    /// A document with this root.
    Document(&'static str),
    /// Nothing; what comes is left out.
    Nothing,
}

/// What a good answer to `request` holds.
pub(super) fn expected(request: &SignedRequest) -> Expected {
    let has = |name: &str| request.params.contains_key(name);
    let document = match request.method() {
        "GET" if has("list-type") => "ListBucketResult",
        "GET" if has("versions") => "ListVersionsResult",
        "GET" if has("uploads") => "ListMultipartUploadsResult",
        "GET" if has("uploadId") => "ListPartsResult",
        "GET" if has("object-lock") => "ObjectLockConfiguration",
        "GET" if has("versioning") => "VersioningConfiguration",
        "GET" if has("lifecycle") => "LifecycleConfiguration",
        "GET" if has("encryption") => "ServerSideEncryptionConfiguration",
        "GET" if has("retention") => "Retention",
        "GET" => return Expected::Content,
        "POST" if request.service == "sts" => return sts_document(request),
        "POST" if has("uploads") => "InitiateMultipartUploadResult",
        "POST" if has("uploadId") => "CompleteMultipartUploadResult",
        "PUT" if request.headers().contains_key("x-amz-copy-source") && has("partNumber") => {
            "CopyPartResult"
        }
        "PUT" if request.headers().contains_key("x-amz-copy-source") => "CopyObjectResult",
        _ => return Expected::Nothing,
    };
    Expected::Document(document)
}

/// The action of STS is in the payload, and both answers are named for it.
fn sts_document(request: &SignedRequest) -> Expected {
    let is_web = match &request.payload {
        Some(rusoto_core::signature::SignedRequestPayload::Buffer(form)) => {
            form.windows(15).any(|part| part == b"WithWebIdentity")
        }
        _ => false,
    };
    Expected::Document(if is_web {
        "AssumeRoleWithWebIdentityResponse"
    } else {
        "AssumeRoleResponse"
    })
}

/// Reads the answer, as far as it is not the content of an object; between two pieces passes
/// `patience` at most.
pub(super) async fn read(
    response: Response<Body>,
    expected: Expected,
    patience: Duration,
) -> Result<HttpResponse, HttpDispatchError> {
    let (head, body) = response.into_parts();
    let headers = text_headers(&head.headers);
    if head.status.is_success() && expected == Expected::Content {
        return Ok(HttpResponse {
            status: head.status,
            headers,
            body: content(body, patience),
        });
    }
    let whole = timeout(patience * DOCUMENT_FACTOR, read_document(body, patience)).await;
    let document = whole.map_err(|_| HttpDispatchError::new(too_slow()))??;
    let (status, document) = check(head.status, &document, expected)?;
    Ok(HttpResponse {
        status,
        headers,
        body: ByteStream::from(document),
    })
}

/// What rusoto is given: a document that it can read, or an error that says what came.
fn check(
    status: StatusCode,
    document: &[u8],
    expected: Expected,
) -> Result<(StatusCode, Vec<u8>), HttpDispatchError> {
    let root = root_of(document);
    if !status.is_success() {
        let is_error = matches!(root.as_deref(), Ok("Error" | "ErrorResponse"));
        let text = if is_error || document.is_empty() {
            document.to_vec()
        } else {
            error_document(status, document)
        };
        return Ok((status, text));
    }
    match (expected, root) {
        // Documented for CompleteMultipartUpload and CopyObject: the status is sent before the work
        // is done.
        (_, Ok(root)) if root == "Error" => {
            Ok((StatusCode::INTERNAL_SERVER_ERROR, document.to_vec()))
        }
        (Expected::Document(expected), Ok(root)) if is_called(&root, expected) => {
            Ok((status, document.to_vec()))
        }
        (Expected::Document(expected), Ok(root)) => Err(HttpDispatchError::new(format!(
            "a document {root} came where {expected} was asked for"
        ))),
        (Expected::Document(expected), Err(reason)) => {
            let shown = shown(document);
            Err(HttpDispatchError::new(format!(
                "no {expected} came, but {shown:?} ({reason})"
            )))
        }
        (Expected::Nothing | Expected::Content, _) => Ok((status, Vec::new())),
    }
}

/// Some stores call a result a response.
fn is_called(root: &str, expected: &str) -> bool {
    let stem = |name: &'_ str| {
        name.strip_suffix("Result")
            .or_else(|| name.strip_suffix("Response"))
            .map(str::to_owned)
    };
    root == expected || stem(root).is_some_and(|root| Some(root) == stem(expected))
}

/// The name of the root, once the document was parsed to its end.
fn root_of(document: &[u8]) -> Result<String, String> {
    let mut root = None;
    for event in EventReader::new(document) {
        match event.map_err(|error| error.to_string())? {
            XmlEvent::StartElement { name, .. } if root.is_none() => root = Some(name.local_name),
            XmlEvent::EndDocument => break,
            _ => {}
        }
    }
    root.ok_or_else(|| "no root".to_owned())
}

/// A gateway that answers in HTML or in words is quoted as the message of an error.
fn error_document(status: StatusCode, content: &[u8]) -> Vec<u8> {
    let escaped = shown(content)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!(
        "<Error><Code>{}</Code><Message>{escaped}</Message></Error>",
        status.as_u16()
    )
    .into_bytes()
}

/// On one line: pages in HTML have many.
fn shown(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = printable(&words.join(" "));
    line.chars().take(SHOWN_CHARACTERS).collect()
}

async fn read_document(mut body: Body, patience: Duration) -> Result<Bytes, HttpDispatchError> {
    let mut document = BytesMut::new();
    while let Some(piece) = next_piece(&mut body, patience).await {
        document.extend_from_slice(&piece?);
        if document.len() > DOCUMENT_MAX_BYTES {
            return Err(HttpDispatchError::new(format!(
                "the answer is longer than {DOCUMENT_MAX_BYTES} bytes"
            )));
        }
    }
    Ok(document.freeze())
}

fn content(body: Body, patience: Duration) -> ByteStream {
    let start = (body, Pace::default());
    ByteStream::new(stream::unfold(start, move |(mut body, pace)| async move {
        let asked = Instant::now();
        let piece = next_piece(&mut body, patience).await?;
        let bytes = piece.as_ref().map_or(0, Bytes::len);
        let pace = pace.after(asked.elapsed(), bytes);
        let piece = if pace.is_too_slow(patience) {
            Err(io::Error::new(io::ErrorKind::TimedOut, too_slow()))
        } else {
            piece
        };
        Some((piece, (body, pace)))
    }))
}

fn too_slow() -> String {
    "the answer comes so slowly that it is given up".to_owned()
}

/// How fast content comes. Only the time in which it was waited for counts: whoever reads it may
/// take as long as it likes, and `--limit-rate` makes it take long.
#[derive(Clone, Copy, Default)]
struct Pace {
    waited: Duration,
    bytes: usize,
}

impl Pace {
    fn after(self, waited: Duration, bytes: usize) -> Self {
        Self {
            waited: self.waited + waited,
            bytes: self.bytes + bytes,
        }
    }

    fn is_too_slow(self, patience: Duration) -> bool {
        let allowed = self.bytes as f64 / LEAST_BYTES_PER_SECOND;
        self.waited.as_secs_f64() > (patience * DOCUMENT_FACTOR).as_secs_f64() + allowed
    }
}

async fn next_piece(body: &mut Body, patience: Duration) -> Option<io::Result<Bytes>> {
    match timeout(patience, body.data()).await {
        Ok(Some(Ok(piece))) => Some(Ok(piece)),
        Ok(Some(Err(error))) => Some(Err(io::Error::other(chain(&error)))),
        Ok(None) => None,
        Err(_) => {
            let seconds = patience.as_secs_f64();
            Some(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("nothing has come for {seconds} s"),
            )))
        }
    }
}

/// Headers as text; one that rusoto would not be able to read is left out.
fn text_headers(headers: &HeaderMap) -> HeaderMap<String> {
    let numbers = BTreeSet::from([
        "content-length",
        "x-amz-missing-meta",
        "x-amz-mp-parts-count",
        "x-amz-tagging-count",
    ]);
    let switches = BTreeSet::from([
        "x-amz-delete-marker",
        "x-amz-server-side-encryption-bucket-key-enabled",
    ]);
    let mut text = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let is_readable = match name.as_str() {
            number if numbers.contains(number) => value.parse::<i64>().is_ok(),
            switch if switches.contains(switch) => value.parse::<bool>().is_ok(),
            _ => true,
        };
        if is_readable {
            text.append(name.clone(), value);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn checked(status: u16, document: &str, expected: Expected) -> Result<(u16, String), String> {
        let status = StatusCode::from_u16(status).unwrap();
        check(status, document.as_bytes(), expected)
            .map(|(status, text)| (status.as_u16(), String::from_utf8(text).unwrap()))
            .map_err(|error| error.to_string())
    }

    const LISTING: Expected = Expected::Document("ListBucketResult");

    #[test]
    fn only_the_whole_document_that_was_asked_for_is_passed_on() {
        let good = "<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name></ListBucketResult>";
        assert_eq!(checked(200, good, LISTING), Ok((200, good.to_owned())));
        let refused = |document: &str, part: &str| {
            let error = checked(200, document, LISTING).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        for length in 0..good.len() {
            assert!(
                checked(200, &good[..length], LISTING).is_err(),
                "cut after {length}"
            );
        }
        refused("<html><body>Please log in</body></html>", "html");
        refused(
            "<ListVersionsResult></ListVersionsResult>",
            "ListVersionsResult",
        );
        refused("ok", "\"ok\"");
    }

    #[test]
    fn a_byte_a_second_is_given_up_and_a_slow_line_is_not() {
        let patience = Duration::from_secs(60);
        let after = |seconds, bytes| Pace::default().after(Duration::from_secs(seconds), bytes);
        assert!(after(302, 302).is_too_slow(patience));
        assert!(!after(3600, 8 << 20).is_too_slow(patience));
        assert!(!after(299, 1).is_too_slow(patience));
    }

    #[test]
    fn an_error_under_status_200_is_an_error() {
        let error = "<Error><Code>InternalError</Code></Error>";
        for expected in [
            LISTING,
            Expected::Document("CompleteMultipartUploadResult"),
            Expected::Nothing,
        ] {
            assert_eq!(checked(200, error, expected), Ok((500, error.to_owned())));
        }
    }

    #[test]
    fn an_error_that_is_no_document_becomes_one() {
        let (status, text) = checked(503, "<html>busy & <b>", LISTING).unwrap();
        assert_eq!(status, 503);
        assert_eq!(root_of(text.as_bytes()).as_deref(), Ok("Error"));
        assert_eq!(
            checked(404, "", Expected::Nothing),
            Ok((404, String::new()))
        );
    }

    #[test]
    fn headers_that_would_make_rusoto_panic_are_left_out() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-mp-parts-count", "many".parse().unwrap());
        headers.insert("x-amz-delete-marker", "yes".parse().unwrap());
        headers.insert("server", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let text = text_headers(&headers);
        assert_eq!(text.len(), 1);
        assert_eq!(text["server"], "caf\u{fffd}");
    }

    proptest! {
        #[test]
        fn random_answers_never_panic(document in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(StatusCode::OK, &document, LISTING);
            let _ = check(StatusCode::BAD_GATEWAY, &document, LISTING);
        }
    }
}
