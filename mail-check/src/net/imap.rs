//! A mailbox, as a mail program reads it (RFC 3501, 4315): the few commands that a probe needs.
//!
//! The crates for it either need an async runtime, or bound neither lines nor time; and a probe
//! must say which step hung.

use mail_common::secret::Secret;

use super::error::NetError;
use super::line::Line;
use super::tls::{Peer, Trust};

/// More answers to one command than this are no answer.
const MAX_ANSWERS: usize = 10_000;

/// A session.
#[derive(Debug)]
pub(crate) struct Imap {
    line: Line,
    commands: u32,
}

/// Something to be sent: in the line, or as a literal, which may hold anything.
enum Part<'a> {
    Text(&'a str),
    Literal(&'a str),
}

impl Imap {
    /// Waits for the greeting.
    pub(crate) fn open(mut line: Line) -> Result<Self, NetError> {
        let greeting = line.read_line("the greeting * OK")?;
        if greeting.starts_with("* OK") {
            return Ok(Self { line, commands: 0 });
        }
        match greeting.strip_prefix("* BYE") {
            Some(why) => Err(line.refuses("the connection", why)),
            None => Err(line.unexpected("the greeting * OK", &greeting)),
        }
    }

    /// STARTTLS.
    pub(crate) fn start_tls(mut self, trust: &Trust, name: &str) -> Result<Self, NetError> {
        self.command("STARTTLS", &[Part::Text("STARTTLS")])?;
        Ok(Self {
            line: self.line.protect(trust, name)?,
            commands: self.commands,
        })
    }

    /// Whether the server says that it knows `word`.
    pub(crate) fn offers(&mut self, word: &str) -> Result<bool, NetError> {
        let answers = self.command("CAPABILITY", &[Part::Text("CAPABILITY")])?;
        let words = answers
            .iter()
            .filter_map(|answer| answer.strip_prefix("* CAPABILITY "));
        Ok(words
            .flat_map(|words| words.split(' '))
            .any(|known| known.eq_ignore_ascii_case(word)))
    }

    pub(crate) fn peer(&self) -> Option<&Peer> {
        self.line.peer()
    }

    pub(crate) fn renew(&mut self, within: std::time::Duration) {
        self.line.renew(within);
    }

    pub(crate) fn login(&mut self, user: &str, password: &Secret) -> Result<(), NetError> {
        let parts = [
            Part::Text("LOGIN "),
            Part::Literal(user),
            Part::Text(" "),
            Part::Literal(password.expose()),
        ];
        self.command("the login", &parts).map(drop)
    }

    pub(crate) fn select(&mut self, mailbox: &str) -> Result<(), NetError> {
        self.command("SELECT", &[Part::Text("SELECT "), Part::Literal(mailbox)])
            .map(drop)
    }

    /// The messages whose header `name` holds `value`, and that fit `criteria` besides, by UID.
    pub(crate) fn search(
        &mut self,
        criteria: &str,
        name: &str,
        value: &str,
    ) -> Result<Vec<u32>, NetError> {
        // NOOP makes the server look for what has come since.
        self.command("NOOP", &[Part::Text("NOOP")])?;
        let head = format!("UID SEARCH {criteria} HEADER {name} ");
        let answers = self.command("UID SEARCH", &[Part::Text(&head), Part::Literal(value)])?;
        Ok(uids(&answers))
    }

    /// Removes these messages, and none that somebody else has marked as deleted.
    pub(crate) fn remove(&mut self, uids: &[u32]) -> Result<(), NetError> {
        if uids.is_empty() {
            return Ok(());
        }
        let set = uids
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(",");
        self.command(
            "UID STORE",
            &[Part::Text(&format!(
                "UID STORE {set} +FLAGS.SILENT (\\Deleted)"
            ))],
        )?;
        if self.offers("UIDPLUS")? {
            return self
                .command("UID EXPUNGE", &[Part::Text(&format!("UID EXPUNGE {set}"))])
                .map(drop);
        }
        let marked = self::uids(&self.command("UID SEARCH", &[Part::Text("UID SEARCH DELETED")])?);
        if marked.iter().all(|uid| uids.contains(uid)) {
            self.command("EXPUNGE", &[Part::Text("EXPUNGE")])?;
        }
        Ok(())
    }

    /// Says farewell; what is answered does not matter any more.
    pub(crate) fn logout(mut self) {
        let _ = self.line.send(b"z LOGOUT\r\n");
    }

    /// Gives a command, and returns the untagged answers, each with its literals in it.
    fn command(&mut self, name: &'static str, parts: &[Part<'_>]) -> Result<Vec<String>, NetError> {
        self.commands += 1;
        let tag = format!("a{} ", self.commands);
        let mut bytes = tag.clone().into_bytes();
        for part in parts {
            match part {
                Part::Text(text) => bytes.extend_from_slice(text.as_bytes()),
                Part::Literal(text) => {
                    bytes.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
                    self.line.send(&bytes)?;
                    self.wait_for_consent(name, &tag)?;
                    bytes = text.as_bytes().to_vec();
                }
            }
        }
        bytes.extend_from_slice(b"\r\n");
        self.line.send(&bytes)?;
        self.answers(name, &tag)
    }

    /// `+`: the server is ready for a literal.
    fn wait_for_consent(&mut self, name: &'static str, tag: &str) -> Result<(), NetError> {
        for _ in 0..MAX_ANSWERS {
            let line = self.answer()?;
            if line.starts_with('+') {
                return Ok(());
            }
            if let Some(result) = line.strip_prefix(tag) {
                return Err(self.line.refuses(name, result));
            }
            self.untagged(&line)?;
        }
        Err(self.line.unexpected("an answer", "answers without an end"))
    }

    fn answers(&mut self, name: &'static str, tag: &str) -> Result<Vec<String>, NetError> {
        let mut answers = Vec::new();
        while answers.len() < MAX_ANSWERS {
            let line = self.answer()?;
            match line.strip_prefix(tag) {
                Some(result) if result.starts_with("OK") => return Ok(answers),
                Some(result) => return Err(self.line.refuses(name, result)),
                None => self.untagged(&line)?,
            }
            answers.push(line);
        }
        Err(self.line.unexpected("an answer", "answers without an end"))
    }

    fn untagged(&self, line: &str) -> Result<(), NetError> {
        match line.strip_prefix("* BYE") {
            Some(why) => Err(self.line.refuses("to go on", why)),
            None if line.starts_with("* ") => Ok(()),
            None => Err(self.line.unexpected("an answer", line)),
        }
    }

    /// One answer; a line that announces a literal goes on after it.
    fn answer(&mut self) -> Result<String, NetError> {
        let mut answer = self.line.read_line("an answer")?;
        let mut end = answer.clone();
        while let Some(bytes) = announced(&end) {
            let literal = self.line.read_exact(bytes, "a literal")?;
            end = self.line.read_line("an answer")?;
            answer.push_str(&String::from_utf8_lossy(&literal));
            answer.push_str(&end);
            if answer.len() > 16 * (64 << 10) {
                return Err(self
                    .line
                    .unexpected("an answer", "an answer without an end"));
            }
        }
        Ok(answer)
    }
}

/// `... {12}` announces a literal of twelve bytes.
fn announced(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

fn uids(answers: &[String]) -> Vec<u32> {
    let lists = answers
        .iter()
        .filter_map(|answer| answer.strip_prefix("* SEARCH"));
    lists
        .flat_map(|list| list.split(' '))
        .filter_map(|uid| uid.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_results_are_read() {
        assert_eq!(announced("* 1 FETCH (BODY {12}"), Some(12));
        assert_eq!(announced("* OK {x}"), None);
        assert_eq!(announced("* OK"), None);
        let answers = [
            "* SEARCH 4 9".to_owned(),
            "* 3 EXISTS".to_owned(),
            "* SEARCH".to_owned(),
        ];
        assert_eq!(uids(&answers), [4, 9]);
    }
}
