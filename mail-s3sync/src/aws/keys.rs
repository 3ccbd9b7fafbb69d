//! The keys that requests are signed with. Secrets are in no `Debug` and in no error.

use jiff::{SignedDuration, Timestamp};
use mail_common::secret::Secret;
use rusoto_core::credential::AwsCredentials;

/// Keys are renewed this long before they expire.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// Keys that sign requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) access_key: String,
    pub(crate) secret: Secret,
    pub(crate) token: Option<Secret>,
    pub(crate) expires: Option<Timestamp>,
}

impl Credentials {
    /// Whether they expire too soon to begin anything with them.
    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        self.expires
            .is_some_and(|end| end.duration_since(now) < RENEW_BEFORE)
    }

    /// As rusoto signs with them.
    pub(crate) fn to_aws(&self) -> AwsCredentials {
        let token = self.token.as_ref().map(|token| token.expose().to_owned());
        AwsCredentials::new(self.access_key.as_str(), self.secret.expose(), token, None)
    }
}
