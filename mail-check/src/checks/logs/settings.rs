//! `[logs]`: which logs are read, what is counted in them, and the limits.

use std::path::PathBuf;

use regex::bytes::Regex;
use serde::Deserialize;

use crate::limits::Ceiling;
use crate::span::Span;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[logs]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(super) bounced: Rate,
    pub(super) deferred: Rate,
    pub(super) rejected: Rate,
    pub(super) auth_failures: Rate,
    pub(super) auth_errors: Rate,
    pub(super) lmtp_failures: Rate,
    pub(super) probes: Rate,
    pub(super) http_4xx: Rate,
    pub(super) http_5xx: Rate,
    pub(super) admin: Rate,
    pub(super) api_errors: Rate,
    pub(super) tools: Rate,
    pub(super) http_5xx_percent: Ceiling,
    pub(super) http_least_requests: u64,
    pub(super) admin_paths: Vec<String>,
    pub(super) admin_methods: Vec<String>,
    pub(super) max_bytes: u64,
    pub(super) first_look: u64,
    pub(super) source: Sources,
    pub(super) pattern: Vec<Pattern>,
}

/// How often something may happen; what is left out has no limit.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    /// In the busiest clock hour.
    pub(super) per_hour: Option<Ceiling>,
    /// Since the last run, however long ago that was.
    pub(super) per_run: Option<Ceiling>,
}

/// The logs; each name once, since each has its own file of state.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<Source>")]
pub(super) struct Sources(pub(super) Vec<Source>);

/// `[[logs.source]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "SourceTable")]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) place: Place,
    /// Longer than this nothing is written: a warning.
    pub(super) silent: Option<Span>,
    /// Larger than this it was not rotated: a warning.
    pub(super) max_size: u64,
}

/// Where a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File(PathBuf),
    /// What the containers of this service of the compose project write.
    Container(String),
}

/// What writes a log, and so what is looked for in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Postfix,
    Dovecot,
    Nginx,
    Roundcube,
    InboundApi,
    Tools,
}

impl Kind {
    /// As the settings have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postfix => "postfix",
            Self::Dovecot => "dovecot",
            Self::Nginx => "nginx",
            Self::Roundcube => "roundcube",
            Self::InboundApi => "inbound-api",
            Self::Tools => "tools",
        }
    }
}

/// `[[logs.pattern]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pattern {
    pub(super) name: String,
    /// The name of a `[[logs.source]]`.
    pub(super) source: String,
    regex: Expression,
    /// Matching lines in the busiest clock hour.
    #[serde(default)]
    warning: Option<u64>,
    #[serde(default)]
    critical: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Expression(Regex);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceTable {
    name: String,
    kind: Kind,
    file: Option<PathBuf>,
    container: Option<String>,
    silent: Option<Span>,
    max_size: Option<u64>,
}

/// Why a source, or the list of them, cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotASource(String);

const GIB: u64 = 1 << 30;

impl Default for Settings {
    fn default() -> Self {
        Self {
            bounced: Rate::per_hour(Ceiling::new(10.0, 100.0)),
            deferred: Rate::per_hour(Ceiling::new(20.0, 200.0)),
            rejected: Rate::per_hour(Ceiling::new(1000.0, 10_000.0)),
            auth_failures: Rate::per_hour(Ceiling::new(100.0, 1000.0)),
            auth_errors: Rate::per_hour(Ceiling::new(1.0, 10.0)),
            lmtp_failures: Rate::per_hour(Ceiling::new(1.0, 10.0)),
            probes: Rate::per_hour(Ceiling::new(1000.0, 10_000.0)),
            http_4xx: Rate::per_hour(Ceiling::new(1000.0, 10_000.0)),
            http_5xx: Rate::per_hour(Ceiling::new(10.0, 100.0)),
            admin: Rate::per_hour(Ceiling::warning(1.0)),
            api_errors: Rate::per_hour(Ceiling::warning(1.0)),
            tools: Rate::per_hour(Ceiling::warning(1.0)),
            http_5xx_percent: Ceiling::new(5.0, 50.0),
            http_least_requests: 100,
            admin_paths: ["/admin", "/api/admin", "/user-management"]
                .map(str::to_owned)
                .into(),
            admin_methods: ["POST", "PUT", "PATCH", "DELETE"].map(str::to_owned).into(),
            max_bytes: 256 << 20,
            first_look: 1 << 20,
            source: Sources::default(),
            pattern: Vec::new(),
        }
    }
}

impl Settings {
    /// The patterns of a source, in the order of their numbers.
    pub(super) fn patterns_of(&self, source: &Source) -> impl Iterator<Item = &Pattern> {
        let patterns = self.pattern.iter();
        patterns.filter(move |pattern| pattern.source == source.name)
    }
}

impl Rate {
    const fn per_hour(limits: Ceiling) -> Self {
        Self {
            per_hour: Some(limits),
            per_run: None,
        }
    }
}

impl Pattern {
    pub(super) fn regex(&self) -> &str {
        self.regex.0.as_str()
    }

    /// A pattern without limits warns of each line.
    pub(super) fn rate(&self) -> Rate {
        let limit = |count: u64| count as f64;
        let warning = self.warning.or(if self.critical.is_none() {
            Some(1)
        } else {
            None
        });
        Rate {
            per_hour: Some(Ceiling {
                warning: warning.map(limit),
                critical: self.critical.map(limit),
            }),
            per_run: None,
        }
    }
}

impl TryFrom<SourceTable> for Source {
    type Error = NotASource;

    fn try_from(table: SourceTable) -> Result<Self, NotASource> {
        let SourceTable {
            name,
            kind,
            file,
            container,
            silent,
            max_size,
        } = table;
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(valid) {
            return Err(NotASource(format!(
                "the name of a source is made of letters, digits, - and _, not {name:?}"
            )));
        }
        let place = match (file, container) {
            (Some(file), None) => Place::File(file),
            (None, Some(container)) => Place::Container(container),
            _ => {
                let why = format!("source {name:?} needs either `file` or `container`");
                return Err(NotASource(why));
            }
        };
        Ok(Self {
            name,
            kind,
            place,
            silent,
            max_size: max_size.unwrap_or(GIB),
        })
    }
}

impl TryFrom<Vec<Source>> for Sources {
    type Error = NotASource;

    fn try_from(sources: Vec<Source>) -> Result<Self, NotASource> {
        for (number, source) in sources.iter().enumerate() {
            if sources[..number]
                .iter()
                .any(|other| other.name == source.name)
            {
                let name = &source.name;
                return Err(NotASource(format!("two sources are called {name:?}")));
            }
        }
        Ok(Self(sources))
    }
}

impl TryFrom<String> for Expression {
    type Error = regex::Error;

    fn try_from(text: String) -> Result<Self, regex::Error> {
        Regex::new(&text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_sources_and_patterns_are_named() {
        let check = |text: &str, expected: &str| {
            let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        let source = |rest: &str| format!("[[source]]\nkind = \"nginx\"\n{rest}\n");
        check(&source("name = \"../x\"\nfile = \"/l\""), "letters, digits");
        check(&source("name = \"a\""), "either `file` or `container`");
        check(
            &source("name = \"a\"\nfile = \"/l\"\ncontainer = \"b\""),
            "either `file` or `container`",
        );
        check(
            &source("name = \"a\"\nfile = \"/l\"\nsilnt = \"1h\""),
            "silnt",
        );
        check(
            &source("name = \"a\"\nfile = \"/l\"").repeat(2),
            "two sources are called \"a\"",
        );
        check(
            "[[pattern]]\nname = \"p\"\nsource = \"a\"\nregex = \"(\"",
            "unclosed group",
        );
    }

    #[test]
    fn a_pattern_without_limits_warns_of_each_line() {
        let settings: Settings =
            toml::from_str("[[pattern]]\nname = \"p\"\nsource = \"a\"\nregex = \"x\"").unwrap();
        assert_eq!(
            settings.pattern[0].rate().per_hour,
            Some(Ceiling::warning(1.0)).map(|c| Ceiling {
                critical: None,
                ..c
            })
        );
    }
}
