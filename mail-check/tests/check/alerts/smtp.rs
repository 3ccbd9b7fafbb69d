//! A mail server that keeps letters, as far as RFC 5321 is needed to be given one.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mail_tests::receiver::{Kept, Receiver, Talk};
use rustls::ServerConfig;

use super::identity::{Identity, secured};

/// How it behaves.
#[derive(Clone)]
pub(crate) enum Manner {
    Plain,
    /// It offers STARTTLS.
    Starttls(Arc<ServerConfig>),
    /// TLS from the first byte.
    Immediate(Arc<ServerConfig>),
    /// 550 to every recipient.
    Refuse,
    /// Nothing is ever said.
    Hang,
}

/// A letter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Letter {
    pub(crate) commands: Vec<String>,
    pub(crate) text: String,
    pub(crate) is_secured: bool,
}

/// The server.
pub(crate) struct MailServer {
    pub(crate) kept: Kept<Letter>,
    receiver: Receiver,
}

impl MailServer {
    pub(crate) fn start(manner: Manner) -> Self {
        let kept = Kept::new();
        let keep = kept.clone();
        let receiver = Receiver::start(move |stream| serve(stream, &manner, &keep));
        Self { kept, receiver }
    }

    pub(crate) fn starttls(identity: &Identity) -> Self {
        Self::start(Manner::Starttls(identity.server()))
    }

    pub(crate) fn address(&self) -> String {
        format!("localhost:{}", self.receiver.port())
    }
}

fn serve(stream: TcpStream, manner: &Manner, kept: &Kept<Letter>) {
    match manner {
        Manner::Hang => thread::sleep(Duration::from_secs(60)),
        Manner::Immediate(config) => {
            if let Some(stream) = secured(stream, config) {
                talk(stream, manner, true, kept);
            }
        }
        Manner::Plain | Manner::Refuse | Manner::Starttls(_) => {
            let twin = stream.try_clone().unwrap();
            if talk(stream, manner, false, kept)
                && let Manner::Starttls(config) = manner
                && let Some(stream) = secured(twin, config)
            {
                talk(stream, manner, true, kept);
            }
        }
    }
}

/// Whether the client wants TLS now.
fn talk(stream: impl Talk, manner: &Manner, is_secured: bool, kept: &Kept<Letter>) -> bool {
    let mut stream = BufReader::new(stream);
    let mut letter = Letter {
        is_secured,
        ..Letter::default()
    };
    let offers_tls = matches!(manner, Manner::Starttls(_)) && !is_secured;
    let is_greeted = matches!(manner, Manner::Starttls(_)) && is_secured;
    let say = |stream: &mut BufReader<_>, text: &str| {
        let stream: &mut dyn Write = BufReader::get_mut(stream);
        let _ = stream
            .write_all(text.as_bytes())
            .and_then(|()| stream.flush());
    };
    if !is_greeted {
        say(&mut stream, "220 mx.example.net ESMTP\r\n");
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or_default() == 0 {
            return false;
        }
        let command = line.trim_end().to_owned();
        let answer = match command.split(' ').next().unwrap_or_default() {
            "EHLO" if offers_tls => "250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
            "EHLO" => "250-mx\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n",
            "STARTTLS" => {
                say(&mut stream, "220 go on\r\n");
                return true;
            }
            "AUTH" => "235 welcome\r\n",
            "RCPT" if matches!(manner, Manner::Refuse) => "550 no such user\r\n",
            "DATA" => {
                say(&mut stream, "354 go on\r\n");
                letter.text = text(&mut stream);
                kept.put(letter.clone());
                "250 kept\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 fine\r\n",
        };
        letter.commands.push(command);
        say(&mut stream, answer);
    }
}

fn text(stream: &mut impl BufRead) -> String {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        match stream.read_line(&mut line) {
            Ok(bytes) if bytes > 0 && line != ".\r\n" => text.push_str(&line),
            _ => return text,
        }
    }
}
