//! MariaDB option files (`~/.my.cnf`), as far as a client that dumps needs them.
//!
//! The rules are those of the server's documentation, "Configuring MariaDB with Option Files":
//! groups, `key=value` or a bare `key`, `-` and `_` alike, values in quotes, escapes, `#` and `;`
//! comments. `!include` and `!includedir` are refused, since a credential file that silently lacks
//! half of itself would mislead.

/// The groups that count, in no order: within a file the later line wins.
const GROUPS: [&str; 5] = [
    "client",
    "client-mariadb",
    "mariadb-client",
    "mysqldump",
    "mariadb-dump",
];

/// One setting of a group that counts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// In lower case, with `-` for `_`.
    pub(crate) key: String,
    /// `None` for a bare `key`.
    pub(crate) value: Option<String>,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// Why a line cannot be read. It never quotes the line, which may hold a password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: usize,
    pub(crate) reason: &'static str,
}

/// The settings of the client's groups in `bytes`, in file order.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Setting>, BadLine> {
    let mut settings = Vec::new();
    let mut group_counts = false;
    for (index, raw) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = index + 1;
        let text = std::str::from_utf8(raw)
            .map_err(|_| BadLine {
                line,
                reason: "not UTF-8",
            })?
            .trim();
        match text.as_bytes().first() {
            None | Some(b'#' | b';') => {}
            Some(b'[') => group_counts = GROUPS.contains(&group_name(text, line)?),
            Some(b'!') => {
                return Err(BadLine {
                    line,
                    reason: "!include and !includedir are not supported",
                });
            }
            Some(_) if group_counts => settings.push(parse_setting(text, line)?),
            Some(_) => {}
        }
    }
    Ok(settings)
}

fn group_name(text: &str, line: usize) -> Result<&str, BadLine> {
    let end = text.find(']').ok_or(BadLine {
        line,
        reason: "a group without its closing bracket",
    })?;
    Ok(text[1..end].trim())
}

fn parse_setting(text: &str, line: usize) -> Result<Setting, BadLine> {
    let text = without_end_comment(text);
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(unescape(unquote(value.trim())))),
        None => (text, None),
    };
    let key = key.trim().to_ascii_lowercase().replace('_', "-");
    let key = key.strip_prefix("loose-").unwrap_or(&key).to_owned();
    if key.is_empty() {
        return Err(BadLine {
            line,
            reason: "a value without a name",
        });
    }
    Ok(Setting { key, value, line })
}

/// The line up to the first `#` outside quotes: an unquoted value cannot hold one.
fn without_end_comment(text: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match quote {
            None if byte == b'#' => return &text[..at],
            None if byte == b'\'' || byte == b'"' => quote = Some(byte),
            Some(open) if byte == open && !escaped => quote = None,
            _ => {}
        }
        escaped = quote.is_some() && byte == b'\\' && !escaped;
    }
    text
}

fn unquote(value: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

/// Replaces `\b \t \n \r \s \\ \" \'`; any other backslash stands for itself.
fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('s') => out.push(' '),
            Some(plain @ ('\\' | '"' | '\'')) => out.push(plain),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: (&str, Option<&str>)) {
        let settings = parse(format!("[client]\n{line}\n").as_bytes()).unwrap();
        let [setting] = &settings[..] else {
            panic!("{line:?} gave {settings:?}")
        };
        assert_eq!(
            (setting.key.as_str(), setting.value.as_deref()),
            expected,
            "{line:?}"
        );
    }

    /// The values are what `my_print_defaults --defaults-file=F client` prints for these lines.
    #[test]
    fn values_as_my_print_defaults_reads_them() {
        check("user=backup", ("user", Some("backup")));
        check("  user = backup  ", ("user", Some("backup")));
        check("password=", ("password", Some("")));
        check("ssl", ("ssl", None));
        check("SSL_CA=/x", ("ssl-ca", Some("/x")));
        check("loose-ssl-ca=/x", ("ssl-ca", Some("/x")));
        check("password=\"a b\"", ("password", Some("a b")));
        check("password='a b'", ("password", Some("a b")));
        check("password=\"a'b\"", ("password", Some("a'b")));
        check("password='a\"", ("password", Some("'a\"")));
        check("password=\"a#b\"", ("password", Some("a#b")));
        check("password=a#b", ("password", Some("a")));
        check("password=a;b", ("password", Some("a;b")));
        check("password=a=b", ("password", Some("a=b")));
        check(r"password=a\sb\\c\td", ("password", Some("a b\\c\td")));
        check(r"password=a\qb", ("password", Some(r"a\qb")));
        check(r#"password="a\"b # c""#, ("password", Some("a\"b # c")));
        check("password=pässwörd", ("password", Some("pässwörd")));
    }

    #[test]
    fn only_the_clients_groups_count() {
        let text = "user=lost\n[mysqld]\nuser=mysql\n[client]\nuser=a\n# c\n; c\n[mysql]\nuser=no\n[mariadb-dump]\r\nuser=b\r\n";
        let users: Vec<_> = parse(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|s| (s.value, s.line))
            .collect();
        assert_eq!(users, [(Some("a".into()), 5), (Some("b".into()), 11)]);
    }

    #[test]
    fn what_cannot_be_read_is_named_by_line() {
        assert_eq!(parse(b"[client]\n!include /etc/x").unwrap_err().line, 2);
        assert_eq!(parse(b"\n[client").unwrap_err().line, 2);
        assert_eq!(parse(b"[client]\n=x").unwrap_err().line, 2);
        assert_eq!(parse(b"[client]\n\n\xff").unwrap_err().line, 3);
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = parse(&tail);
            let _ = parse(&[b"[client]\n", &tail[..]].concat());
        }

        #[test]
        fn random_lines_never_panic(line in r#"[a-z=#;'"\\\[\]! ]{0,40}"#) {
            let _ = parse(format!("[client]\n{line}").as_bytes());
        }
    }
}
