//! What an administrator does about an error, by the code that the store gives:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>, and codes of MinIO and
//! Ceph that mean the same.

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The keys: with these, every request fails.
    Keys,
    /// The account, the bucket, its key of KMS or a setting: every request fails as well.
    Setup,
    /// This request, or this moment.
    Request,
}

const OTHER_REGION: &str = "the bucket is in another region: check --region and --endpoint-url";
const FEWER_REQUESTS: &str =
    "the store wants fewer requests: run it again later, or with a smaller --jobs";
const LATER: &str = "the trouble is on the store's side: run it again later";
const ON_THE_WAY: &str = "it was changed on the way: run it again; if it comes back, a proxy \
                          between, or the memory of this machine, is at fault";
const BEGIN_AGAIN: &str =
    "the unfinished upload was removed, perhaps by a lifecycle rule: run it again";
const FULL: &str =
    "the store has no room left for you: raise the quota, or shorten how long sets are kept";
const ACCOUNT: &str =
    "the store has closed the account, mostly over a bill: log in there, or ask its support";
const OLD_TOKEN: &str = "they were given for a time that is over: get new ones, or name a profile \
                         with a role, which gets them by itself";
const TOKEN: &str = "check the session token: each belongs to one access key";
const NO_LOCK: &str = "the bucket was made without Object Lock: make one that has it \
                       (scripts/aws/make-bucket), or leave --lock-days out";

/// The words of KMS in a message; the code may be no more than `AccessDenied`.
const OF_KMS: [&str; 4] = ["kms:", "AWS KMS", "KMS key", "customer master key"];

/// What to do where the keys may use the bucket and not its key of KMS.
pub(super) const KMS_DENIED: &str = "the policy of the KMS key, and that of these keys, must \
     allow kms:GenerateDataKey to push, and kms:Decrypt to push in parts and to read";

/// What to do where a policy denies it.
pub(super) const DENIED: &str =
    "docs/mail-s3sync.md, \"The bucket\", has the policy that these keys need";

/// What each code is about, and what to do.
const TABLE: &[(About, &[&str], &str)] = &[
    (
        About::Keys,
        &["InvalidAccessKeyId", "InvalidClientTokenId", "AuthFailure"],
        "the store does not know the access key: it was deleted or mistyped, or is one of another \
         store (--endpoint-url)",
    ),
    (
        About::Keys,
        &["SignatureDoesNotMatch"],
        "the secret does not belong to the access key, or a proxy changes requests",
    ),
    (
        About::Keys,
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            "TokenRefreshRequired",
            "RequestExpired",
        ],
        OLD_TOKEN,
    ),
    (
        About::Keys,
        &["InvalidToken", "InvalidSecurity", "TokenCodeInvalidError"],
        TOKEN,
    ),
    (
        About::Keys,
        &[
            "AuthorizationHeaderMalformed",
            "MissingSecurityHeader",
            "CredentialsNotSupported",
        ],
        "check the access key and --region",
    ),
    (
        About::Setup,
        &[
            "AccountProblem",
            "NotSignedUp",
            "UserSuspended",
            "OptInRequired",
        ],
        ACCOUNT,
    ),
    (
        About::Setup,
        &["AllAccessDisabled"],
        "the store serves this bucket to nobody: check its name; if it is yours, log in there or \
         ask its support",
    ),
    (
        About::Setup,
        &["UnauthorizedAccess", "UnauthorizedAccessError"],
        "in this region the account needs a licence or an approval of its own: ask the store's \
         support",
    ),
    (
        About::Setup,
        &["KMS.DisabledException"],
        "enable the KMS key (aws kms enable-key), or name another with --sse-kms-key-id",
    ),
    (
        About::Setup,
        &["KMS.KMSInvalidStateException", "KMS.InvalidStateException"],
        "the KMS key cannot be used now: if it is to be deleted, stop that at once (aws kms \
         cancel-key-deletion), or nothing that it encrypted can be read again",
    ),
    (
        About::Setup,
        &["KMS.NotFoundException"],
        "there is no such KMS key in the region of the bucket: check --sse-kms-key-id, and the \
         default encryption of the bucket",
    ),
    (
        About::Setup,
        &[
            "KMS.InvalidKeyUsageException",
            "KMS.UnsupportedOperationException",
        ],
        "it needs a symmetric KMS key for encryption: check --sse-kms-key-id",
    ),
    (
        About::Setup,
        &[
            "InvalidEncryptionAlgorithmError",
            "ServerSideEncryptionConfigurationNotFoundError",
        ],
        "check --sse, and the default encryption of the bucket",
    ),
    (
        About::Setup,
        &["InvalidBucketName", "InvalidURI", "InvalidAccessPoint"],
        "check the name of the bucket in s3://BUCKET",
    ),
    (
        About::Setup,
        &["InvalidBucketState"],
        "the bucket does not allow that: look at its settings",
    ),
    (
        About::Setup,
        &["InvalidRegion", "IllegalLocationConstraintException"],
        OTHER_REGION,
    ),
    (
        About::Setup,
        &["Redirect", "TemporaryRedirect"],
        "the bucket is new, or in another region: check --region, or wait an hour",
    ),
    (
        About::Setup,
        &["InvalidStorageClass", "IllegalStorageClass"],
        "check --storage-class",
    ),
    (
        About::Setup,
        &["InvalidTag", "TagPolicyException"],
        "check --tag",
    ),
    (
        About::Setup,
        &["InvalidPayer"],
        "who asks pays for this bucket, which is not supported: use one of your own",
    ),
    (
        About::Setup,
        &[
            "ObjectLockConfigurationNotFoundError",
            "InvalidRetentionPeriod",
        ],
        NO_LOCK,
    ),
    (
        About::Setup,
        &[
            "QuotaExceeded",
            "XMinioAdminBucketQuotaExceeded",
            "XMinioStorageFull",
            "InsufficientCapacity",
        ],
        FULL,
    ),
    (
        About::Request,
        &[
            "SlowDown",
            "ServiceUnavailable",
            "RequestLimitExceeded",
            "Throttling",
            "ThrottlingException",
            "KMS.ThrottlingException",
            "TooManyRequests",
            "TooManyRequestsException",
            "BandwidthLimitExceeded",
        ],
        FEWER_REQUESTS,
    ),
    (About::Request, &["InternalError", "InternalFailure"], LATER),
    (
        About::Request,
        &["RequestTimeout"],
        "the line is slow or was cut: run it again, or with a smaller --jobs",
    ),
    (
        About::Request,
        &[
            "BadDigest",
            "InvalidDigest",
            "IncompleteBody",
            "XAmzContentSHA256Mismatch",
        ],
        ON_THE_WAY,
    ),
    (
        About::Request,
        &["OperationAborted", "ConditionalRequestConflict"],
        "something else changes the same object: wait for it, and run it again",
    ),
    (
        About::Request,
        &["NoSuchUpload", "InvalidPart", "InvalidPartOrder"],
        BEGIN_AGAIN,
    ),
    (
        About::Request,
        &["EntityTooLarge"],
        "the store takes no object of that size: look for its limit",
    ),
    (
        About::Request,
        &["KeyTooLongError", "KeyTooLong"],
        "a key has at most 1,024 bytes: shorten the prefix, or the name",
    ),
    (
        About::Request,
        &["MethodNotAllowed", "NotImplemented"],
        "this store does not know such a request: check --endpoint-url, and whether its \
         documentation has it",
    ),
];

/// What the code is about, and what to do.
pub(super) fn of_code(code: &str) -> Option<(About, &'static str)> {
    let mut rows = TABLE.iter();
    let found = rows.find(|(_, codes, _)| codes.contains(&code));
    found.map(|(about, _, advice)| (*about, *advice))
}

/// What to do where the answer has no code that is known.
pub(super) fn of_status(status: u16) -> &'static str {
    match status {
        429 | 503 => FEWER_REQUESTS,
        507 => FULL,
        500.. => LATER,
        _ => "",
    }
}

/// Whether the key of KMS is what the message is about.
pub(super) fn is_of_kms(message: &str) -> bool {
    OF_KMS.iter().any(|word| message.contains(word))
}

/// Every code that there is a row for.
#[cfg(test)]
pub(super) fn codes() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|(_, codes, _)| codes.iter().copied())
}
