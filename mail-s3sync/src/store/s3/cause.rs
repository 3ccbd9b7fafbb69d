//! A failed request in the words of the store.

use super::advice::{self, About};
use crate::aws::Failure;
use crate::store::error::Cause;

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Transport(message) => Self::Transport(message),
            Failure::Untrusted(message) => Self::Untrusted(message),
            Failure::Proxy(message) => Self::Proxy(message),
            Failure::Unresolved(message) => Self::Unresolved(message),
            Failure::WrongRegion(region) if region.is_empty() => Self::Elsewhere,
            Failure::WrongRegion(region) => Self::WrongRegion { region },
            Failure::Answer {
                status,
                code,
                message,
            } => of_answer(status, code, message),
        }
    }
}

fn of_answer(status: u16, code: String, message: String) -> Cause {
    match code.as_str() {
        "NoSuchBucket" => return Cause::NoSuchBucket,
        "RequestTimeTooSkewed" => return Cause::ClockSkew { message },
        "InvalidObjectState" | "ObjectNotInActiveTierError" => return Cause::Archived,
        _ => {}
    }
    match (advice::of_code(&code), status) {
        (Some((About::Keys, hint)), _) => Cause::BadCredentials {
            code,
            message,
            hint,
        },
        (Some((About::Setup, hint)), _) => Cause::Unusable {
            code,
            message,
            hint,
        },
        (None, 401 | 403) => denied(status, &code, message),
        (advice, _) => Cause::Refused {
            status,
            code,
            message,
            hint: advice.map_or(advice::of_status(status), |(_, hint)| hint),
        },
    }
}

fn denied(status: u16, code: &str, message: String) -> Cause {
    let hint = if advice::is_of_kms(&message) {
        advice::KMS_DENIED
    } else {
        advice::DENIED
    };
    let message = if message.is_empty() {
        format!("{status} {code}").trim_end().to_owned()
    } else {
        message
    };
    Cause::Denied { message, hint }
}

#[cfg(test)]
mod tests {
    use mail_common::failure::{Failure as _, FailureKind};

    use super::*;
    use crate::store::StoreError;

    /// Every code that an administrator meets says what to do, and whether to go on.
    #[test]
    fn every_code_has_its_remedy() {
        use FailureKind::{Configuration, Store};
        let kms = "User: arn:aws:iam::1:user/u is not authorized to perform: kms:GenerateDataKey on \
                   resource: arn:aws:kms:eu-west-1:1:key/k";
        let lost = "The ciphertext refers to a customer master key that does not exist";
        let rows = [
            (404, "NoSuchBucket", "", Configuration, "check the name"),
            (
                403,
                "InvalidAccessKeyId",
                "",
                Configuration,
                "deleted or mistyped",
            ),
            (
                403,
                "SignatureDoesNotMatch",
                "",
                Configuration,
                "the secret does not belong",
            ),
            (
                400,
                "ExpiredToken",
                "",
                Configuration,
                "a time that is over: get new ones",
            ),
            (
                400,
                "TokenRefreshRequired",
                "",
                Configuration,
                "get new ones",
            ),
            (400, "InvalidToken", "", Configuration, "session token"),
            (
                400,
                "AuthorizationHeaderMalformed",
                "",
                Configuration,
                "--region",
            ),
            (
                403,
                "RequestTimeTooSkewed",
                "",
                Store,
                "set the clock right",
            ),
            (
                403,
                "AccessDenied",
                "",
                Configuration,
                "the policy that these keys need",
            ),
            (
                403,
                "AccessDenied",
                kms,
                Configuration,
                "must allow kms:GenerateDataKey",
            ),
            (403, "AccessDenied", lost, Configuration, "kms:Decrypt"),
            (
                403,
                "",
                "",
                Configuration,
                "not allowed (403); docs/mail-s3sync.md",
            ),
            (
                403,
                "AllAccessDisabled",
                "",
                Configuration,
                "serves this bucket to nobody",
            ),
            (403, "AccountProblem", "", Configuration, "over a bill"),
            (403, "NotSignedUp", "", Configuration, "support"),
            (
                400,
                "KMS.DisabledException",
                "",
                Configuration,
                "aws kms enable-key",
            ),
            (
                400,
                "KMS.KMSInvalidStateException",
                "",
                Configuration,
                "cancel-key-deletion",
            ),
            (
                400,
                "KMS.NotFoundException",
                "",
                Configuration,
                "in the region of the bucket",
            ),
            (
                400,
                "KMS.InvalidKeyUsageException",
                "",
                Configuration,
                "symmetric",
            ),
            (
                400,
                "KMS.ThrottlingException",
                "",
                Store,
                "a smaller --jobs",
            ),
            (
                403,
                "InvalidObjectState",
                "",
                Store,
                "aws s3api restore-object",
            ),
            (503, "SlowDown", "", Store, "a smaller --jobs"),
            (503, "", "", Store, "a smaller --jobs"),
            (429, "", "", Store, "a smaller --jobs"),
            (500, "InternalError", "", Store, "run it again later"),
            (502, "", "", Store, "run it again later"),
            (507, "", "", Store, "raise the quota"),
            (403, "QuotaExceeded", "", Configuration, "raise the quota"),
            (400, "RequestTimeout", "", Store, "the line is slow"),
            (400, "BadDigest", "", Store, "changed on the way"),
            (409, "OperationAborted", "", Store, "wait for it"),
            (404, "NoSuchUpload", "", Store, "run it again"),
            (400, "InvalidBucketName", "", Configuration, "s3://BUCKET"),
            (
                400,
                "InvalidStorageClass",
                "",
                Configuration,
                "--storage-class",
            ),
            (400, "InvalidTag", "", Configuration, "--tag"),
            (307, "TemporaryRedirect", "", Configuration, "wait an hour"),
            (
                400,
                "IllegalLocationConstraintException",
                "",
                Configuration,
                "--region",
            ),
            (403, "InvalidPayer", "", Configuration, "one of your own"),
            (
                404,
                "ObjectLockConfigurationNotFoundError",
                "",
                Configuration,
                "--lock-days",
            ),
            (400, "KeyTooLongError", "", Store, "shorten the prefix"),
            (400, "EntityTooLarge", "", Store, "its limit"),
            (405, "MethodNotAllowed", "", Store, "--endpoint-url"),
            (
                400,
                "InvalidArgument",
                "odd",
                Store,
                "answered 400 InvalidArgument: odd",
            ),
        ];
        for (status, code, message, kind, remedy) in rows {
            let (code, message) = (code.to_owned(), message.to_owned());
            let cause = Cause::from(Failure::Answer {
                status,
                code: code.clone(),
                message,
            });
            let shown = cause.to_string();
            assert!(shown.contains(remedy), "{status} {code}: {shown}");
            let error = StoreError::new("put", "s3://b".to_owned(), cause);
            assert_eq!(error.kind(), kind, "{status} {code}");
            let is_of_clock = code == "RequestTimeTooSkewed";
            assert_eq!(
                error.is_fatal(),
                kind == Configuration || is_of_clock,
                "{code}"
            );
        }
    }

    #[test]
    fn another_region_is_told_with_what_to_do() {
        let shown = |region: &str| Cause::from(Failure::WrongRegion(region.to_owned())).to_string();
        assert!(shown("eu-west-3").contains("use --region eu-west-3"));
        assert!(shown("").contains("check --region and --endpoint-url"));
    }

    #[test]
    fn a_code_is_in_one_row_only() {
        let mut codes: Vec<&str> = advice::codes().collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }
}
