//! `~/.aws/config` and `~/.aws/credentials`: sections of `name = value` lines.

use std::collections::BTreeMap;
use std::path::Path;

use mail_common::failure::Failed;
use mail_common::trusted;

use super::error::Error;
use super::words::words;

/// Settings by name. What is nested below a setting without a value of its own (`s3 =`) is called
/// `s3.name`.
pub(super) type Settings = BTreeMap<String, String>;

/// Sections in their order. Its `Debug` is not derived: values are secrets.
#[derive(Default)]
pub(super) struct Ini(Vec<(String, Settings)>);

/// What its settings say is said of all sections.
const OF_ALL: &str = "DEFAULT";

impl Ini {
    /// Reads the file at `path`; one that is not there is empty.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        match trusted::read(path) {
            Ok(bytes) => Self::parse_bytes(bytes, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failed::at("read", path)(error).into()),
        }
    }

    fn parse_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self, Error> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            syntax(path)((
                1 + before.iter().filter(|&&b| b == b'\n').count(),
                "not UTF-8",
            ))
        })?;
        Self::parse(&text, path)
    }

    /// Reads `text` by the rules of Python's `RawConfigParser`, which the AWS command line uses: a
    /// line that is indented deeper than the setting before it continues its value, so a section
    /// may be indented as a whole; a comment has a line of its own; nothing may be there twice.
    /// Only the byte order mark that Windows writes is no error here.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut reader = Reader::default();
        for (number, line) in text.lines().enumerate() {
            let read = reader.line(number + 1, line);
            read.map_err(|reason| syntax(path)((number + 1, reason)))?;
        }
        reader.finish().map(Self).map_err(syntax(path))
    }

    /// The settings of the section with this very name.
    pub(super) fn section(&self, name: &str) -> Option<&Settings> {
        let mut sections = self.0.iter();
        sections
            .find(|(section, _)| section == name)
            .map(|(_, settings)| settings)
    }

    /// Those of `[profile NAME]`, where `kind` is `profile`. The last one counts: two can have one
    /// name, with quotes and without.
    pub(super) fn named(&self, kind: &str, name: &str) -> Option<&Settings> {
        let is_it = |section: &str| {
            section.starts_with(kind)
                && words(section).is_some_and(|words| words.len() == 2 && words[1] == name)
        };
        let mut sections = self.0.iter().rev();
        let found = sections.find(|(section, _)| {
            is_it(section) || (kind == "profile" && name == "default" && section == name)
        });
        found.map(|(_, settings)| settings)
    }
}

/// A line, and what is wrong with it.
type Wrong = (usize, &'static str);

fn syntax(path: &Path) -> impl Fn(Wrong) -> Error {
    move |(line, reason)| Error::Syntax {
        path: path.to_owned(),
        line,
        reason,
    }
}

/// A setting as it stands: from which line on, and the lines of its value.
struct Raw {
    name: String,
    line: usize,
    value: Vec<String>,
}

/// What was read up to a line.
#[derive(Default)]
struct Reader {
    sections: Vec<(String, Vec<Raw>)>,
    /// Where the section of the next setting is.
    section: Option<usize>,
    /// Whether a setting comes before, which deeper lines continue.
    is_in_setting: bool,
    indent: usize,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), &'static str> {
        let text = line.trim();
        if text.starts_with(['#', ';']) {
            return Ok(());
        }
        if text.is_empty() {
            self.continuation(text);
            return Ok(());
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        if self.is_in_setting && indent > self.indent {
            self.continuation(text);
            return Ok(());
        }
        self.indent = indent;
        match header(text) {
            Some(name) => self.header(name),
            None => self.setting(number, text),
        }
    }

    fn header(&mut self, name: &str) -> Result<(), &'static str> {
        let known = self
            .sections
            .iter()
            .position(|(section, _)| section == name);
        if known.is_some() && name != OF_ALL {
            return Err("a section that is there before");
        }
        self.section = Some(known.unwrap_or_else(|| {
            self.sections.push((name.to_owned(), Vec::new()));
            self.sections.len() - 1
        }));
        self.is_in_setting = false;
        Ok(())
    }

    fn setting(&mut self, line: usize, text: &str) -> Result<(), &'static str> {
        let section = self.section.ok_or("a setting before the first section")?;
        let (name, value) = text
            .split_once(['=', ':'])
            .ok_or("neither `name = value` nor a section")?;
        let name = name.trim_end().to_lowercase();
        if name.is_empty() {
            return Err("a value without its name");
        }
        let settings = &mut self.sections[section].1;
        if settings.iter().any(|setting| setting.name == name) {
            return Err("a setting that its section has before");
        }
        let value = vec![value.trim().to_owned()];
        settings.push(Raw { name, line, value });
        self.is_in_setting = true;
        Ok(())
    }

    /// Adds a line to the value of the setting before it.
    fn continuation(&mut self, text: &str) {
        let section = self.section.filter(|_| self.is_in_setting);
        let settings = section.and_then(|section| self.sections.get_mut(section));
        if let Some(setting) = settings.and_then(|(_, settings)| settings.last_mut()) {
            setting.value.push(text.to_owned());
        }
    }

    fn finish(self) -> Result<Vec<(String, Settings)>, Wrong> {
        let (of_all, sections): (Vec<_>, Vec<_>) = self
            .sections
            .into_iter()
            .partition(|(name, _)| name == OF_ALL);
        let mut defaults = Settings::new();
        for setting in of_all.iter().flat_map(|(_, settings)| settings) {
            setting.add_to(&mut defaults)?;
        }
        let with_defaults = |(name, own): (String, Vec<Raw>)| {
            let is_own = |name: &str| {
                let outer = name.split_once('.').map_or(name, |(outer, _)| outer);
                own.iter().any(|setting| setting.name == outer)
            };
            let mut settings = defaults.clone();
            settings.retain(|name, _| !is_own(name));
            own.iter()
                .try_for_each(|setting| setting.add_to(&mut settings))?;
            Ok((name, settings))
        };
        sections.into_iter().map(with_defaults).collect()
    }
}

/// `NAME` of `[NAME]`; what follows the last bracket says nothing.
fn header(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('[')?.rsplit_once(']')?;
    Some(name).filter(|name| !name.is_empty())
}

impl Raw {
    fn add_to(&self, settings: &mut Settings) -> Result<(), Wrong> {
        // A dot is in no name that means anything, and tells nested ones here.
        if self.name.contains('.') {
            return Ok(());
        }
        let value = self.value.join("\n");
        let value = value.trim_end();
        if !value.starts_with('\n') {
            settings.insert(self.name.clone(), value.to_owned());
            return Ok(());
        }
        for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let nested = line.split_once('=');
            let (name, value) = nested.ok_or((self.line, "not `name = value` below it"))?;
            let name = format!("{}.{}", self.name, name.trim());
            settings.insert(name, value.trim().to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "ini_tests.rs"]
mod tests;
