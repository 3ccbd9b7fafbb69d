//! The mail protocols, spoken as far as a client without a password gets.

use std::time::Duration;

use super::error::NetError;
use super::imap::Imap;
use super::line::Line;
use super::place::Place;
use super::smtp::{Hello, Smtp};
use super::tls::{Peer, Trust};

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Between servers: TLS is offered, and can be had.
    Smtp,
    /// From users: after TLS a login is offered.
    Submission,
    Smtps,
    Imap,
    Imaps,
    Pop3,
    Pop3s,
    Lmtp,
}

impl Protocol {
    /// The name of its check.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Smtps => "smtps",
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Pop3 => "pop3",
            Self::Pop3s => "pop3s",
            Self::Lmtp => "lmtp",
        }
    }
}

/// Speaks, and tells who was at the other end; `None` where the protocol has no TLS to offer.
pub(crate) fn converse(
    protocol: Protocol,
    place: &Place,
    trust: &Trust,
    name: &str,
    within: Duration,
) -> Result<Option<Peer>, NetError> {
    let line = Line::connect(place, within)?;
    match protocol {
        Protocol::Smtp => Ok(end(Smtp::open(line, Hello::Ehlo)?.start_tls(trust, name)?)),
        Protocol::Submission => with_login(Smtp::open(line, Hello::Ehlo)?.start_tls(trust, name)?),
        Protocol::Smtps => with_login(Smtp::open(line.protect(trust, name)?, Hello::Ehlo)?),
        Protocol::Lmtp => Ok(end(Smtp::open(line, Hello::Lhlo)?)),
        Protocol::Imap => imap(line, trust, name),
        Protocol::Imaps => imap(line.protect(trust, name)?, trust, name),
        Protocol::Pop3 => pop3(line, trust, name),
        Protocol::Pop3s => pop3(line.protect(trust, name)?, trust, name),
    }
}

fn with_login(session: Smtp) -> Result<Option<Peer>, NetError> {
    session.require_auth()?;
    Ok(end(session))
}

fn end(session: Smtp) -> Option<Peer> {
    let peer = session.peer().cloned();
    session.quit();
    peer
}

fn imap(line: Line, trust: &Trust, name: &str) -> Result<Option<Peer>, NetError> {
    let mut session = Imap::open(line)?;
    let offered = session.offers("STARTTLS")?;
    if session.peer().is_none() && offered {
        session = session.start_tls(trust, name)?;
        session.offers("IMAP4rev1")?;
    }
    let peer = session.peer().cloned();
    session.logout();
    Ok(peer)
}

fn pop3(mut line: Line, trust: &Trust, name: &str) -> Result<Option<Peer>, NetError> {
    const GREETING: &str = "the greeting +OK";
    let greeting = line.read_line(GREETING)?;
    if !greeting.starts_with("+OK") {
        return Err(line.unexpected(GREETING, &greeting));
    }
    if line.peer().is_none()
        && capabilities(&mut line)?
            .iter()
            .any(|word| word.eq_ignore_ascii_case("STLS"))
    {
        line.send(b"STLS\r\n")?;
        let answer = line.read_line("an answer to STLS")?;
        if !answer.starts_with("+OK") {
            return Err(line.refuses("STLS", &answer));
        }
        line = line.protect(trust, name)?;
        capabilities(&mut line)?;
    }
    // Farewell; what is answered does not matter any more.
    let _ = line.send(b"QUIT\r\n");
    Ok(line.peer().cloned())
}

/// CAPA (RFC 2449); a server that does not know it offers nothing.
fn capabilities(line: &mut Line) -> Result<Vec<String>, NetError> {
    const MAX_WORDS: usize = 200;
    line.send(b"CAPA\r\n")?;
    let mut words = Vec::new();
    if line.read_line("an answer to CAPA")?.starts_with("+OK") {
        while words.len() < MAX_WORDS {
            match line.read_line("an answer to CAPA")? {
                end if end == "." => break,
                word => words.push(word),
            }
        }
    }
    Ok(words)
}
