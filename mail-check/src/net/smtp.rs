//! SMTP and LMTP as a client speaks them (RFC 5321, 2033, 3207, 4954): greeting, what is offered,
//! TLS, login, one message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_common::secret::Secret;

use super::error::NetError;
use super::line::Line;
use super::tls::{Peer, Trust};

/// More lines than this are no reply.
const MAX_REPLY_LINES: usize = 100;

/// A session.
#[derive(Debug)]
pub(crate) struct Smtp {
    line: Line,
    offers: Vec<String>,
}

/// The word that opens a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    Ehlo,
    Lhlo,
}

impl Smtp {
    /// Waits for the greeting, says hello, and takes down what is offered.
    pub(crate) fn open(line: Line, hello: Hello) -> Result<Self, NetError> {
        let mut session = Self {
            line,
            offers: Vec::new(),
        };
        session.expect("220", "the greeting 220")?;
        session.hello(hello)?;
        Ok(session)
    }

    fn hello(&mut self, hello: Hello) -> Result<(), NetError> {
        let (command, name) = match hello {
            Hello::Ehlo => ("EHLO localhost\r\n", "EHLO"),
            Hello::Lhlo => ("LHLO localhost\r\n", "LHLO"),
        };
        let lines = self.command(command.as_bytes(), name, "250")?;
        self.offers = lines.into_iter().skip(1).collect();
        Ok(())
    }

    /// STARTTLS, and hello again.
    pub(crate) fn start_tls(mut self, trust: &Trust, name: &str) -> Result<Self, NetError> {
        if !self.offers("STARTTLS") {
            return Err(self.line.not_offered("STARTTLS"));
        }
        self.command(b"STARTTLS\r\n", "STARTTLS", "220")?;
        let mut session = Self {
            line: self.line.protect(trust, name)?,
            offers: Vec::new(),
        };
        session.hello(Hello::Ehlo)?;
        Ok(session)
    }

    /// Whether the server announced that it knows `word`.
    pub(crate) fn offers(&self, word: &str) -> bool {
        self.offers.iter().any(|offer| {
            offer
                .split(' ')
                .next()
                .is_some_and(|first| first.eq_ignore_ascii_case(word))
        })
    }

    /// An error unless it offers AUTH.
    pub(crate) fn require_auth(&self) -> Result<(), NetError> {
        if self.offers("AUTH") {
            Ok(())
        } else {
            Err(self.line.not_offered("AUTH"))
        }
    }

    pub(crate) fn peer(&self) -> Option<&Peer> {
        self.line.peer()
    }

    /// AUTH PLAIN.
    pub(crate) fn login(&mut self, user: &str, password: &Secret) -> Result<(), NetError> {
        self.require_auth()?;
        let token = STANDARD.encode(format!("\0{user}\0{}", password.expose()));
        self.command(
            format!("AUTH PLAIN {token}\r\n").as_bytes(),
            "the login by AUTH PLAIN",
            "235",
        )
        .map(drop)
    }

    /// Hands in `message`, lines with CRLF; the reply has the name that the queue gave it.
    pub(crate) fn submit(
        &mut self,
        from: &str,
        to: &str,
        message: &str,
    ) -> Result<String, NetError> {
        self.command(
            format!("MAIL FROM:<{from}>\r\n").as_bytes(),
            "the sender (MAIL FROM)",
            "250",
        )?;
        self.command(
            format!("RCPT TO:<{to}>\r\n").as_bytes(),
            "the recipient (RCPT TO)",
            "250",
        )?;
        self.command(b"DATA\r\n", "DATA", "354")?;
        let stuffed = message.replace("\r\n.", "\r\n..");
        let reply = self.command(
            format!("{stuffed}\r\n.\r\n").as_bytes(),
            "the message",
            "250",
        )?;
        Ok(reply.join(" "))
    }

    /// Says farewell; what is answered does not matter any more.
    pub(crate) fn quit(mut self) {
        let _ = self.line.send(b"QUIT\r\n");
    }

    fn command(
        &mut self,
        bytes: &[u8],
        name: &'static str,
        code: &str,
    ) -> Result<Vec<String>, NetError> {
        self.line.send(bytes)?;
        let (found, lines) = self.reply("a reply")?;
        if found == code {
            Ok(lines)
        } else {
            Err(self
                .line
                .refuses(name, &format!("{found} {}", lines.join(" "))))
        }
    }

    fn expect(&mut self, code: &str, wanted: &'static str) -> Result<(), NetError> {
        let (found, lines) = self.reply(wanted)?;
        if found == code {
            Ok(())
        } else {
            Err(self
                .line
                .refuses("the connection", &format!("{found} {}", lines.join(" "))))
        }
    }

    /// The code and the text of each line.
    fn reply(&mut self, wanted: &'static str) -> Result<(String, Vec<String>), NetError> {
        let mut lines = Vec::new();
        loop {
            let line = self.line.read_line(wanted)?;
            let Some((code, last, text)) = split_reply(&line) else {
                return Err(self.line.unexpected(wanted, &line));
            };
            lines.push(text.to_owned());
            if last {
                return Ok((code.to_owned(), lines));
            }
            if lines.len() > MAX_REPLY_LINES {
                return Err(self.line.unexpected(wanted, "a reply without an end"));
            }
        }
    }
}

/// Code, whether it is the last line, text.
fn split_reply(line: &str) -> Option<(&str, bool, &str)> {
    let code = line
        .get(..3)
        .filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))?;
    match line.as_bytes().get(3) {
        None => Some((code, true, "")),
        Some(b' ') => Some((code, true, &line[4..])),
        Some(b'-') => Some((code, false, &line[4..])),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_split() {
        assert_eq!(
            split_reply("220 mail ESMTP"),
            Some(("220", true, "mail ESMTP"))
        );
        assert_eq!(
            split_reply("250-PIPELINING"),
            Some(("250", false, "PIPELINING"))
        );
        assert_eq!(split_reply("250"), Some(("250", true, "")));
        for wrong in ["", "22", "abc x", "220x", "2ä0 x", "* OK"] {
            assert_eq!(split_reply(wrong), None, "{wrong}");
        }
    }
}
