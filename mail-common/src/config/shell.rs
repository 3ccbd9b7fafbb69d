//! Assignments as a POSIX shell reads them (XCU 2.2 quoting, 2.6.2 parameter expansion), without
//! running anything.
//!
//! `KEY=VALUE` words, several on a line or behind `export`; quotes, backslashes, comments, `~`,
//! `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME-default}`. What would need a shell is an
//! error with its line.

use std::collections::BTreeMap;

use super::environment::Environment;

/// How deep `${A:-${B:-...}}` may go.
const MAX_DEPTH: usize = 16;

const COMMAND: &str = "a command substitution; nothing is executed here";
const UNSUPPORTED: &str = "an expansion other than $NAME, ${NAME} or ${NAME:-default}";
const OPERATOR: &str = "an unquoted ( ) < > | or &; quote the value";
const UNCLOSED: &str = "a quote or brace is not closed";

/// A value and the line that assigned it.
#[derive(Clone)]
pub(super) struct Assignment {
    pub(super) value: String,
    pub(super) line: usize,
}

/// The line that cannot be read, from 1, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

/// The last assignment of each name in `text`.
pub(super) fn parse(
    text: &[u8],
    environment: &Environment,
) -> Result<BTreeMap<String, Assignment>, SyntaxError> {
    let text = std::str::from_utf8(text).map_err(|error| SyntaxError {
        line: 1 + text[..error.valid_up_to()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count(),
        reason: "not UTF-8",
    })?;
    let mut parser = Parser {
        rest: text,
        line: 1,
        depth: 0,
        environment,
        assigned: BTreeMap::new(),
    };
    parser.file()?;
    Ok(parser.assigned)
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    depth: usize,
    environment: &'a Environment,
    assigned: BTreeMap<String, Assignment>,
}

/// Whether an expansion is inside double quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Bare,
    Double,
}

/// Whether a word is behind `export` on its line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Bare,
    Exported,
}

impl Parser<'_> {
    fn file(&mut self) -> Result<(), SyntaxError> {
        let mut place = Place::Bare;
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' => drop(self.advance()),
                '\\' if self.rest.starts_with("\\\n") => self.skip(2),
                '\n' | ';' => {
                    self.advance();
                    place = Place::Bare;
                }
                '#' => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
                _ => place = self.word(place)?,
            }
        }
        Ok(())
    }

    /// Reads an assignment, `export`, or a name behind `export`, which assigns nothing; where that
    /// leaves the next word.
    fn word(&mut self, place: Place) -> Result<Place, SyntaxError> {
        let line = self.line;
        let name = self.name();
        let at_end = self
            .peek()
            .is_none_or(|next| matches!(next, ' ' | '\t' | '\n' | ';'));
        match self.peek() {
            Some('=') if !name.is_empty() => {
                self.advance();
                let value = self.value()?;
                self.assigned.insert(name, Assignment { value, line });
                Ok(place)
            }
            _ if name == "export" && at_end => Ok(Place::Exported),
            _ if place == Place::Exported && !name.is_empty() && at_end => Ok(place),
            _ => Err(SyntaxError {
                line,
                reason: "not KEY=VALUE; a value with spaces needs quotes",
            }),
        }
    }

    fn name(&mut self) -> String {
        let is_part = |(i, c): &(usize, char)| {
            c.is_ascii_alphabetic() || *c == '_' || (*i > 0 && c.is_ascii_digit())
        };
        let length = self.rest.char_indices().take_while(is_part).count();
        let name = self.rest[..length].to_owned();
        self.skip(length);
        name
    }

    fn value(&mut self) -> Result<String, SyntaxError> {
        let mut value = String::new();
        let mut tilde_expands = true;
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' | '\n' | ';' => break,
                '~' if tilde_expands => self.tilde(&mut value)?,
                _ => self.piece(&mut value)?,
            }
            tilde_expands = next == ':';
        }
        Ok(value)
    }

    /// A character outside double quotes, or what begins with it.
    fn piece(&mut self, value: &mut String) -> Result<(), SyntaxError> {
        let line = self.line;
        match self.advance() {
            Some('\'') => self.single_quoted(value),
            Some('"') => self.double_quoted(value),
            Some('$') => self.expansion(value, Quoting::Bare),
            Some('\\') => {
                value.extend(self.advance().filter(|&escaped| escaped != '\n'));
                Ok(())
            }
            Some('`') => Err(SyntaxError {
                line,
                reason: COMMAND,
            }),
            Some('(' | ')' | '<' | '>' | '|' | '&') => Err(SyntaxError {
                line,
                reason: OPERATOR,
            }),
            Some('\r') => Err(SyntaxError {
                line,
                reason: "a carriage return; the file has the line ends of Windows",
            }),
            Some('\0') => Err(SyntaxError {
                line,
                reason: "a NUL",
            }),
            other => {
                value.extend(other);
                Ok(())
            }
        }
    }

    fn single_quoted(&mut self, value: &mut String) -> Result<(), SyntaxError> {
        let end = self.rest.find('\'').ok_or(SyntaxError {
            line: self.line,
            reason: UNCLOSED,
        })?;
        value.push_str(&self.rest[..end]);
        self.skip(end + 1);
        Ok(())
    }

    fn double_quoted(&mut self, value: &mut String) -> Result<(), SyntaxError> {
        let line = self.line;
        loop {
            match self.advance() {
                Some('"') => return Ok(()),
                Some('\\') => self.escape_in_double_quotes(value, "$`\"\\"),
                Some('$') => self.expansion(value, Quoting::Double)?,
                Some('`') => {
                    return Err(SyntaxError {
                        line: self.line,
                        reason: COMMAND,
                    });
                }
                Some(other) => value.push(other),
                None => {
                    return Err(SyntaxError {
                        line,
                        reason: UNCLOSED,
                    });
                }
            }
        }
    }

    /// A backslash stays, unless it is before one of `special` or a newline.
    fn escape_in_double_quotes(&mut self, value: &mut String, special: &str) {
        match self.peek() {
            Some('\n') => drop(self.advance()),
            Some(next) if special.contains(next) => value.extend(self.advance()),
            _ => value.push('\\'),
        }
    }

    /// What follows a `$`.
    fn expansion(&mut self, value: &mut String, quoting: Quoting) -> Result<(), SyntaxError> {
        let error = |reason| {
            Err(SyntaxError {
                line: self.line,
                reason,
            })
        };
        match self.peek() {
            Some('(') => error(COMMAND),
            Some('{') => {
                self.advance();
                self.braced(value, quoting)
            }
            Some('\'' | '"') if quoting == Quoting::Bare => error(UNSUPPORTED),
            Some('0'..='9' | '@' | '*' | '#' | '?' | '$' | '!' | '-' | '[') => error(UNSUPPORTED),
            _ => {
                let name = self.name();
                match name.as_str() {
                    "" => value.push('$'),
                    name => value.push_str(&self.lookup(name).unwrap_or_default()),
                }
                Ok(())
            }
        }
    }

    /// What follows a `${`.
    fn braced(&mut self, value: &mut String, quoting: Quoting) -> Result<(), SyntaxError> {
        let line = self.line;
        let name = self.name();
        let found = self.lookup(&name);
        let operator = ["}", ":-", "-"]
            .into_iter()
            .find(|operator| self.rest.starts_with(operator));
        let Some(operator) = operator.filter(|_| !name.is_empty() && self.depth < MAX_DEPTH) else {
            return Err(SyntaxError {
                line,
                reason: UNSUPPORTED,
            });
        };
        self.skip(operator.len());
        if operator == "}" {
            value.push_str(&found.unwrap_or_default());
            return Ok(());
        }
        self.depth += 1;
        let default = self.default_word(quoting)?;
        self.depth -= 1;
        value.push_str(
            &found
                .filter(|found| operator == "-" || !found.is_empty())
                .unwrap_or(default),
        );
        Ok(())
    }

    /// The default of an expansion, and the brace that closes it.
    fn default_word(&mut self, quoting: Quoting) -> Result<String, SyntaxError> {
        let line = self.line;
        let mut word = String::new();
        if quoting == Quoting::Bare && self.peek() == Some('~') {
            self.tilde(&mut word)?;
        }
        loop {
            match (self.peek(), quoting) {
                (None, _) => {
                    return Err(SyntaxError {
                        line,
                        reason: UNCLOSED,
                    });
                }
                (Some('}'), _) => {
                    self.advance();
                    return Ok(word);
                }
                (Some('\\'), Quoting::Double) => {
                    self.advance();
                    self.escape_in_double_quotes(&mut word, "$`\"\\}");
                }
                (Some('$'), Quoting::Double) => {
                    self.advance();
                    self.expansion(&mut word, quoting)?;
                }
                (Some('`' | '"'), Quoting::Double)
                | (Some('\\' | '$' | '`' | '"' | '\''), Quoting::Bare) => {
                    self.piece(&mut word)?;
                }
                _ => word.extend(self.advance()),
            }
        }
    }

    /// `~` and `~/...`; the home of another user is not looked up.
    fn tilde(&mut self, value: &mut String) -> Result<(), SyntaxError> {
        self.advance();
        if !self
            .peek()
            .is_none_or(|next| matches!(next, '/' | ':' | '}' | ' ' | '\t' | '\n' | ';'))
        {
            return Err(SyntaxError {
                line: self.line,
                reason: "~ before a name; write the path in full",
            });
        }
        value.push_str(&self.lookup("HOME").unwrap_or_default());
        Ok(())
    }

    fn lookup(&self, name: &str) -> Option<String> {
        let assigned = self
            .assigned
            .get(name)
            .map(|assignment| assignment.value.as_str());
        assigned
            .or_else(|| self.environment.get(name))
            .map(str::to_owned)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn advance(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.skip(next.len_utf8());
        Some(next)
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::process::Command;

    fn environment() -> Environment {
        Environment::from([("HOME", "/home/x"), ("OUTER", "out er"), ("NOTHING", "")])
    }

    /// What bash makes of X after it has read `text`.
    fn bash(text: &str) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut command = Command::new("bash");
        command
            .args(["-c", r#". "$1"; printf %s "$X""#, "-"])
            .arg(file.path());
        command.env_clear().envs(environment().variables);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    #[test]
    fn values_are_what_bash_makes_of_them() {
        for text in [
            "X=plain",
            "X=",
            "X",
            "export X=1 Y=2",
            "export Y; X=3",
            "  X=a  # comment",
            "X=a#b",
            "#X=a\nX=b",
            "X='single $HOME `date` \"q\"'",
            r#"X="double \"q\" \\ \$HOME \x 'single'""#,
            r"X=a\ b\\c\$d\'",
            r#"X=a'b c'"d e"f"#,
            "X='two\nlines'",
            "X=con\\\ntinued",
            "X=\"con\\\ntinued\"",
            "A=1 \\\n X=2",
            "X=$HOME/a:${HOME}b:$OUTER",
            "X=\"$HOME\"'$HOME'",
            "A=1\nX=$A${A}2$B",
            "X=${UNSET:-a b}c",
            "X=${NOTHING:-a}${NOTHING-b}${UNSET-c}",
            "X=${HOME:-a}",
            "X=${A:-${B:-'q }'}}",
            "X=\"${A:-${B:-'q'}}\"",
            "X=\"${A:-a\\}b\"c d\"}\"",
            "X=${A:-~/m}",
            "X=~/m:~:a~/b",
            "X=\"~/m\"",
            "X=$",
            "X=a$/b\"$\"",
            "X=caf\u{e9}\u{3042}",
            "X=1;Y=2;X=4",
            "X=*{a,b}?[c]!",
            "X=a=b",
        ] {
            let found = parse(text.as_bytes(), &environment());
            // `X` alone is a command to bash and an error here.
            let found = found.map(|assigned| {
                assigned
                    .get("X")
                    .map_or_else(String::new, |x| x.value.clone())
            });
            assert_eq!(found.unwrap_or_default(), bash(text), "{text}");
        }
    }

    fn check_refused(text: &str, line: usize, reason: &'static str) {
        assert_eq!(
            parse(text.as_bytes(), &environment()).err(),
            Some(SyntaxError { line, reason }),
            "{text}"
        );
    }

    #[test]
    fn what_would_be_executed_is_refused_with_its_line() {
        check_refused("A=1\nX=$(date)", 2, COMMAND);
        check_refused("X=`date`", 1, COMMAND);
        check_refused("X=\"\n`date`\"", 2, COMMAND);
        check_refused("X=\"${A:-$(date)}\"", 1, COMMAND);
        check_refused("X=\"${A:-`date`}\"", 1, COMMAND);
        check_refused("X=$((1+1))", 1, COMMAND);
        check_refused("X=${A:=b}", 1, UNSUPPORTED);
        check_refused("X=$1", 1, UNSUPPORTED);
        check_refused("X=$'a'", 1, UNSUPPORTED);
        check_refused("X=(a b)", 1, OPERATOR);
        check_refused("X=a&&b", 1, OPERATOR);
        check_refused("\nX='a\n\n", 2, UNCLOSED);
        check_refused("X=\"a", 1, UNCLOSED);
        check_refused("X=${A:-b", 1, UNCLOSED);
        check_refused(
            "X=a b",
            1,
            "not KEY=VALUE; a value with spaces needs quotes",
        );
        check_refused(
            "rm -rf /",
            1,
            "not KEY=VALUE; a value with spaces needs quotes",
        );
        check_refused("1X=a", 1, "not KEY=VALUE; a value with spaces needs quotes");
        check_refused(
            "X=a\r\nY=b\r\n",
            1,
            "a carriage return; the file has the line ends of Windows",
        );
        check_refused(&format!("X={}", "${A:-".repeat(10_000)), 1, UNSUPPORTED);
        assert_eq!(
            parse(b"A=1\nX=\xff", &environment())
                .err()
                .map(|error| error.line),
            Some(2)
        );
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&text, &environment());
        }

        #[test]
        fn random_shell_never_panics(text in "[XY=${}:'\"\\\\`~# \n;a-]{0,60}") {
            let _ = parse(text.as_bytes(), &environment());
        }
    }
}
