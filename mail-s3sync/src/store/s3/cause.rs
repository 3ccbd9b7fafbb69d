//! A failed request in the words of the store.

use crate::aws::Failure;
use crate::store::error::Cause;

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        let (status, code, message) = match failure {
            Failure::Transport(message) => return Self::Transport(message),
            Failure::Untrusted(message) => return Self::Untrusted(message),
            Failure::Proxy(message) => return Self::Proxy(message),
            Failure::Unresolved(message) => return Self::Unresolved(message),
            Failure::WrongRegion(region) if region.is_empty() => return Self::Elsewhere,
            Failure::WrongRegion(region) => return Self::WrongRegion { region },
            Failure::Answer {
                status,
                code,
                message,
            } => (status, code, message),
        };
        match (status, code.as_str()) {
            (_, "NoSuchBucket") => Self::NoSuchBucket,
            (_, "RequestTimeTooSkewed") => Self::ClockSkew { message },
            (_, "InvalidObjectState" | "ObjectNotInActiveTierError") => Self::Archived,
            (
                _,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "InvalidToken"
                | "ExpiredToken"
                | "ExpiredTokenException"
                | "TokenRefreshRequired"
                | "InvalidSecurity"
                | "AuthorizationHeaderMalformed",
            ) => Self::BadCredentials { code, message },
            (403 | 401, _) => {
                let message = if message.is_empty() {
                    format!("{status} {code}")
                } else {
                    message
                };
                Self::Denied {
                    message,
                    hint: "docs/manual.md, \"The off-site copy\", \
                           has the policy that these keys need",
                }
            }
            _ => Self::Refused {
                status,
                code,
                message,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(status: u16, code: &str) -> Cause {
        let (code, message) = (code.to_owned(), "m".to_owned());
        Cause::from(Failure::Answer {
            status,
            code,
            message,
        })
    }

    #[test]
    fn what_is_wrong_with_the_settings_is_distinguished() {
        assert!(matches!(cause(404, "NoSuchBucket"), Cause::NoSuchBucket));
        let signature = cause(403, "SignatureDoesNotMatch");
        assert!(matches!(signature, Cause::BadCredentials { .. }));
        let clock = cause(403, "RequestTimeTooSkewed");
        assert!(matches!(clock, Cause::ClockSkew { .. }));
        let denied = cause(403, "AccessDenied");
        assert!(matches!(denied, Cause::Denied { .. }));
        let refused = cause(400, "InvalidArgument");
        assert!(matches!(refused, Cause::Refused { status: 400, .. }));
        assert!(matches!(cause(403, "InvalidObjectState"), Cause::Archived));
    }
}
