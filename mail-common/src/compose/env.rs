//! Variables of a compose project: the process's, then those of its `.env` file; and their
//! interpolation (Compose specification, "Interpolation").

use std::collections::HashMap;
use std::path::Path;

use super::error::Error;

/// How deep `${A:-${B:-...}}` may go.
const MAX_DEPTH: usize = 16;

/// Variables by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(HashMap<String, String>);

/// A text whose variables are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The text.
    pub text: String,
    /// Variables that are not set and have no default: nothing stands in their place.
    pub unset: Vec<String>,
}

impl Variables {
    /// Those of the file; the process's own come before them. A file that is not there has none.
    ///
    /// # Errors
    /// As [`Variables::of_file`].
    pub fn read(env_file: &Path) -> Result<Self, Error> {
        Ok(Self::of_file(env_file)?.over(&Self::of_process()))
    }

    /// Those of the file alone. A file that is not there has none.
    ///
    /// # Errors
    /// [`Error::EnvFile`] when it cannot be read, or a line that Compose itself uses is not
    /// understood.
    pub fn of_file(env_file: &Path) -> Result<Self, Error> {
        let unusable = |cause: dotenvy::Error| Error::EnvFile {
            path: env_file.to_owned(),
            cause: cause.to_string(),
        };
        let mut variables = HashMap::new();
        let lines = match dotenvy::from_path_iter(env_file) {
            Err(error) if error.not_found() => return Ok(Self::default()),
            lines => lines.map_err(unusable)?,
        };
        for line in lines {
            match line {
                Ok((name, value)) => drop(variables.insert(name, value)),
                // Of the others nothing is asked here.
                Err(dotenvy::Error::LineParse(text, _)) if !text.contains("COMPOSE_") => {}
                Err(error) => return Err(unusable(error)),
            }
        }
        Ok(Self(variables))
    }

    /// Those of the process that are text and not empty.
    #[must_use]
    pub fn of_process() -> Self {
        let own = std::env::vars_os().filter_map(|(name, value)| {
            let value = value.into_string().ok().filter(|value| !value.is_empty())?;
            Some((name.into_string().ok()?, value))
        });
        Self(own.collect())
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self(pairs.iter().map(owned).collect())
    }

    /// With those of `others`, which come first.
    #[must_use]
    pub fn over(mut self, others: &Self) -> Self {
        let others = others.0.iter();
        self.0
            .extend(others.map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// The value, where it is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// `text` with its variables filled in; `None` for what the specification does not know, and
    /// for a variable that must be set and is not.
    #[must_use]
    pub fn fill(&self, text: &str) -> Option<Filled> {
        let mut unset = Vec::new();
        let text = self.fill_to(text, MAX_DEPTH, &mut unset)?;
        Some(Filled { text, unset })
    }

    fn fill_to(&self, text: &str, depth: usize, unset: &mut Vec<String>) -> Option<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                filled.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = closing_brace(after)?;
                filled.push_str(&self.expression(&after[..end], depth.checked_sub(1)?, unset)?);
                rest = &after[end + 1..];
            } else {
                let end = name_length(rest);
                filled.push_str(&self.value(&rest[..end], unset));
                rest = Some(&rest[end..]).filter(|_| end > 0)?;
            }
        }
        filled.push_str(rest);
        Some(filled)
    }

    /// The value of a variable that has no default.
    fn value(&self, name: &str, unset: &mut Vec<String>) -> String {
        let value = self.0.get(name);
        if value.is_none() {
            unset.push(name.to_owned());
        }
        value.cloned().unwrap_or_default()
    }

    /// What stands between the braces: `NAME`, `NAME:-default`, `NAME?error`, `NAME+other`.
    fn expression(&self, text: &str, depth: usize, unset: &mut Vec<String>) -> Option<String> {
        let (name, operator) = text.split_at(name_length(text));
        if name.is_empty() {
            return None;
        }
        let value = self.0.get(name).map(String::as_str);
        let (value, operator) = match operator.strip_prefix(':') {
            Some(operator) => (value.filter(|value| !value.is_empty()), operator),
            None => (value, operator),
        };
        let mut signs = operator.chars();
        match (signs.next(), value) {
            (None, _) => Some(self.value(name, unset)),
            (Some('-' | '?'), Some(value)) => Some(value.to_owned()),
            (Some('-'), None) | (Some('+'), Some(_)) => self.fill_to(signs.as_str(), depth, unset),
            (Some('+'), None) => Some(String::new()),
            (Some(_), _) => None,
        }
    }
}

/// Where the expression ends that begins after `${`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

fn name_length(text: &str) -> usize {
    let is_name = |(at, c): &(usize, char)| {
        c.is_ascii_alphabetic() || *c == '_' || (*at > 0 && c.is_ascii_digit())
    };
    text.char_indices().take_while(is_name).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_as_the_specification_says() {
        let variables = Variables::of(&[("A", "a"), ("EMPTY", "")]);
        let check = |text: &str, expected: Option<&str>| {
            let filled = variables.fill(text).map(|filled| filled.text);
            assert_eq!(filled.as_deref(), expected, "{text}");
        };
        check("x", Some("x"));
        check("$A-${A}-$$A-${NONE}", Some("a-a-$A-"));
        check("${NONE:-d}${EMPTY:-d}${EMPTY-d}${A:-d}", Some("dda"));
        check("${NONE:-${A}}", Some("a"));
        check("${A:+x}${NONE+x}${EMPTY:+x}", Some("x"));
        check("${A?must}", Some("a"));
        check("${NONE?must}", None);
        check("${EMPTY:?must}", None);
        for wrong in ["${A", "${}", "$", "$1", "${A/x}", "${1}"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_variable_that_is_not_set_and_has_no_default_is_named() {
        let variables = Variables::of(&[("A", "a"), ("EMPTY", "")]);
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(variables.fill(text).unwrap().unset, expected, "{text}");
        };
        check("${A}/$EMPTY/${NONE:-x}/${NONE-}/${NONE+x}/$$NONE", &[]);
        check("$NONE/x", &["NONE"]);
        check("${NONE}/${A:+${OTHER}}", &["NONE", "OTHER"]);
    }

    #[test]
    fn an_env_file_that_is_there_and_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = Variables::read(dir.path()).err().unwrap().to_string();
        assert!(
            error.contains(&*dir.path().to_string_lossy()) && error.contains("directory"),
            "{error}"
        );
    }

    #[test]
    fn the_env_file_is_read_as_compose_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        let read = |text: &str| {
            crate::atomic::write_file(&path, text.as_bytes()).unwrap();
            Variables::read(&path)
        };
        let variables = read(
            "export MC_A=post   # the project\nMC_B='two words'\nMC_C=\"x # y\"\n\n# MC_D=no\nodd line\n",
        );
        let variables = variables.unwrap();
        let get = |name: &str| variables.get(name);
        assert_eq!(get("MC_A"), Some("post"));
        assert_eq!(get("MC_B"), Some("two words"));
        assert_eq!(get("MC_C"), Some("x # y"));
        assert_eq!(get("MC_D"), None);
        assert!(read("COMPOSE_PROFILES=\"open\n").is_err());
        assert!(Variables::read(Path::new("/nonexistent")).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn random_text_never_panics(text in "[${}:?+A-Za-z0-9é -]{0,60}") {
            let _ = Variables::of(&[("A", "a")]).fill(&text);
        }
    }
}
