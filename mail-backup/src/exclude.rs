//! What is left out of the small trees because EXCLUDE names it. Mail is never left out: whoever
//! restores all mail puts what was saved in the place of what is there.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};

/// Patterns as a shell has them: `*` does not cross a slash, `**` does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exclude {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    subject: Subject,
    kinds: Kinds,
}

/// What a pattern is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// No slash in it: the name of a file or directory, wherever it is.
    Name,
    /// The path below the directory that is saved.
    Below,
    /// It begins with a slash: the path on the server.
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinds {
    All,
    /// It ends with a slash.
    Directories,
}

/// An entry of a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    /// Its path on the server.
    pub(crate) path: &'a Path,
    /// Its path below the directory that is saved.
    pub(crate) below: &'a Path,
    pub(crate) is_directory: bool,
}

/// What was left out of a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftOut {
    /// How many files and directories the patterns named. What is in such a directory is not
    /// counted: it may be all mail, and nobody reads that for a number.
    pub(crate) entries: u64,
    /// The first of them.
    named: Vec<PathBuf>,
}

/// How many names stand in the log.
const NAMED: usize = 10;

impl Exclude {
    /// Reads patterns.
    ///
    /// # Errors
    /// The first that is not one.
    pub(crate) fn parse(patterns: &[String]) -> Result<Self, (String, PatternError)> {
        let rule = |text: &String| Rule::parse(text).map_err(|error| (text.clone(), error));
        let rules = patterns.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Whether an entry is left out. The directory that is saved itself never is.
    pub(crate) fn names(&self, entry: Named<'_>) -> bool {
        let is_root = entry.below.as_os_str().is_empty();
        !is_root && self.rules.iter().any(|rule| rule.names(entry))
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, PatternError> {
        let path = text.trim_end_matches('/');
        let subject = match path {
            _ if path.starts_with('/') => Subject::Whole,
            _ if path.contains('/') => Subject::Below,
            _ => Subject::Name,
        };
        Ok(Self {
            pattern: Pattern::new(path)?,
            subject,
            kinds: if path == text {
                Kinds::All
            } else {
                Kinds::Directories
            },
        })
    }

    fn names(&self, entry: Named<'_>) -> bool {
        const OPTIONS: MatchOptions = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        let subject = match self.subject {
            Subject::Whole => entry.path,
            Subject::Below => entry.below,
            Subject::Name => Path::new(entry.path.file_name().unwrap_or_default()),
        };
        let is_kind = self.kinds == Kinds::All || entry.is_directory;
        is_kind && self.pattern.matches_path_with(subject, OPTIONS)
    }
}

impl LeftOut {
    /// Adds what a pattern has named.
    pub(crate) fn add(&mut self, path: &Path) {
        self.entries += 1;
        if self.named.len() <= NAMED {
            self.named.push(path.to_owned());
        }
    }

    /// A sentence; `None` where nothing was left out.
    pub(crate) fn sentence(&self, source: &Path) -> Option<String> {
        let first: Vec<String> = self
            .named
            .iter()
            .take(NAMED)
            .map(|path| {
                path.strip_prefix(source)
                    .unwrap_or(path)
                    .display()
                    .to_string()
            })
            .collect();
        let more = if self.named.len() > NAMED {
            ", …"
        } else {
            ""
        };
        (self.entries > 0).then(|| {
            format!(
                "EXCLUDE leaves {} of {} out: {}{more}",
                match self.entries {
                    1 => "1 entry".to_owned(),
                    entries => format!("{entries} entries"),
                },
                source.display(),
                first.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_names_paths_below_and_whole_paths() {
        let check = |pattern: &str, below: &str, expected: bool| {
            let exclude = Exclude::parse(&[pattern.to_owned()]).unwrap();
            let path = Path::new("/etc/mail").join(below.trim_end_matches('/'));
            let entry = Named {
                path: &path,
                below: Path::new(below.trim_end_matches('/')),
                is_directory: below.ends_with('/'),
            };
            assert_eq!(exclude.names(entry), expected, "{pattern} {below}");
        };
        check("*.log", "rspamd/a.log", true);
        check("*.log", "a.log", true);
        check("*.log", "a.log.1", false);
        check(".git", "x/.git/", true);
        check("mail", "", false);
        check("/etc/mail", "", false);
        check("cache/", "x/cache/", true);
        check("cache/", "x/cache", false);
        check("cache", "x/cache", true);
        check("rspamd/*.map", "rspamd/a.map", true);
        check("rspamd/*.map", "rspamd/x/a.map", false);
        check("rspamd/**/*.map", "rspamd/x/a.map", true);
        check("rspamd/*.map", "x/rspamd/a.map", false);
        check("/etc/mail/rspamd", "rspamd/", true);
        check("/etc/rspamd", "rspamd/", false);
        check("[ab].cf", "b.cf", true);
        check("A.cf", "a.cf", false);
    }

    #[test]
    fn what_is_not_a_pattern_is_refused() {
        let refused = Exclude::parse(&["*.log".to_owned(), "[ab".to_owned()]);
        assert_eq!(refused.unwrap_err().0, "[ab");
    }

    #[test]
    fn what_was_left_out_is_counted_and_the_first_are_named() {
        let source = Path::new("/etc/x");
        let mut left_out = LeftOut::default();
        assert_eq!(left_out.sentence(source), None);
        left_out.add(Path::new("/etc/x/cache"));
        left_out.add(Path::new("/etc/x/a.log"));
        let expected = "EXCLUDE leaves 2 entries of /etc/x out: cache, a.log";
        assert_eq!(left_out.sentence(source).as_deref(), Some(expected));
        for number in 0..20 {
            left_out.add(&source.join(number.to_string()));
        }
        let sentence = left_out.sentence(source).unwrap();
        assert!(
            sentence.contains("22 entries") && sentence.ends_with("6, 7, …"),
            "{sentence}"
        );
    }
}
