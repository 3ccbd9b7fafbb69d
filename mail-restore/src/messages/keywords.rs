//! The flags a to z of a folder stand for keywords, by the folder's `dovecot-keywords`: what `b` is
//! in one folder may be `d` in another, or the same folder later.
//!
//! <https://doc.dovecot.org/2.3/admin_manual/mailbox_formats/maildir/>: a line `NUMBER NAME` for
//! each, 0 for `a`.

use std::collections::BTreeMap;

/// The control file of Dovecot that says what the flags a to z of a folder mean.
pub(super) const FILE_NAME: &[u8] = b"dovecot-keywords";

/// Dovecot writes at most 26 short lines.
pub(super) const FILE_MAX_BYTES: u64 = 64 * 1024;

/// The keywords of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keywords(BTreeMap<u8, String>);

/// Flags that mean in one folder what they meant in another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) flags: Vec<u8>,
    /// Keywords that the other folder has not, by name; by letter where the name is not known.
    pub(super) dropped: Vec<String>,
}

impl Keywords {
    /// Reads a `dovecot-keywords`; lines that are none are passed over.
    pub(super) fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        Self(text.lines().filter_map(parse_line).collect())
    }

    /// What `flags` of this folder are in the folder of `other`.
    pub(super) fn translate(&self, flags: &[u8], other: &Self) -> Translated {
        let mut translated = Translated {
            flags: Vec::new(),
            dropped: Vec::new(),
        };
        for &flag in flags {
            if !flag.is_ascii_lowercase() {
                translated.flags.push(flag);
                continue;
            }
            let name = self.0.get(&flag);
            match name.and_then(|name| other.letter(name)) {
                Some(letter) => translated.flags.push(letter),
                None => translated.dropped.push(
                    name.cloned()
                        .unwrap_or_else(|| char::from(flag).to_string()),
                ),
            }
        }
        translated
    }

    /// Keywords are compared without regard to case (RFC 3501, 9).
    fn letter(&self, name: &str) -> Option<u8> {
        self.0
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(letter, _)| *letter)
    }
}

fn parse_line(line: &str) -> Option<(u8, String)> {
    let (number, name) = line.split_once(' ')?;
    let number = number.parse::<u8>().ok().filter(|number| *number < 26)?;
    Some((b'a' + number, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(saved: &str, live: &str, flags: &str, expected: &str, dropped: &[&str]) {
        let translated = Keywords::parse(saved.as_bytes())
            .translate(flags.as_bytes(), &Keywords::parse(live.as_bytes()));
        assert_eq!(String::from_utf8(translated.flags).unwrap(), expected);
        assert_eq!(translated.dropped, dropped);
    }

    #[test]
    fn a_keyword_keeps_its_name_and_changes_its_letter() {
        let saved = "0 $Forwarded\n1 $Junk\n25 last one\n";
        check(saved, saved, "FSabz", "FSabz", &[]);
        check(
            saved,
            "0 $Junk\n1 NonJunk\n2 $forwarded\n",
            "FSab",
            "FSca",
            &[],
        );
    }

    #[test]
    fn what_the_other_folder_has_not_is_named() {
        check(
            "0 $Forwarded\n1 $Junk\n",
            "0 $Junk\n",
            "Sab",
            "Sa",
            &["$Forwarded"],
        );
        check("0 $Forwarded\n", "", "Sa", "S", &["$Forwarded"]);
        check("", "0 $Junk\n", "Sa", "S", &["a"]);
    }

    #[test]
    fn odd_lines_are_passed_over() {
        let keywords = Keywords::parse(b"0 a\n\n26 far\n-1 x\nx y\n3\n\xff\xff b\n4 \xff\n");
        assert_eq!(keywords, Keywords::parse("0 a\n4 \u{fffd}\n".as_bytes()));
    }
}
