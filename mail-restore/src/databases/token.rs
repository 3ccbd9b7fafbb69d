//! The words of one statement, as far as they must be known to tell what it does.

use std::borrow::Cow;

use super::modes::Modes;

/// How executable comments are read: a server runs or skips them by its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As code; their ends are [`Token::Open`] and [`Token::Close`].
    Run,
    /// As comments.
    Skip,
}

/// A word, a name, a string or a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Letters, digits, `_`, `$`, and all that is not ASCII.
    Word(&'a [u8]),
    /// A name in quotes, without them.
    Name(Cow<'a, [u8]>),
    /// A string, as it stands between its quotes.
    Text(&'a [u8]),
    /// Any other byte.
    Symbol(u8),
    /// `/*!` with its version.
    Open,
    /// `*/`
    Close,
}

impl Token<'_> {
    /// Whether it is the keyword `word`.
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// What it names, if it can be a name.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Word(name) => Some(String::from_utf8_lossy(name).into_owned()),
            Self::Name(name) => Some(String::from_utf8_lossy(name).into_owned()),
            _ => None,
        }
    }
}

/// The tokens of a statement, one by one.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    rest: &'a [u8],
    reading: Reading,
    modes: Modes,
    /// Where the token begins that was given last.
    start: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8], reading: Reading, modes: Modes) -> Self {
        Self {
            text,
            rest: text,
            reading,
            modes,
            start: 0,
        }
    }

    /// Where the token that was given last stands in the text, with its quotes.
    pub(super) fn span(&self) -> std::ops::Range<usize> {
        self.start..self.text.len() - self.rest.len()
    }

    /// Without the ends of executable comments.
    pub(super) fn significant(self) -> impl Iterator<Item = Token<'a>> + Clone {
        self.filter(|token| !matches!(token, Token::Open | Token::Close))
    }

    /// How many bytes no token was taken of yet.
    pub(super) fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        self.take(
            self.rest
                .iter()
                .position(|&byte| !is_part(byte))
                .unwrap_or(self.rest.len()),
        )
    }

    fn skip_past(&mut self, end: &[u8]) {
        self.take(
            memchr::memmem::find(self.rest, end).map_or(self.rest.len(), |at| at + end.len()),
        );
    }

    /// A server that skips an executable comment looks for its end, and knows one level of comments
    /// inside.
    fn skip_executable(&mut self) {
        loop {
            let end = memchr::memmem::find(self.rest, b"*/").unwrap_or(self.rest.len());
            let Some(inner) = memchr::memmem::find(&self.rest[..end], b"/*") else {
                self.take(end + 2);
                return;
            };
            self.take(inner + 2);
            self.skip_past(b"*/");
        }
    }

    fn executable(&mut self, opening: &[u8]) -> Option<Token<'a>> {
        self.take(opening.len());
        if self.reading == Reading::Skip {
            self.skip_executable();
            return None;
        }
        // Fewer than five digits are no version.
        let digits = self
            .rest
            .iter()
            .take(6)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.take(if digits >= 5 { digits } else { 0 });
        Some(Token::Open)
    }

    fn quoted(&mut self, quote: u8) -> Token<'a> {
        self.take(1);
        let text = self.rest;
        let length = quoted_length(text, quote, self.modes);
        self.take(length + 1);
        match self.modes.is_name_quote(quote) {
            true => Token::Name(undoubled(&text[..length], quote)),
            false => Token::Text(&text[..length]),
        }
    }
}

/// Whether `text` is nothing but executable comments for MySQL 5.7 and later, which MariaDB never
/// runs (50700 to 99999), and other comments.
pub(super) fn is_skipped(text: &[u8]) -> bool {
    let mut rest = text.trim_ascii_start();
    let mut skipped = 0;
    while !rest.is_empty() {
        let is_of_mysql = rest.starts_with(b"/*!") && is_version_of_mysql(&rest[3..]);
        let is_plain =
            rest.starts_with(b"/*") && !rest.starts_with(b"/*!") && !rest.starts_with(b"/*M!");
        let Some(end) = memchr::memmem::find(rest, b"*/").filter(|_| is_of_mysql || is_plain)
        else {
            return false;
        };
        // A comment inside another ends in different places for different servers.
        if memchr::memmem::find(&rest[2..end], b"/*").is_some() {
            return false;
        }
        skipped += usize::from(is_of_mysql);
        rest = rest[end + 2..].trim_ascii_start();
    }
    skipped > 0
}

fn is_version_of_mysql(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits == 5 && (&b"50700"[..]..=&b"99999"[..]).contains(&&text[..5])
}

/// How many bytes stand before the quote that ends `text`.
pub(super) fn quoted_length(text: &[u8], quote: u8, modes: Modes) -> usize {
    let mut at = 0;
    loop {
        let found = match modes.backslash_escapes_in(quote) {
            true => memchr::memchr2(quote, b'\\', &text[at..]),
            false => memchr::memchr(quote, &text[at..]),
        };
        let Some(found) = found else {
            return text.len();
        };
        at += found;
        if text[at] == quote && text.get(at + 1) != Some(&quote) {
            return at;
        }
        at = (at + 2).min(text.len());
    }
}

fn undoubled(text: &[u8], quote: u8) -> Cow<'_, [u8]> {
    if !text.contains(&quote) {
        return Cow::Borrowed(text);
    }
    let mut name = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        name.push(byte);
        if byte == quote {
            bytes.next();
        }
    }
    Cow::Owned(name)
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.take_while(|byte| byte.is_ascii_whitespace());
            let rest = self.rest;
            self.start = self.text.len() - rest.len();
            let &first = rest.first()?;
            let opening = [&b"/*!"[..], b"/*M!"]
                .into_iter()
                .find(|opening| rest.starts_with(opening));
            match (first, opening) {
                (_, Some(opening)) => match self.executable(opening) {
                    Some(token) => return Some(token),
                    None => continue,
                },
                (b'/', _) if rest.starts_with(b"/*") => {
                    self.take(2);
                    self.skip_past(b"*/");
                }
                (b'#', _) => self.skip_past(b"\n"),
                (b'-', _)
                    if rest.starts_with(b"--") && rest.get(2).is_none_or(|&byte| byte <= b' ') =>
                {
                    self.skip_past(b"\n");
                }
                (b'*', _) if rest.starts_with(b"*/") => {
                    self.take(2);
                    return Some(Token::Close);
                }
                (b'\'' | b'"' | b'`', _) => return Some(self.quoted(first)),
                _ if is_word_byte(first) => {
                    return Some(Token::Word(self.take_while(is_word_byte)));
                }
                _ => {
                    self.take(1);
                    return Some(Token::Symbol(first));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, reading: Reading) -> Vec<String> {
        let show = |token| match token {
            Token::Word(word) => String::from_utf8_lossy(word).into_owned(),
            Token::Name(name) => format!("<{}>", String::from_utf8_lossy(&name)),
            Token::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
            Token::Symbol(byte) => char::from(byte).to_string(),
            Token::Open => "[".to_owned(),
            Token::Close => "]".to_owned(),
        };
        Tokens::new(text.as_bytes(), reading, Modes::default())
            .map(show)
            .collect()
    }

    #[test]
    fn words_names_strings_and_signs() {
        let text = "SET `a``b`.c='it''s \\\\ x', \"y\" -- z\n # q\n /* w */ ü_1";
        let expected = [
            "SET",
            "<a`b>",
            ".",
            "c",
            "=",
            "'it''s \\\\ x'",
            ",",
            "'y'",
            "ü_1",
        ];
        assert_eq!(texts(text, Reading::Run), expected);
    }

    #[test]
    fn executable_comments_are_run_or_skipped() {
        let text = "A /*!50003 B /* c */ D */ /*M!100100 E */ F /*! G */";
        assert_eq!(
            texts(text, Reading::Run).join(" "),
            "A [ B D ] [ E ] F [ G ]"
        );
        assert_eq!(texts(text, Reading::Skip).join(" "), "A F");
    }

    #[test]
    fn what_mariadb_never_runs_is_known() {
        let skipped = |text: &str| is_skipped(text.as_bytes());
        assert!(skipped("/*!50717 SELECT COUNT(*) INTO @rocks */"));
        assert!(skipped(" /*!80000 SET a=1 */ /* x */"));
        assert!(!skipped("/*!50700 SET a=1 */ DROP DATABASE x"));
        assert!(!skipped("/*!50699 SET a=1 */") && !skipped("/*!100100 SET a=1 */"));
        assert!(!skipped("/*M!50717 SET a=1 */") && !skipped("/* x */") && !skipped(""));
        assert!(!skipped("/*!50717 a /* b */ c */"));
    }

    proptest::proptest! {
        #[test]
        fn random_text_ends(text in "[A'`\"\\\\/*! \n#-]{0,40}") {
            let _ = texts(&text, Reading::Skip);
            let _ = texts(&text, Reading::Run);
        }
    }
}
