//! One clamd: introduced before it is believed, then asked.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use clamav_client::TransportProtocol;
use mail_common::clamav::Version;

use super::address::Address;
use super::connection::Dial;
use super::connection::Patience;
use super::error::{Error, Trouble};
use super::limits::Limits;
use super::reply::{self, Subject};
use super::sample;
use super::session::Session;
use crate::content::Content;
use crate::verdict::Verdict;

/// clamd answers these at once, unless all its threads are busy for longer.
const INTRODUCTION_REPLY: Duration = Duration::from_secs(30);

/// Larger chunks than the 4 KiB of the crate, which cost a third of the speed.
const CHUNK_BYTES: usize = 64 << 10;

/// Every clamd must look into files of this size.
const LEAST_BYTES: u64 = 64 << 10;

/// By which route contents reach a clamd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// FILDES: nothing is copied.
    Descriptor,
    /// INSTREAM.
    Stream,
}

/// What a clamd has shown of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    pub(crate) version: Version,
    /// How many threads it scans with at most, where it says so.
    pub(crate) threads: Option<usize>,
    pub(crate) route: Route,
    /// It names encrypted archives, instead of saying OK to them (AlertEncrypted).
    pub(crate) names_encrypted: bool,
    /// It says where a limit ended the scan, instead of saying OK (AlertExceedsMax).
    pub(crate) names_limits: bool,
    /// It opens RAR archives, for which it needs a library that Debian does not have.
    pub(crate) opens_rar: bool,
}

impl Introduction {
    /// What a verdict depends on, beside the content: a verdict of another identity is not used
    /// again. The number is that of this program's own rules: what it unpacks, and what it does not
    /// believe.
    pub(crate) fn identity(&self) -> String {
        let Self {
            version,
            names_encrypted,
            names_limits,
            opens_rar,
            ..
        } = self;
        format!(
            "4; {}; encrypted {names_encrypted}; limits {names_limits}; rar {opens_rar}",
            version.text
        )
    }
}

/// A clamd.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: Address,
    patience: Patience,
    limits: Limits,
    /// It takes descriptors of memory, and not of files.
    refuses_files: AtomicBool,
    introduction: RwLock<Arc<Introduction>>,
}

impl Server {
    /// Reaches the clamd at `address` and proves that it finds what it must.
    pub(crate) fn introduce(address: Address, patience: Patience) -> Result<Self, Error> {
        let introduction = Arc::new(introduction_of(&address, &patience)?);
        let (limits, refuses_files) = (Limits::unknown(), AtomicBool::new(false));
        let server = Self {
            address,
            patience,
            limits,
            refuses_files,
            introduction: RwLock::new(introduction),
        };
        server.check_depth()?;
        Ok(server)
    }

    /// Proves it again, after it did not answer: another may have taken its place, with other
    /// limits.
    pub(crate) fn introduce_again(&self) -> Result<(), Error> {
        let introduction = introduction_of(&self.address, &self.patience)?;
        *self
            .introduction
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(introduction);
        self.limits.forget();
        self.check_depth()
    }

    /// Proves at the end of a run that its verdicts can be relied on: it still finds what it
    /// must, looks into as large contents as before, and names what it named.
    pub(crate) fn prove_to_the_end(&self) -> Result<(), Error> {
        let (before, seen_bytes) = (self.introduction(), self.limits.seen_bytes());
        self.introduce_again()?;
        let changed = |what| {
            Err(Error::Changed {
                address: self.address.clone(),
                what,
            })
        };
        let now = self.introduction();
        if (before.names_encrypted && !now.names_encrypted)
            || (before.names_limits && !now.names_limits)
            || (before.opens_rar && !now.opens_rar)
        {
            return changed("keeps silent now about what it named before");
        }
        let trouble = |source| Error::Trouble {
            address: self.address.clone(),
            source,
        };
        if !self.allows(seen_bytes).map_err(trouble)? {
            return changed("no longer looks into contents as large as those it was shown");
        }
        Ok(())
    }

    pub(crate) fn introduction(&self) -> Arc<Introduction> {
        Arc::clone(
            &self
                .introduction
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Asks for `content`; `session` is kept between questions.
    pub(crate) fn scan(
        &self,
        session: &mut Option<Session>,
        content: &Content,
    ) -> Result<Verdict, Trouble> {
        let bytes = content.bytes();
        if self.allows(bytes)? {
            return self.ask(session, content);
        }
        Ok(Verdict::Unscanned(format!(
            "{bytes} bytes are more than clamd looks into \
             (MaxFileSize, MaxScanSize, StreamMaxLength)"
        )))
    }

    /// Asks for several small contents at a time, where that saves waiting. What has no answer then
    /// is to be asked for by itself.
    pub(crate) fn scan_all(
        &self,
        session: &mut Option<Session>,
        contents: &[&Content],
    ) -> Vec<Option<Verdict>> {
        let largest = contents
            .iter()
            .map(|content| content.bytes())
            .max()
            .unwrap_or(0);
        let takes_all = !self.refuses_files.load(Ordering::Relaxed)
            && self.introduction().route == Route::Descriptor;
        let is_quick = takes_all && matches!(self.allows(largest), Ok(true));
        if !is_quick {
            return vec![None; contents.len()];
        }
        let dial = Dial {
            address: &self.address,
            patience: &self.patience,
        };
        ask_for_all(dial, session, contents)
    }

    /// Whether clamd looks into the whole of a file of that size.
    pub(crate) fn allows(&self, bytes: u64) -> Result<bool, Trouble> {
        self.limits
            .allow(bytes.max(LEAST_BYTES), |sample| self.finds(sample))
    }

    fn ask(&self, session: &mut Option<Session>, content: &Content) -> Result<Verdict, Trouble> {
        let dial = Dial {
            address: &self.address,
            patience: &self.patience.for_bytes(content.bytes()),
        };
        let answer = match self.introduction().route {
            Route::Descriptor => self.ask_by_any_descriptor(dial, session, content),
            Route::Stream => ask_by_stream(dial, content),
        };
        if answer.is_err() {
            *session = None;
        }
        answer
    }

    /// By the descriptor of a file, or of a copy in memory: AppArmor lets clamd have descriptors of
    /// such files only as its profile names. Once that is found out, no file is tried any more.
    fn ask_by_any_descriptor(
        &self,
        dial: Dial<'_>,
        session: &mut Option<Session>,
        content: &Content,
    ) -> Result<Verdict, Trouble> {
        let is_file = matches!(content, Content::File { .. });
        if !is_file || !self.refuses_files.load(Ordering::Relaxed) {
            match ask_by_descriptor(dial, session, content) {
                Err(error) if is_file && error.is_reply() => *session = None,
                answer => return answer,
            }
        }
        let Some(memory) = content.to_memory().map_err(Trouble::Content)? else {
            return Ok(Verdict::Unscanned(format!(
                "{} bytes are more than is copied for clamd",
                content.bytes()
            )));
        };
        let verdict = ask_by_descriptor(dial, session, &Content::Memory(memory.into_owned()))?;
        self.refuses_files.store(true, Ordering::Relaxed);
        Ok(verdict)
    }

    fn finds(&self, sample: &[u8]) -> Result<bool, Trouble> {
        let content = Content::Memory(sample.to_vec());
        Ok(matches!(
            self.ask(&mut None, &content)?,
            Verdict::Infected(_)
        ))
    }

    /// Proves that it looks into archives and messages.
    fn check_depth(&self) -> Result<(), Error> {
        let trouble = |source| Error::Trouble {
            address: self.address.clone(),
            source,
        };
        let blind = |how, advice| Error::Blind {
            address: self.address.clone(),
            how,
            advice,
        };
        if !self.allows(LEAST_BYTES).map_err(trouble)? {
            return Err(blind(
                " in an archive",
                "set ScanArchive yes, and MaxFileSize to 25M or more, in its clamd.conf",
            ));
        }
        if !self.finds(&sample::mail_with_eicar()).map_err(trouble)? {
            return Err(blind(
                " in the attachment of a message",
                "set ScanMail yes in its clamd.conf",
            ));
        }
        Ok(())
    }
}

fn introduction_of(address: &Address, patience: &Patience) -> Result<Introduction, Error> {
    let patience = Patience {
        reply: patience.reply.min(INTRODUCTION_REPLY),
        ..patience.clone()
    };
    let dial = Dial {
        address,
        patience: &patience,
    };
    let reach = |source| Error::Reach {
        address: address.clone(),
        source,
    };
    let no_clamd = |reply: &[u8]| Error::NoClamd {
        address: address.clone(),
        reply: String::from_utf8_lossy(reply).chars().take(60).collect(),
    };
    let pong = clamav_client::ping(dial).map_err(reach)?;
    if pong != clamav_client::PONG {
        return Err(no_clamd(&pong));
    }
    let version = clamav_client::get_version(dial).map_err(reach)?;
    let version = Version::parse(&version).ok_or_else(|| no_clamd(&version))?;
    let trouble = |source| Error::Trouble {
        address: address.clone(),
        source,
    };
    let route = route_of(dial)?;
    let ask = |sample: Vec<u8>| {
        let content = Content::Memory(sample);
        match route {
            Route::Descriptor => ask_by_descriptor(dial, &mut None, &content),
            Route::Stream => ask_by_stream(dial, &content),
        }
    };
    let deep = sample::too_deep().map_err(|source| trouble(Trouble::Content(source)))?;
    let is_named = |verdict: &Verdict| matches!(verdict, Verdict::Unscanned(_));
    Ok(Introduction {
        version,
        threads: threads_of(dial),
        route,
        names_encrypted: is_named(&ask(sample::encrypted()).map_err(trouble)?),
        names_limits: is_named(&ask(deep).map_err(trouble)?),
        opens_rar: matches!(
            ask(sample::rar_with_eicar()).map_err(trouble)?,
            Verdict::Infected(_)
        ),
    })
}

/// By descriptor where EICAR is found so, else by stream, by which it must be found.
fn route_of(dial: Dial<'_>) -> Result<Route, Error> {
    let address = || dial.address.clone();
    let eicar = Content::Memory(sample::eicar());
    if matches!(
        ask_by_descriptor(dial, &mut None, &eicar),
        Ok(Verdict::Infected(_))
    ) {
        return Ok(Route::Descriptor);
    }
    match ask_by_stream(dial, &eicar) {
        Ok(Verdict::Infected(_)) => Ok(Route::Stream),
        Ok(_) => {
            let advice = "are its signatures there? run freshclam";
            Err(Error::Blind {
                address: address(),
                how: "",
                advice,
            })
        }
        Err(source) => Err(Error::Trouble {
            address: address(),
            source,
        }),
    }
}

/// `THREADS: live 1  idle 0 max 12 idle-timeout 30` of STATS, whose format clamd(8) does not
/// promise.
fn threads_of(dial: Dial<'_>) -> Option<usize> {
    let mut connection = dial.connect().ok()?;
    connection.write_all(b"zSTATS\0").ok()?;
    let mut reply = Vec::new();
    connection.read_to_end(&mut reply).ok()?;
    parse_threads(&String::from_utf8_lossy(&reply))
}

fn parse_threads(stats: &str) -> Option<usize> {
    let line = stats
        .lines()
        .find_map(|line| line.trim().strip_prefix("THREADS:"))?;
    let after_max = line
        .split_ascii_whitespace()
        .skip_while(|word| *word != "max")
        .nth(1)?;
    after_max.parse().ok().filter(|threads| *threads > 0)
}

fn ask_by_stream(dial: Dial<'_>, content: &Content) -> Result<Verdict, Trouble> {
    let Some(memory) = content.to_memory().map_err(Trouble::Content)? else {
        return Ok(Verdict::Unscanned(format!(
            "{} bytes are more than is sent as a stream",
            content.bytes()
        )));
    };
    let reply = clamav_client::scan_buffer(&memory, dial, Some(CHUNK_BYTES)).map_err(failed)?;
    reply::parse(&reply, Subject::Stream)
}

/// The crate does not tell a refused connection from one that broke.
fn failed(error: io::Error) -> Trouble {
    use ErrorKind::{
        ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound, PermissionDenied,
    };
    match error.kind() {
        ConnectionRefused | HostUnreachable | NetworkUnreachable | NotFound | PermissionDenied => {
            Trouble::Connect(error)
        }
        _ => Trouble::Ask(error),
    }
}

fn ask_by_descriptor(
    dial: Dial<'_>,
    session: &mut Option<Session>,
    content: &Content,
) -> Result<Verdict, Trouble> {
    let Address::Unix(path) = dial.address else {
        return Err(Trouble::NoReply);
    };
    let descriptor = content.descriptor().map_err(Trouble::Content)?;
    let ask = |session: &mut Session| -> io::Result<(u64, Vec<u8>)> {
        let start = Instant::now();
        let number = session.ask(&descriptor)?;
        Ok((number, session.reply(dial.patience, start)?))
    };
    if let Some(old) = session {
        match ask(old) {
            Ok((number, reply)) if !reply.is_empty() => {
                return reply::parse(&reply, Subject::Descriptor(number));
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => return Err(Trouble::Ask(error)),
            // clamd closes a session that was silent for a while: a new one is asked.
            _ => {}
        }
    }
    let new = session.insert(Session::open(path, dial.patience).map_err(Trouble::Connect)?);
    let (number, reply) = ask(new).map_err(Trouble::Ask)?;
    reply::parse(&reply, Subject::Descriptor(number))
}

/// Asks for all of `contents` before it waits for the first reply. Replies come in any order; after
/// one that is none, the rest is without an answer, and the session at its end.
fn ask_for_all(
    dial: Dial<'_>,
    session: &mut Option<Session>,
    contents: &[&Content],
) -> Vec<Option<Verdict>> {
    let mut verdicts = vec![None; contents.len()];
    if ask_in_one_go(dial, session, contents, &mut verdicts).is_err() {
        *session = None;
    }
    verdicts
}

fn ask_in_one_go(
    dial: Dial<'_>,
    session: &mut Option<Session>,
    contents: &[&Content],
    verdicts: &mut [Option<Verdict>],
) -> Result<(), Trouble> {
    let Address::Unix(path) = dial.address else {
        return Err(Trouble::NoReply);
    };
    let session = match session {
        Some(session) => session,
        None => session.insert(Session::open(path, dial.patience).map_err(Trouble::Connect)?),
    };
    // One deadline for all: a clamd that draws them out is asked for each by itself.
    let start = Instant::now();
    let mut numbers = Vec::with_capacity(contents.len());
    for content in contents {
        let descriptor = content.descriptor().map_err(Trouble::Content)?;
        numbers.push(session.ask(&descriptor).map_err(Trouble::Ask)?);
    }
    for _ in contents {
        let reply = session.reply(dial.patience, start).map_err(Trouble::Ask)?;
        let number = reply::number(&reply).ok_or(Trouble::NoReply)?;
        let at = numbers
            .iter()
            .position(|asked| *asked == number)
            .ok_or(Trouble::NoReply)?;
        let verdict = reply::parse(&reply, Subject::Descriptor(number))?;
        // One answer to a question: a second one would be for another.
        if verdicts[at].replace(verdict).is_some() {
            verdicts[at] = None;
            return Err(Trouble::NoReply);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_read_from_the_statistics() {
        let stats = "POOLS: 1\n\nSTATE: VALID PRIMARY\nTHREADS: live 1  idle 0 max 10 idle-timeout 30\nQUEUE: 0 items\n";
        assert_eq!(parse_threads(stats), Some(10));
        assert_eq!(parse_threads("THREADS: live 1 max"), None);
        assert_eq!(parse_threads("THREADS: max 0"), None);
        assert_eq!(parse_threads(""), None);
    }
}
