//! What ties a closed set to the very objects that were confirmed.
//!
//! A closed set is believed without reading it again: the next push keeps its objects, and copies
//! them into other sets. So it has to be seen when an object is no longer the one that the push
//! confirmed. The times in a listing do not show what another program wrote between the last look
//! at the objects and the closing, nor in the same second. Their ETags do. All of them together, in
//! the order of their paths, have one digest, which the push puts beside the checksums (`Marks`).
//! A set without that digest was closed by an older version, or in a store that has no ETags: then
//! times are all there is.

use std::collections::BTreeMap;

use mail_common::checksum::Sha256;

/// Whether the objects of a set are those that the push which closed it has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// It closed them without one: there are only their times to go by.
    Absent,
    /// They are.
    Whole,
    /// At least one is another by now, or gone.
    Broken,
}

impl Seal {
    /// Compares what was `recorded` with the objects that are there.
    pub(super) fn of<'a>(
        recorded: Option<Sha256>,
        etags: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Self {
        match recorded {
            None => Self::Absent,
            recorded if seal(etags) == recorded => Self::Whole,
            Some(_) => Self::Broken,
        }
    }
}

/// The digest of paths and ETags, whatever their order; `None` when one has no ETag.
pub(crate) fn seal<'a>(
    etags: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> Option<Sha256> {
    let etags: BTreeMap<&str, &str> = etags
        .into_iter()
        .map(|(path, etag)| Some((path, etag?)))
        .collect::<Option<_>>()?;
    let text: Vec<u8> = etags
        .iter()
        .flat_map(|(path, etag)| [path.as_bytes(), b"\0", etag.as_bytes(), b"\0"].concat())
        .collect();
    Some(Sha256::of(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_broken_by_any_other_object() {
        let closed = [("dkim/a", Some("1")), ("mysql/b", Some("2"))];
        let recorded = seal(closed);
        let check = |etags: &[(&'static str, Option<&'static str>)], expected| {
            assert_eq!(
                Seal::of(recorded, etags.iter().copied()),
                expected,
                "{etags:?}"
            );
        };
        check(&closed, Seal::Whole);
        check(&[closed[1], closed[0]], Seal::Whole);
        check(&[closed[0], ("mysql/b", Some("3"))], Seal::Broken);
        check(&[closed[0], ("mysql/b", None)], Seal::Broken);
        check(&closed[..1], Seal::Broken);
        assert_eq!(Seal::of(None, closed), Seal::Absent);
        // As `sha256sum` has it of `dkim/a`, `1`, `mysql/b` and `2`, each with a NUL after it.
        assert_eq!(
            recorded.unwrap().to_string(),
            "c1e41affc1e46f3d0b1c53dfc00a6e97b1b4fbf904226d850cf4b2bd10e9e437"
        );
    }
}
