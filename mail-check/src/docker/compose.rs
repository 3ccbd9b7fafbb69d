//! What a compose file says of services: their names, which of them are wanted, and the name of the
//! project.
//!
//! Only the block style that compose files are written in is read. What is written in another way
//! is an error, never a service less.

use std::path::Path;

use super::error::DockerError;

/// What a compose file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ComposeFile {
    name: Option<String>,
    directory: String,
    services: Vec<Service>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Service {
    name: String,
    /// It has `profiles:`, and is started only when one of them is asked for.
    in_profile: bool,
    /// `replicas: 0` or `scale: 0`.
    switched_off: bool,
}

/// The line, from 1, and what is wrong with it.
type Unread = (usize, &'static str);

/// A line with something on it.
struct Line<'a> {
    number: usize,
    indent: usize,
    key: &'a str,
    value: &'a str,
}

impl ComposeFile {
    pub(crate) fn read(path: &Path) -> Result<Self, DockerError> {
        let read = |cause| DockerError::ComposeFile {
            path: path.to_owned(),
            cause,
        };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let directory = path
            .canonicalize()
            .map_err(read)?
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default()
            .to_owned();
        let parsed = parse(&text);
        let (name, services) = parsed.map_err(|(line, reason)| DockerError::ComposeSyntax {
            path: path.to_owned(),
            line,
            reason,
        })?;
        Ok(Self {
            name,
            directory: directory.to_string_lossy().into_owned(),
            services,
        })
    }

    /// The name of the project: `name:`, or else the directory, in the letters that Docker Compose
    /// allows.
    pub(crate) fn project(&self) -> String {
        let allowed =
            |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_' || *c == '-';
        let fallback = || {
            self.directory
                .to_lowercase()
                .chars()
                .filter(allowed)
                .collect::<String>()
        };
        self.name
            .clone()
            .unwrap_or_else(|| fallback().trim_start_matches(['_', '-']).to_owned())
    }

    /// The services that should run: those in no profile and with at least one replica.
    pub(crate) fn wanted(&self) -> Vec<String> {
        let wanted = self
            .services
            .iter()
            .filter(|service| !service.in_profile && !service.switched_off);
        wanted.map(|service| service.name.clone()).collect()
    }
}

/// The name that the `.env` file gives the project, which comes before the compose file's; none
/// when it cannot be read.
pub(super) fn project_of_env_file(path: &Path) -> Option<String> {
    project_in(&std::fs::read_to_string(path).ok()?)
}

fn project_in(env_file: &str) -> Option<String> {
    let mut values = env_file
        .lines()
        .filter_map(|line| line.trim().strip_prefix("COMPOSE_PROJECT_NAME="));
    let name = unquote(values.next_back()?.trim());
    (!name.is_empty()).then(|| name.to_owned())
}

fn parse(text: &str) -> Result<(Option<String>, Vec<Service>), Unread> {
    let lines = lines(text)?;
    let name = lines
        .iter()
        .find(|line| line.indent == 0 && line.key == "name");
    let name = name
        .map(|line| unquote(line.value))
        .filter(|name| !name.is_empty() && !name.contains('$'));
    let at = lines
        .iter()
        .position(|line| line.indent == 0 && line.key == "services");
    let at = at.ok_or((1, "there is no `services:`"))?;
    if !lines[at].value.is_empty() {
        return Err((
            lines[at].number,
            "`services` is not written as an indented block",
        ));
    }
    let block: Vec<&Line<'_>> = lines[at + 1..]
        .iter()
        .take_while(|line| line.indent > 0)
        .collect();
    Ok((name.map(str::to_owned), services(&block)?))
}

/// `block` is what is indented under `services:`.
fn services(block: &[&Line<'_>]) -> Result<Vec<Service>, Unread> {
    let depth = block.first().map_or(0, |line| line.indent);
    let mut services: Vec<Service> = Vec::new();
    let mut key_depth = None;
    for line in block {
        if line.indent < depth {
            return Err((line.number, "indented less than the services before it"));
        }
        if line.indent == depth {
            services.push(new_service(line)?);
            key_depth = None;
            continue;
        }
        let key_depth = *key_depth.get_or_insert(line.indent);
        if let Some(service) = services.last_mut() {
            service.take(line, key_depth);
        }
    }
    if services.is_empty() {
        Err((1, "`services` has no service"))
    } else {
        Ok(services)
    }
}

fn new_service(line: &Line<'_>) -> Result<Service, Unread> {
    let name = unquote(line.key);
    match (name, line.value) {
        ("" | "<<", _) | (_, "-") => Err((line.number, "not the name of a service")),
        // An anchor is only a name for what follows.
        (name, value) if value.is_empty() || value.starts_with('&') => Ok(Service {
            name: name.to_owned(),
            ..Service::default()
        }),
        _ => Err((
            line.number,
            "the service is not written as an indented block",
        )),
    }
}

impl Service {
    fn take(&mut self, line: &Line<'_>, key_depth: usize) {
        let own = line.indent == key_depth;
        match line.key {
            "profiles" if own && line.value != "[]" => self.in_profile = true,
            "scale" if own && line.value == "0" => self.switched_off = true,
            "replicas" if !own && line.value == "0" => self.switched_off = true,
            _ => {}
        }
    }
}

/// Lines that say something, without comments and the text of block scalars. A line that is no
/// `key: value` has all of it as key.
fn lines(text: &str) -> Result<Vec<Line<'_>>, Unread> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut scalar_indent = None;
    for (index, raw) in text.lines().enumerate() {
        let trimmed = raw.trim_start_matches(' ');
        let indent = raw.len() - trimmed.len();
        let content = without_comment(trimmed).trim_end();
        if content.is_empty() || matches!(content, "---" | "...") {
            continue;
        }
        if scalar_indent.is_some_and(|scalar| indent > scalar) {
            continue;
        }
        scalar_indent = None;
        if content.starts_with('\t') {
            return Err((index + 1, "indented by a tab"));
        }
        let (key, value) = key_and_value(content);
        if is_block_scalar(value) {
            scalar_indent = Some(indent);
        }
        lines.push(Line {
            number: index + 1,
            indent,
            key,
            value,
        });
    }
    Ok(lines)
}

fn key_and_value(content: &str) -> (&str, &str) {
    if let Some(key) = content.strip_suffix(':') {
        return (key.trim_end(), "");
    }
    content
        .split_once(": ")
        .map_or((content, "-"), |(key, value)| {
            (key.trim_end(), value.trim())
        })
}

/// `|`, `>`, `|-`, `>2+` and their like.
fn is_block_scalar(value: &str) -> bool {
    value.starts_with(['|', '>'])
        && value[1..]
            .chars()
            .all(|c| matches!(c, '+' | '-' | '0'..='9'))
}

/// The line up to a `#` that stands outside quotes, at its start or after a blank.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match quote {
            None if c == '#' && before.is_whitespace() => return &line[..at],
            // Inside a word it is an apostrophe.
            None if matches!(c, '"' | '\'') && !before.is_alphanumeric() => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    line
}

fn unquote(text: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Result<Vec<String>, Unread> {
        let (name, services) = parse(text)?;
        Ok(ComposeFile {
            name,
            directory: String::new(),
            services,
        }
        .wanted())
    }

    #[test]
    fn services_are_the_keys_under_services() {
        let text = "version: '3.8'\n# the mail server\nservices: # all\n  postfix: &base\n    image: a # b\n    command: |\n      \
                    services:\n        no: x\n\n  \"dovecot\":\n    <<: *base\n    environment:\n      - replicas: 0x\n      - A=#b\n\n\
                    volumes:\n  data:\n";
        assert_eq!(wanted(text).unwrap(), ["postfix", "dovecot"]);
    }

    #[test]
    fn what_is_switched_off_is_not_wanted() {
        let text = "services:\n  a:\n    profiles: [debug]\n  b:\n    profiles:\n      - x\n  c:\n    deploy:\n      replicas: 0\n  \
                    d:\n    scale: 0\n  e:\n    profiles: []\n    deploy:\n      replicas: 2\n  f:\n    labels:\n      profiles: x\n";
        assert_eq!(wanted(text).unwrap(), ["e", "f"]);
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_with_its_line() {
        let check =
            |text: &str, line: usize| assert_eq!(wanted(text).unwrap_err().0, line, "{text}");
        check("services: {a: {image: b}}\n", 1);
        check("services:\n  a: {image: b}\n", 2);
        check("services:\n  - a\n", 2);
        check("services:\n\ta:\n", 2);
        check("services:\n    a:\n      image: x\n  b:\n", 4);
        check("volumes:\n", 1);
        check("services:\nvolumes:\n", 1);
    }

    #[test]
    fn the_project_is_named_as_docker_compose_does() {
        let check = |name: Option<&str>, directory: &str, expected: &str| {
            let file = ComposeFile {
                name: name.map(str::to_owned),
                directory: directory.to_owned(),
                services: vec![],
            };
            assert_eq!(file.project(), expected);
        };
        check(None, "Mail.Server", "mailserver");
        check(None, "_mail-server_2", "mail-server_2");
        check(Some("post"), "x", "post");
        assert_eq!(
            parse("name: \"post\"\nservices:\n  a:\n")
                .unwrap()
                .0
                .as_deref(),
            Some("post")
        );
        assert_eq!(parse("name: ${P}\nservices:\n  a:\n").unwrap().0, None);
    }

    #[test]
    fn the_env_file_names_the_project() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(project_in(text).as_deref(), expected, "{text}")
        };
        check("DOMAIN=example.com\n", None);
        check("# COMPOSE_PROJECT_NAME=no\nCOMPOSE_PROJECT_NAME=\n", None);
        check("A=1\nCOMPOSE_PROJECT_NAME=\"post\"\n", Some("post"));
        check(
            "COMPOSE_PROJECT_NAME=one\n  COMPOSE_PROJECT_NAME='two'\n",
            Some("two"),
        );
    }

    proptest::proptest! {
        #[test]
        fn random_text_never_panics(tail in "[a-z:#|>'\"\\- \\n\\t\\[\\]{}é]{0,80}") {
            let _ = parse(&tail);
            let _ = parse(&format!("services:\n  {tail}"));
        }
    }
}
