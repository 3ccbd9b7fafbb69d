//! What a failed request means: whether to try again, and what to report.

use std::fmt::{self, Debug};

use rusoto_core::RusotoError;
use rusoto_core::request::BufferedHttpResponse;

use super::{proxy, tls};

/// In answers of AWS about a bucket.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// A request that failed, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The store has answered.
    Answer {
        status: u16,
        code: String,
        message: String,
    },
    /// It has not, or what came makes no sense.
    Transport(String),
    /// It is not who it should be.
    Untrusted(String),
    /// No proxy lets it through, as the settings are.
    Proxy(String),
    /// The name of its host has no address.
    Unresolved(String),
    /// The bucket is in another region; empty where the store does not say which.
    WrongRegion(String),
}

/// Whether an answer says that the store does not have a kind of request at all.
pub(crate) fn is_not_implemented(status: u16, code: &str) -> bool {
    matches!(status, 405 | 501) || code == "NotImplemented"
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    TryAgain,
    /// With other keys.
    RenewKeys,
    GiveUp,
}

impl Failure {
    pub(crate) fn new<E: std::error::Error + Debug + 'static>(error: RusotoError<E>) -> Self {
        match error {
            RusotoError::Unknown(answer) => Self::of_answer(&answer),
            // A variant is called as the code, and holds the message.
            RusotoError::Service(error) => {
                let name = format!("{error:?}");
                let code = name.split(['(', ' ']).next().unwrap_or_default().to_owned();
                let status = if code.starts_with("NoSuch") { 404 } else { 403 };
                Self::Answer {
                    status,
                    code,
                    message: error.to_string(),
                }
            }
            RusotoError::HttpDispatch(error) if tls::is_untrusted(&error.to_string()) => {
                Self::Untrusted(error.to_string())
            }
            RusotoError::HttpDispatch(error) if proxy::is_wrong_setting(&error.to_string()) => {
                Self::Proxy(error.to_string())
            }
            RusotoError::HttpDispatch(error) if is_unresolved(&error.to_string()) => {
                Self::Unresolved(error.to_string())
            }
            error => Self::Transport(error.to_string()),
        }
    }

    fn of_answer(answer: &BufferedHttpResponse) -> Self {
        let text = String::from_utf8_lossy(&answer.body);
        let element = |name: &str| {
            let rest = text.split_once(&format!("<{name}>"))?.1;
            Some(unescaped(rest.split_once(&format!("</{name}>"))?.0))
        };
        let (status, code) = (answer.status.as_u16(), element("Code").unwrap_or_default());
        let named = element("Region").or_else(|| answer.headers.get(BUCKET_REGION).cloned());
        let region = named.filter(|region| is_region(region));
        // A HEAD has no document: there the header alone tells.
        let is_elsewhere = match (status, code.as_str()) {
            (301, _) | (_, "PermanentRedirect") => true,
            (400, "AuthorizationHeaderMalformed" | "") => region.is_some(),
            _ => false,
        };
        if is_elsewhere {
            return Self::WrongRegion(region.unwrap_or_default());
        }
        Self::Answer {
            status,
            code,
            message: element("Message").unwrap_or_default(),
        }
    }

    /// The store does not have this kind of request at all.
    pub(crate) fn is_not_implemented(&self) -> bool {
        match self {
            Self::Answer { status, code, .. } => is_not_implemented(*status, code),
            _ => false,
        }
    }

    pub(crate) fn has_code(&self, expected: &str) -> bool {
        matches!(self, Self::Answer { code, .. } if code == expected)
    }

    /// Nothing is there under the key. A HEAD has no document that could say so.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Answer { status: 404, code, .. } if code != "NoSuchBucket")
    }

    /// The object is not the one that was meant.
    pub(crate) fn is_precondition(&self) -> bool {
        matches!(self, Self::Answer { status: 412, .. })
    }

    /// The object has no byte there.
    pub(crate) fn is_beyond_end(&self) -> bool {
        matches!(self, Self::Answer { status: 416, .. })
    }

    pub(crate) fn remedy(&self) -> Remedy {
        let (status, code) = match self {
            // A resolver may be out for a moment, too.
            Self::Transport(_) | Self::Unresolved(_) => return Remedy::TryAgain,
            Self::Untrusted(_) | Self::Proxy(_) | Self::WrongRegion(_) => return Remedy::GiveUp,
            Self::Answer { status, code, .. } => (status, code),
        };
        match (status, code.as_str()) {
            (_, "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired") => {
                Remedy::RenewKeys
            }
            // Corrupted or cut on the way; nothing was stored.
            (
                _,
                "BadDigest" | "IncompleteBody" | "RequestTimeout" | "XAmzContentSHA256Mismatch",
            ) => Remedy::TryAgain,
            (_, "OperationAborted" | "ConditionalRequestConflict") => Remedy::TryAgain,
            (_, "ThrottlingException" | "KMS.ThrottlingException" | "RequestLimitExceeded") => {
                Remedy::TryAgain
            }
            (501 | 505, _) => Remedy::GiveUp,
            (408 | 429 | 500.., _) => Remedy::TryAgain,
            _ => Remedy::GiveUp,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer {
                status,
                code,
                message,
            } => write!(f, "{status} {code}: {message}"),
            Self::Transport(message)
            | Self::Untrusted(message)
            | Self::Proxy(message)
            | Self::Unresolved(message) => f.write_str(message),
            Self::WrongRegion(region) => write!(f, "the region is wrong, and should be {region:?}"),
        }
    }
}

/// What a failure to find a host begins with.
pub(super) const NO_ADDRESS: &str = "cannot resolve the host name ";

fn is_unresolved(message: &str) -> bool {
    message.starts_with(NO_ADDRESS)
}

/// A region is shown to people, and comes from the store.
fn is_region(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=40).contains(&text.len()) && text.bytes().all(is_plain)
}

fn unescaped(text: &str) -> String {
    let pairs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    pairs
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| {
            text.replace(escaped, plain)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusoto_s3::GetObjectError;

    fn answer(status: u16, code: &str) -> Failure {
        Failure::Answer {
            status,
            code: code.to_owned(),
            message: "m".to_owned(),
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let check =
            |failure: Failure, expected| assert_eq!(failure.remedy(), expected, "{failure:?}");
        for status in [408, 429, 500, 502, 503, 504] {
            check(answer(status, ""), Remedy::TryAgain);
        }
        check(answer(400, "BadDigest"), Remedy::TryAgain);
        check(answer(400, "KMS.ThrottlingException"), Remedy::TryAgain);
        check(answer(400, "ExpiredToken"), Remedy::RenewKeys);
        check(Failure::Transport("reset".to_owned()), Remedy::TryAgain);
        for (status, code) in [
            (403, "AccessDenied"),
            (404, "NoSuchBucket"),
            (400, "InvalidArgument"),
            (501, ""),
        ] {
            check(answer(status, code), Remedy::GiveUp);
        }
    }

    #[test]
    fn the_region_to_use_is_found_in_the_document_or_the_header() {
        let check = |status: u16, body: &str, header: Option<&str>, expected: Option<&str>| {
            let headers = header.map(|region| {
                let name = http::HeaderName::from_static(BUCKET_REGION);
                (name, region.to_owned())
            });
            let failure = Failure::of_answer(&BufferedHttpResponse {
                status: http::StatusCode::from_u16(status).unwrap(),
                body: body.to_owned().into(),
                headers: headers.into_iter().collect(),
            });
            let expected = expected.map(|region| Failure::WrongRegion(region.to_owned()));
            let found = Some(failure).filter(|f| matches!(f, Failure::WrongRegion(_)));
            assert_eq!(found, expected, "{status} {body}");
        };
        let moved = "<Error><Code>PermanentRedirect</Code></Error>";
        let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code>\
                         <Region>eu-west-3</Region></Error>";
        let unsaid = "<Error><Code>AuthorizationHeaderMalformed</Code></Error>";
        check(301, moved, Some("eu-west-3"), Some("eu-west-3"));
        check(301, moved, None, Some(""));
        check(301, "", Some("cn-north-1"), Some("cn-north-1"));
        check(400, malformed, None, Some("eu-west-3"));
        check(400, "", Some("eu-west-3"), Some("eu-west-3"));
        check(400, unsaid, None, None);
        check(403, "", Some("eu-west-3"), None);
        check(301, "", Some("\u{1b}[2J"), Some(""));
    }

    #[test]
    fn an_archived_object_is_not_a_missing_one() {
        let failure = |error| Failure::new(RusotoError::Service(error));
        let archived = failure(GetObjectError::InvalidObjectState("m".to_owned()));
        assert!(!archived.is_not_found());
        assert!(failure(GetObjectError::NoSuchKey("m".to_owned())).is_not_found());
    }
}
