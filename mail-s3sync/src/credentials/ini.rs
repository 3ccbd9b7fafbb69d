//! `~/.aws/config` and `~/.aws/credentials`: sections of `name = value` lines.

use std::collections::BTreeMap;
use std::path::Path;

use mail_common::failure::Failed;

use super::error::Error;

/// Sections by name, settings by name. Its `Debug` is not derived: values are secrets.
#[derive(Default)]
pub(super) struct Ini(BTreeMap<String, BTreeMap<String, String>>);

impl Ini {
    /// Reads the file at `path`; one that is not there is empty.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        match std::fs::read(path) {
            Ok(text) => Self::parse(&String::from_utf8_lossy(&text), path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failed::at("read", path)(error).into()),
        }
    }

    /// Reads `text`. Indented lines belong to a nested setting (`s3 =`), which nothing here needs.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut section = None;
        for (number, line) in text.lines().enumerate() {
            let wrong = |reason| Error::Syntax {
                path: path.to_owned(),
                line: number + 1,
                reason,
            };
            let is_nested = line.starts_with([' ', '\t']);
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let (name, _) = rest
                    .split_once(']')
                    .ok_or_else(|| wrong("a section without its `]`"))?;
                let name = name.replace(['"', '\''], "").trim().to_owned();
                sections.entry(name.clone()).or_default();
                section = Some(name);
            } else if !is_nested {
                let (name, value) = line
                    .split_once('=')
                    .ok_or_else(|| wrong("neither `name = value` nor a section"))?;
                let section = section
                    .as_ref()
                    .ok_or_else(|| wrong("a setting before the first section"))?;
                let settings = sections.entry(section.clone()).or_default();
                settings.insert(
                    name.trim().to_ascii_lowercase(),
                    without_comment(value).to_owned(),
                );
            }
        }
        Ok(Self(sections))
    }

    /// The settings of a section.
    pub(super) fn section(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.0.get(name)
    }
}

/// A comment begins with a blank and `#` or `;`: a secret may hold either.
fn without_comment(value: &str) -> &str {
    let starts = [" #", " ;", "\t#", "\t;"]
        .iter()
        .filter_map(|start| value.find(start));
    value[..starts.min().unwrap_or(value.len())].trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn get<'a>(ini: &'a Ini, section: &str, name: &str) -> Option<&'a str> {
        ini.section(section)?.get(name).map(String::as_str)
    }

    #[test]
    fn settings_are_read_as_the_aws_command_line_reads_them() {
        let text = "# top\n[default]\naws_secret_access_key = a/b+c==  # mine\nREGION=x\n[profile \"two\"]\ns3 =\n  \
                    max_queue_size = 1\nrole_arn=arn:aws:iam::1:role/r#1\n";
        let ini = Ini::parse(text, Path::new("/c")).unwrap();
        assert_eq!(
            get(&ini, "default", "aws_secret_access_key"),
            Some("a/b+c==")
        );
        assert_eq!(get(&ini, "default", "region"), Some("x"));
        assert_eq!(
            get(&ini, "profile two", "role_arn"),
            Some("arn:aws:iam::1:role/r#1")
        );
        assert!(get(&ini, "default", "max_queue_size").is_none());
    }

    #[test]
    fn damage_is_named_with_its_line_and_shows_no_value() {
        let check = |text: &str, expected: &str| {
            let error = Ini::parse(text, Path::new("/c"))
                .map(drop)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(expected) && !error.contains("hunter2"),
                "{error}"
            );
        };
        check("[default]\nhunter2\n", "line 2");
        check("secret=hunter2\n", "line 1");
        check("[default\n", "line 1");
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in ".{0,200}") {
            let _ = Ini::parse(&text, Path::new("/c"));
        }
    }
}
