//! The extended header records of pax: `LENGTH KEY=VALUE\n`, where LENGTH counts itself.
//!
//! They count their lengths, so that a value may hold newlines, where the tar crate's own reader
//! would cut it. Format: <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>,
//! "pax Extended Header".

/// The record of a directory entry that holds its dumpdir.
pub(super) const DUMPDIR: &str = "GNU.dumpdir";

/// The records are not a sequence of `LENGTH KEY=VALUE\n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged pax records")]
pub(super) struct Damaged;

/// The keys and values in `records`, in order; a damaged one is the last that is given.
pub(super) fn pairs(mut records: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), Damaged>> {
    std::iter::from_fn(move || {
        if records.is_empty() {
            return None;
        }
        let first = split_first(records);
        records = first.map_or(&[], |(_, rest)| rest);
        Some(first.map(|(pair, _)| pair).ok_or(Damaged))
    })
}

/// The value of `key`, the last one where it is given twice.
pub(super) fn value<'a>(records: &'a [u8], key: &[u8]) -> Result<Option<&'a [u8]>, Damaged> {
    let mut found = None;
    for pair in pairs(records) {
        let (name, value) = pair?;
        if name == key {
            found = Some(value);
        }
    }
    Ok(found)
}

type Pair<'a> = (&'a [u8], &'a [u8]);

fn split_first(records: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let space = records.iter().position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let pair = records.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    Some(((&pair[..equals], &pair[equals + 1..]), &records[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(records: &[u8], expected: &[Result<(&str, &str), Damaged>]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|pair| pair.map(|(k, v)| (k.as_bytes(), v.as_bytes())))
            .collect();
        assert_eq!(
            pairs(records).collect::<Vec<_>>(),
            expected,
            "{}",
            String::from_utf8_lossy(records)
        );
    }

    #[test]
    fn records_count_their_own_length() {
        check(b"", &[]);
        check(b"9 path=a\n", &[Ok(("path", "a"))]);
        check(
            b"9 path=a\n13 path=b\nc=\n",
            &[Ok(("path", "a")), Ok(("path", "b\nc="))],
        );
        check(b"9 path=a\nx", &[Ok(("path", "a")), Err(Damaged)]);
        for damaged in [
            "9 path=a",
            "8 path=a\n",
            "99 path=a\n",
            " path=a\n",
            "0 path=a\n",
            "6 path\n",
            "-9 path=a\n",
        ] {
            check(damaged.as_bytes(), &[Err(Damaged)]);
        }
    }

    #[test]
    fn the_last_value_counts() {
        assert_eq!(value(b"9 path=a\n9 path=b\n", b"path"), Ok(Some(&b"b"[..])));
        assert_eq!(value(b"9 path=a\n", b"mtime"), Ok(None));
        assert_eq!(value(b"9 path=a\n1", b"path"), Err(Damaged));
    }
}
