//! What a failed request means: whether to try again, and what to report.

use std::fmt::{self, Debug};

use rusoto_core::RusotoError;
use rusoto_core::request::BufferedHttpResponse;

use super::tls;

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
            error => Self::Transport(error.to_string()),
        }
    }

    fn of_answer(answer: &BufferedHttpResponse) -> Self {
        let text = String::from_utf8_lossy(&answer.body);
        let element = |name: &str| {
            let rest = text.split_once(&format!("<{name}>"))?.1;
            Some(unescaped(rest.split_once(&format!("</{name}>"))?.0))
        };
        Self::Answer {
            status: answer.status.as_u16(),
            code: element("Code").unwrap_or_default(),
            message: element("Message").unwrap_or_default(),
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
            Self::Transport(_) => return Remedy::TryAgain,
            Self::Untrusted(_) => return Remedy::GiveUp,
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
            Self::Transport(message) | Self::Untrusted(message) => f.write_str(message),
        }
    }
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
    fn an_archived_object_is_not_a_missing_one() {
        let failure = |error| Failure::new(RusotoError::Service(error));
        let archived = failure(GetObjectError::InvalidObjectState("m".to_owned()));
        assert!(!archived.is_not_found());
        assert!(failure(GetObjectError::NoSuchKey("m".to_owned())).is_not_found());
    }
}
