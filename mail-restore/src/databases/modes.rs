//! How the strings of a dump are to be read.

/// In which character set the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// UTF-8, or bytes.
    Utf8,
    /// Another one, by its name.
    Named(&'static str),
    /// One in which a backslash may be half of a character (big5, cp932, gbk, sjis), or that is not
    /// known.
    Other,
}

/// Character sets in which a byte of ASCII is never a part of another character.
const NAMED: [&str; 28] = [
    "armscii8", "ascii", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "dec8",
    "eucjpms", "euckr", "gb2312", "geostd8", "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u",
    "latin1", "latin2", "latin5", "latin7", "macce", "macroman", "tis620", "ujis",
];

impl Charset {
    /// That of a value of `character_set_client`, in any case.
    pub(super) fn of(value: &[u8]) -> Self {
        let value = value.to_ascii_lowercase();
        if value.starts_with(b"utf8") || value == b"binary" || value == b"default" {
            return Self::Utf8;
        }
        let named = NAMED.into_iter().find(|name| name.as_bytes() == value);
        named.map_or(Self::Other, Self::Named)
    }
}

/// What SQL mode and character set say of quotes, backslashes and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Modes {
    pub(super) has_backslash_escapes: bool,
    pub(super) has_ansi_quotes: bool,
    pub(super) charset: Charset,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            has_backslash_escapes: true,
            has_ansi_quotes: false,
            charset: Charset::Utf8,
        }
    }
}

impl Modes {
    /// In which `"` quotes names.
    pub(super) fn ansi_quotes() -> Self {
        Self {
            has_ansi_quotes: true,
            ..Self::default()
        }
    }

    /// Whether a backslash makes the next byte text, between two of `quote`.
    pub(super) fn backslash_escapes_in(self, quote: u8) -> bool {
        match quote {
            b'`' => false,
            b'"' if self.has_ansi_quotes => false,
            _ => self.has_backslash_escapes,
        }
    }

    /// Whether what stands between two of `quote` is a name.
    pub(super) fn is_name_quote(self, quote: u8) -> bool {
        quote == b'`' || quote == b'"' && self.has_ansi_quotes
    }
}
