//! How the strings of a dump are to be read.

/// What SQL mode and character set say of quotes, backslashes and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Modes {
    pub(super) has_backslash_escapes: bool,
    pub(super) has_ansi_quotes: bool,
    pub(super) is_utf8: bool,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            has_backslash_escapes: true,
            has_ansi_quotes: false,
            is_utf8: true,
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

    /// Whether the server takes the dump's text as UTF-8, or as bytes.
    pub(super) fn is_read_as_utf8(self) -> bool {
        self.is_utf8
    }
}
