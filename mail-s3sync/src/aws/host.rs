//! How a bucket is named in a request: in the path, or in the name of the host.

use rusoto_core::signature::SignedRequest;

/// Where the name of the bucket goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AddressingStyle {
    /// In the host with AWS, in the path with --endpoint-url
    #[default]
    Auto,
    /// host/bucket/key
    Path,
    /// bucket.host/key
    Virtual,
}

/// Rewrites requests, which come with the bucket in the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addressing {
    bucket: String,
}

impl Addressing {
    /// `None` when requests stay as they are. TLS certificates do not cover a bucket with dots.
    pub(crate) fn new(
        style: AddressingStyle,
        bucket: &str,
        endpoint_is_given: bool,
    ) -> Option<Self> {
        let in_host = match style {
            AddressingStyle::Path => false,
            AddressingStyle::Virtual => true,
            AddressingStyle::Auto => !endpoint_is_given && !bucket.contains('.'),
        };
        in_host.then(|| Self {
            bucket: bucket.to_owned(),
        })
    }

    pub(super) fn rewrite(&self, request: &mut SignedRequest) {
        let in_path = format!("/{}", self.bucket);
        let rest = request
            .path
            .strip_prefix(&in_path)
            .filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let Some(rest) = rest.map(str::to_owned) else {
            return;
        };
        let host = format!("{}.{}", self.bucket, request.hostname());
        request.path = if rest.is_empty() {
            "/".to_owned()
        } else {
            rest
        };
        request.set_hostname(Some(host));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusoto_core::Region;

    #[test]
    fn the_bucket_moves_into_the_host() {
        let addressing = Addressing::new(AddressingStyle::Auto, "mail", false).unwrap();
        let check = |path: &str, host: &str, rest: &str| {
            let region = Region::Custom {
                name: "x".into(),
                endpoint: "https://s3.x.amazonaws.com".into(),
            };
            let mut request = SignedRequest::new("GET", "s3", &region, path);
            addressing.rewrite(&mut request);
            assert_eq!(
                (request.hostname().as_str(), request.path.as_str()),
                (host, rest)
            );
        };
        check("/mail/a/b", "mail.s3.x.amazonaws.com", "/a/b");
        check("/mail", "mail.s3.x.amazonaws.com", "/");
        check("/mailbox/a", "s3.x.amazonaws.com", "/mailbox/a");
    }

    #[test]
    fn other_stores_and_dotted_buckets_keep_it_in_the_path() {
        assert_eq!(Addressing::new(AddressingStyle::Auto, "mail", true), None);
        assert_eq!(
            Addressing::new(AddressingStyle::Auto, "mail.example", false),
            None
        );
        assert!(Addressing::new(AddressingStyle::Virtual, "mail", true).is_some());
    }
}
