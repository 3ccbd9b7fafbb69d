//! `~/.aws/config` and `~/.aws/credentials`: sections of `name = value` lines.

use std::collections::BTreeMap;
use std::path::Path;

use mail_common::failure::Failed;
use mail_common::trusted;

use super::error::Error;

/// Sections by name, settings by name. Its `Debug` is not derived: values are secrets.
#[derive(Default)]
pub(super) struct Ini(BTreeMap<String, BTreeMap<String, String>>);

impl Ini {
    /// Reads the file at `path`; one that is not there is empty.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        match trusted::read(path) {
            Ok(text) => Self::parse(&String::from_utf8_lossy(&text), path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failed::at("read", path)(error).into()),
        }
    }

    /// Reads `text` by the rules of Python's RawConfigParser, which the AWS command line uses: a
    /// line that is indented deeper than the setting before it continues its value. So a section
    /// may be indented as a whole. A setting of its own value and nothing else (`s3 =`) has nested
    /// ones below it; they are kept as `s3.name`.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::default();
        for (number, line) in text.lines().enumerate() {
            reader.line(line).map_err(|reason| Error::Syntax {
                path: path.to_owned(),
                line: number + 1,
                reason,
            })?;
        }
        Ok(Self(reader.sections))
    }

    /// The settings of a section.
    pub(super) fn section(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.0.get(name)
    }
}

/// What was read up to a line.
#[derive(Default)]
struct Reader {
    sections: BTreeMap<String, BTreeMap<String, String>>,
    section: Option<String>,
    /// The setting that deeper lines continue.
    setting: Option<String>,
    indent: usize,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        let text = line.trim();
        if text.is_empty() || text.starts_with(['#', ';']) {
            return Ok(());
        }
        let indent = line.len() - line.trim_start().len();
        if indent > self.indent
            && let (Some(section), Some(setting)) = (self.section.clone(), self.setting.clone())
        {
            return self.continuation(&section, &setting, text);
        }
        self.indent = indent;
        match text.strip_prefix('[') {
            Some(rest) => self.header(rest),
            None => self.setting(text),
        }
    }

    fn header(&mut self, rest: &str) -> Result<(), &'static str> {
        let (name, _) = rest.rsplit_once(']').ok_or("a section without its `]`")?;
        let name = name.replace(['"', '\''], "");
        // `[profile   name]`: blanks separate, however many.
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        self.sections.entry(name.clone()).or_default();
        self.section = Some(name);
        self.setting = None;
        Ok(())
    }

    fn setting(&mut self, text: &str) -> Result<(), &'static str> {
        let section = self
            .section
            .clone()
            .ok_or("a setting before the first section")?;
        let (name, value) = text
            .split_once(['=', ':'])
            .ok_or("neither `name = value` nor a section")?;
        let name = name.trim().to_ascii_lowercase();
        self.insert(section, name.clone(), without_comment(value));
        self.setting = Some(name);
        Ok(())
    }

    fn continuation(
        &mut self,
        section: &str,
        setting: &str,
        text: &str,
    ) -> Result<(), &'static str> {
        let values = self.sections.entry(section.to_owned()).or_default();
        let value = values.entry(setting.to_owned()).or_default();
        if !value.is_empty() {
            value.push('\n');
            value.push_str(text);
            return Ok(());
        }
        let (name, value) = text
            .split_once('=')
            .ok_or("not `name = value` below a setting")?;
        let name = format!("{setting}.{}", name.trim().to_ascii_lowercase());
        self.insert(section.to_owned(), name, without_comment(value));
        Ok(())
    }

    fn insert(&mut self, section: String, name: String, value: &str) {
        let settings = self.sections.entry(section).or_default();
        settings.insert(name, value.to_owned());
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
        assert_eq!(get(&ini, "profile two", "s3.max_queue_size"), Some("1"));
    }

    #[test]
    fn a_section_may_be_indented_as_a_whole() {
        let text = "\u{feff}[profile  'my host']\r\n\tAWS_Access_Key_Id : A\r\n\r\n\t# c\r\n\ts3 =\r\n\t\t\
                    addressing_style = path\r\n\tregion = eu-west-3\r\n[services local]\r\n  s3=\r\n    \
                    endpoint_url = http://h:1\r\n  sts =\r\n    endpoint_url=http://t\r\n";
        let ini = Ini::parse(text, Path::new("/c")).unwrap();
        let profile = |name| get(&ini, "profile my host", name);
        assert_eq!(profile("aws_access_key_id"), Some("A"));
        assert_eq!(profile("s3.addressing_style"), Some("path"));
        assert_eq!(profile("region"), Some("eu-west-3"));
        let services = |name| get(&ini, "services local", name);
        assert_eq!(services("s3.endpoint_url"), Some("http://h:1"));
        assert_eq!(services("sts.endpoint_url"), Some("http://t"));
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
