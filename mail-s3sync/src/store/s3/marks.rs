//! What we write beside the content of an object: metadata that `aws s3api head-object` shows.

use std::collections::HashMap;

use crate::store::object::Marks;

const SHA256: &str = "sha256";
const PLAIN_SHA256: &str = "plain-sha256";
const RECIPIENTS: &str = "age-recipients";
const LOCKED_UNTIL: &str = "set-locked-until";
const LAYOUT: &str = "set-layout";
const SEAL: &str = "set-etags-sha256";

/// As metadata.
pub(super) fn write(marks: &Marks) -> HashMap<String, String> {
    let texts = [
        (SHA256, marks.sha256.map(|sha256| sha256.to_string())),
        (
            PLAIN_SHA256,
            marks.plain_sha256.map(|sha256| sha256.to_string()),
        ),
        (RECIPIENTS, marks.recipients.clone()),
        (
            LOCKED_UNTIL,
            marks.locked_until.map(|until| until.to_string()),
        ),
        (LAYOUT, marks.layout.map(|layout| layout.name().to_owned())),
        (SEAL, marks.seal.map(|seal| seal.to_string())),
    ];
    texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?)))
        .collect()
}

/// From metadata; what is not as we write it is not ours.
pub(super) fn read(metadata: Option<&HashMap<String, String>>) -> Marks {
    let text = |name: &str| {
        let mut pairs = metadata?.iter();
        pairs
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    Marks {
        sha256: text(SHA256).and_then(|text| text.parse().ok()),
        plain_sha256: text(PLAIN_SHA256).and_then(|text| text.parse().ok()),
        recipients: text(RECIPIENTS).map(str::to_owned),
        locked_until: text(LOCKED_UNTIL).and_then(|text| text.parse().ok()),
        layout: text(LAYOUT).and_then(|text| text.parse().ok()),
        seal: text(SEAL).and_then(|text| text.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use mail_common::checksum::Sha256;

    #[test]
    fn marks_come_back_whatever_case_the_store_gives_them() {
        let marks = Marks {
            sha256: Some(Sha256::of(b"a")),
            plain_sha256: Some(Sha256::of(b"b")),
            recipients: Some("age1x age1y".into()),
            locked_until: Some("2026-12-24T00:00:00Z".parse().unwrap()),
            layout: Some(Layout::Pool),
            seal: Some(Sha256::of(b"c")),
        };
        let upper = write(&marks)
            .into_iter()
            .map(|(name, value)| (name.to_uppercase(), value))
            .collect();
        assert_eq!(read(Some(&upper)), marks);
        assert_eq!(read(None), Marks::default());
    }
}
