//! Names of messages in a Maildir, as Dovecot makes them:
//! `TIME.MmicrosPpidQn.host,S=size,W=wire:2,FLAGS`.
//!
//! <https://cr.yp.to/proto/maildir.html>; the fields after the comma are those of Dovecot's
//! `maildir-filename.c`: the size of the message, and its size with CRLF line ends.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use mail_common::maildir::unique_name;

/// Counts all names of this process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Makes names that nobody else makes: by time, process, a counter and the host.
#[derive(Debug)]
pub(super) struct Namer<'a> {
    prefix: String,
    host: String,
    counter: &'a AtomicU64,
}

/// The sizes in a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Bytes of the message, plain.
    pub(super) plain: Option<u64>,
    /// Bytes with CRLF line ends.
    pub(super) wire: Option<u64>,
}

impl<'a> Namer<'a> {
    /// A namer for this process on this host.
    pub(super) fn new(now: Timestamp) -> Self {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Self::with(now, std::process::id(), &host, &COUNTER)
    }

    fn with(now: Timestamp, pid: u32, host: &str, counter: &'a AtomicU64) -> Self {
        // Slash and colon have a meaning in a name, the comma has one to Dovecot.
        let host = host
            .replace('/', "\\057")
            .replace(':', "\\072")
            .replace(',', "\\054");
        let micros = now.subsec_microsecond();
        Self {
            prefix: format!("{}.M{micros}P{pid}", now.as_second()),
            host,
            counter,
        }
    }

    /// The next name, without sizes and flags.
    pub(super) fn next(&self) -> String {
        format!(
            "{}Q{}.{}",
            self.prefix,
            self.counter.fetch_add(1, Ordering::Relaxed),
            self.host
        )
    }
}

impl Sizes {
    /// Those in a file name; of a compressed message they cannot be had otherwise.
    pub(super) fn of_name(name: &[u8]) -> Self {
        let mut sizes = Self::default();
        for field in unique_name(name).split(|&byte| byte == b',').skip(1) {
            let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
            match field {
                [b'S', b'=', digits @ ..] => sizes.plain = number(digits),
                [b'W', b'=', digits @ ..] => sizes.wire = number(digits),
                _ => {}
            }
        }
        sizes
    }
}

/// The name of a message in `new/`.
pub(super) fn named(unique: &str, sizes: Sizes) -> String {
    let field = |key: &str, size: Option<u64>| {
        size.map(|size| format!(",{key}={size}"))
            .unwrap_or_default()
    };
    format!(
        "{unique}{}{}",
        field("S", sizes.plain),
        field("W", sizes.wire)
    )
}

/// The name of a message in `cur/`, whose flags are written sorted and once each.
pub(super) fn flagged(name: &str, flags: &[u8]) -> String {
    let mut flags: Vec<char> = flags.iter().copied().map(char::from).collect();
    flags.sort_unstable();
    flags.dedup();
    format!("{name}:2,{}", flags.into_iter().collect::<String>())
}

/// The letters after `:2,`; what is not a letter, and what follows a comma there, is not a flag.
pub(super) fn flags_of(name: &[u8]) -> Vec<u8> {
    let info = name[unique_name(name).len()..]
        .strip_prefix(b":2,")
        .unwrap_or_default();
    let flags = info.split(|&byte| byte == b',').next().unwrap_or_default();
    flags
        .iter()
        .copied()
        .filter(u8::is_ascii_alphabetic)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_dovecot_makes_them() {
        let counter = AtomicU64::new(0);
        let namer = Namer::with(
            "2026-11-23T03:00:00.123456Z".parse().unwrap(),
            77,
            "mx,1/a:b",
            &counter,
        );
        let (first, second) = (namer.next(), namer.next());
        assert_eq!(first, "1795402800.M123456P77Q0.mx\\0541\\057a\\072b");
        assert_eq!(second, "1795402800.M123456P77Q1.mx\\0541\\057a\\072b");
        assert_eq!(
            named(
                "1.M2P3Q0.mx",
                Sizes {
                    plain: Some(5),
                    wire: Some(6)
                }
            ),
            "1.M2P3Q0.mx,S=5,W=6"
        );
        assert_eq!(named("1.M2P3Q0.mx", Sizes::default()), "1.M2P3Q0.mx");
        assert_eq!(
            flagged("1.M2P3Q0.mx,S=5", b"bSaFS"),
            "1.M2P3Q0.mx,S=5:2,FSab"
        );
        assert_eq!(flagged("1.M2P3Q0.mx,S=5", b""), "1.M2P3Q0.mx,S=5:2,");
    }

    #[test]
    fn flags_are_the_letters_of_the_info_part() {
        let check = |name: &str, expected: &str| {
            assert_eq!(flags_of(name.as_bytes()), expected.as_bytes(), "{name}");
        };
        check("1.a,S=5:2,FSa", "FSa");
        check("1.a:2,", "");
        check("1.a", "");
        check("1.a:1,experimental", "");
        check("1.a:2,S,junk", "S");
        check("1.a:2,S/../x", "Sx");
    }

    #[test]
    fn sizes_are_read_from_a_name() {
        assert_eq!(
            Sizes::of_name(b"1.a,S=5,W=6:2,S"),
            Sizes {
                plain: Some(5),
                wire: Some(6)
            }
        );
        assert_eq!(
            Sizes::of_name(b"1.a,W=6"),
            Sizes {
                plain: None,
                wire: Some(6)
            }
        );
        assert_eq!(Sizes::of_name(b"1.S=5:2,S=7"), Sizes::default());
        assert_eq!(Sizes::of_name(b"1.a,S=x"), Sizes::default());
    }
}
