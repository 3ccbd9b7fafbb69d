//! Several clamds: work is spread over them, what one fails at the others are asked, and one that
//! comes back is used again.
//!
//! A mail server restarts its clamd at night, when signatures change, and that takes half a minute;
//! a scan that gave up then would never end well. On the other hand some file may be what kills
//! clamd, and a clamd that never comes back must not hold the run for hours. So silence is counted
//! in two ways. By content: one that three attempts got no answer for is unscanned, and the next
//! one is tried; a refused connection is no attempt, since clamd never saw the content. By time:
//! when no clamd has answered for as long as a restart takes, the pool is lost, every content that
//! is still waiting is unscanned at once, and the run ends with exit code 3.
//!
//! A clamd may also answer whatever proves it, and no content: after eight contents in a row
//! without an answer the pool is lost too.
//!
//! A clamd that was silent is not believed when it answers again: another may have taken its place.
//! It proves itself as at the start of the run first. One thread does that, under `silent_since`;
//! the others take the clamd for silent meanwhile and ask the next one, so that none of them waits.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mail_common::report::chain;

use super::address::Address;
use super::connection::Patience;
use super::error::{Error, Trouble};
use super::server::{Introduction, Server};
use super::session::Session;
use crate::content::Content;
use crate::verdict::Verdict;

/// A content that this many attempts got no answer for is not tried again: it may be what kills
/// clamd.
const ATTEMPTS: usize = 3;

/// While no clamd answers, one that restarts is waited for: with all signatures that takes half a
/// minute.
const RESTART_PATIENCE: Duration = Duration::from_secs(90);

/// How long until a clamd that did not answer is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// After so many contents in a row without an answer it is not the contents that kill clamd.
const UNANSWERED_MAX: usize = 8;

const WAIT: Duration = Duration::from_millis(200);

/// Threads of a clamd that are left to the mail server.
const SPARED_THREADS: usize = 2;

/// Where a clamd does not say how many threads it has.
const USUAL_THREADS: usize = 10;

/// The clamds of a run.
#[derive(Debug)]
pub(crate) struct Pool {
    members: Vec<Member>,
    patience: Patience,
    lost: AtomicBool,
    /// Contents in a row without an answer.
    unanswered: AtomicUsize,
}

#[derive(Debug)]
struct Member {
    server: Server,
    /// It has not answered; looked at first, so that those who ask one that answers do not wait for
    /// each other.
    is_silent: AtomicBool,
    /// Since when it has not answered.
    silent_since: Mutex<Option<Instant>>,
    /// Why it did not answer last.
    trouble: Mutex<Option<String>>,
}

/// What the pool says of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// Whose it is.
    pub(crate) by: Arc<Introduction>,
}

/// Asks the pool, one content at a time.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    pool: &'a Pool,
    /// Which clamd it asks first.
    home: usize,
    sessions: Vec<Option<Session>>,
}

impl Pool {
    /// Introduces all clamds. Those that cannot be reached are given back; one that finds nothing
    /// is an error.
    pub(crate) fn open(
        addresses: &[Address],
        patience: &Patience,
    ) -> Result<(Self, Vec<Error>), Error> {
        let (mut members, mut unreachable) = (Vec::new(), Vec::new());
        for address in addresses {
            match Server::introduce(address.clone(), patience.clone()) {
                Ok(server) => {
                    members.push(Member::new(server));
                }
                Err(error) if error.is_blind() => return Err(error),
                Err(error) => unreachable.push(error),
            }
        }
        if members.is_empty()
            && let Some(error) = unreachable.pop()
        {
            return Err(Error::None(Box::new(error)));
        }
        let pool = Self {
            members,
            patience: patience.clone(),
            lost: AtomicBool::new(false),
            unanswered: AtomicUsize::new(0),
        };
        Ok((pool, unreachable))
    }

    /// Each clamd with what it has shown of itself.
    pub(crate) fn introductions(&self) -> impl Iterator<Item = (&Address, Arc<Introduction>)> {
        self.members
            .iter()
            .map(|member| (&member.server.address, member.server.introduction()))
    }

    /// Who scans: the version of each, every one once.
    pub(crate) fn engine(&self) -> String {
        let mut versions: Vec<String> = self
            .introductions()
            .map(|(_, shown)| shown.version.text.clone())
            .collect();
        versions.sort();
        versions.dedup();
        versions.join(", ")
    }

    /// What verdicts depend on beside the content, of each clamd, every one once.
    pub(crate) fn identities(&self) -> Vec<String> {
        let mut identities: Vec<String> = self
            .introductions()
            .map(|(_, shown)| shown.identity())
            .collect();
        identities.sort();
        identities.dedup();
        identities
    }

    /// How many contents it takes at a time, on a machine with `cores`.
    pub(crate) fn jobs(&self, cores: usize) -> usize {
        self.members.iter().map(|member| member.jobs(cores)).sum()
    }

    /// Whether the last attempts found no clamd that answers.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Proves at the end of a run that its verdicts can be relied on, by those that still
    /// answer.
    ///
    /// # Errors
    /// When one of them has become blind, wholly or in part: nobody knows since when.
    pub(crate) fn prove_to_the_end(&self) -> Result<(), Error> {
        let answers = |member: &&Member| !member.is_silent.load(Ordering::Acquire);
        for member in self.members.iter().filter(answers) {
            match member.server.prove_to_the_end() {
                Err(error) if error.is_blind() => return Err(error),
                // One that has ended meanwhile had been proved before.
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whether all of them do not look into the whole of a content of `bytes`. One that does not
    /// answer now may do so later.
    pub(crate) fn refuses(&self, bytes: u64) -> bool {
        self.members
            .iter()
            .all(|member| matches!(member.server.allows(bytes), Ok(false)))
    }

    /// Whether one of them does not look into the whole of a content of `bytes`.
    pub(crate) fn is_in_doubt(&self, bytes: u64) -> bool {
        self.members
            .iter()
            .any(|member| matches!(member.server.allows(bytes), Ok(false)))
    }

    /// The worker of that number, on a machine with `cores`; each clamd is the first choice of as
    /// many as it has jobs.
    pub(crate) fn worker(&self, number: usize, cores: usize) -> Worker<'_> {
        let mut homes = self
            .members
            .iter()
            .enumerate()
            .flat_map(|(at, member)| std::iter::repeat_n(at, member.jobs(cores)));
        let home = homes.nth(number).unwrap_or(number % self.members.len());
        Worker {
            pool: self,
            home,
            sessions: self.members.iter().map(|_| None).collect(),
        }
    }
}

impl Member {
    fn new(server: Server) -> Self {
        let (is_silent, silent_since, trouble) =
            (AtomicBool::new(false), Mutex::default(), Mutex::default());
        Self {
            server,
            is_silent,
            silent_since,
            trouble,
        }
    }

    fn jobs(&self, cores: usize) -> usize {
        let threads = self.server.introduction().threads.unwrap_or(USUAL_THREADS);
        let spared = threads.saturating_sub(SPARED_THREADS).max(1);
        match self.server.address {
            // It shares the machine with this program.
            Address::Unix(_) => spared.min(2 * cores),
            Address::Tcp(_) => spared,
        }
    }

    /// Whether it is worth a question now. One that was silent introduces itself again first;
    /// meanwhile others do not wait for it.
    fn is_ready(&self) -> Result<bool, Error> {
        if !self.is_silent.load(Ordering::Acquire) {
            return Ok(true);
        }
        let Ok(mut silent_since) = self.silent_since.try_lock() else {
            return Ok(false);
        };
        match *silent_since {
            None => Ok(true),
            Some(since) if since.elapsed() < RETRY_AFTER => Ok(false),
            Some(_) => {
                *silent_since = Some(Instant::now());
                self.server.introduce_again()?;
                *silent_since = None;
                self.is_silent.store(false, Ordering::Release);
                Ok(true)
            }
        }
    }

    fn fell_silent(&self, why: &str) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
        let mut silent_since = self
            .silent_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        silent_since.get_or_insert_with(Instant::now);
        self.is_silent.store(true, Ordering::Release);
    }
}

/// What one round over all clamds came to.
enum Round {
    Answered(Answer),
    /// None answered; why, where one was asked.
    Silent(Option<String>),
}

impl Worker<'_> {
    /// The verdicts on `contents`, in order. The clamd that is asked first is asked for all of them
    /// at a time.
    pub(crate) fn scan_all(&mut self, contents: &[&Content]) -> Vec<Answer> {
        let member = &self.pool.members[self.home];
        let by = member.server.introduction();
        let session = &mut self.sessions[self.home];
        let at_once = if contents.len() > 1 && matches!(member.is_ready(), Ok(true)) {
            member.server.scan_all(session, contents)
        } else {
            vec![None; contents.len()]
        };
        let answer = |(content, verdict): (&&Content, Option<Verdict>)| match verdict {
            Some(verdict @ (Verdict::Clean | Verdict::Infected(_))) => Answer {
                verdict,
                by: Arc::clone(&by),
            },
            Some(Verdict::Noted(_) | Verdict::Unscanned(_)) | None => self.scan(content),
        };
        contents.iter().zip(at_once).map(answer).collect()
    }

    /// The verdict on `content`. It is unscanned when all clamds together did not answer for long,
    /// or to three attempts.
    pub(crate) fn scan(&mut self, content: &Content) -> Answer {
        let (start, mut attempts, mut reason) = (Instant::now(), 0, None);
        loop {
            match self.round(content, &mut attempts) {
                Round::Answered(answer) => {
                    self.pool.lost.store(false, Ordering::Relaxed);
                    self.pool.unanswered.store(0, Ordering::Relaxed);
                    return answer;
                }
                Round::Silent(why) => reason = why.or(reason),
            }
            if self.pool.patience.interrupt.check().is_err() {
                return self.unscanned("the run was interrupted");
            }
            let why = reason.as_deref().unwrap_or("no clamd answers");
            if attempts >= ATTEMPTS {
                let before = self.pool.unanswered.fetch_add(1, Ordering::Relaxed);
                if before + 1 >= UNANSWERED_MAX {
                    self.pool.lost.store(true, Ordering::Relaxed);
                }
                return self.unscanned(why);
            }
            if self.pool.is_lost()
                || start.elapsed() >= RESTART_PATIENCE.min(self.pool.patience.reply)
            {
                self.pool.lost.store(true, Ordering::Relaxed);
                return self.unscanned(why);
            }
            thread::sleep(WAIT);
        }
    }

    /// Asks each clamd that is worth it until one has a verdict; "unscanned" may be clean or
    /// infected for the next one.
    fn round(&mut self, content: &Content, attempts: &mut usize) -> Round {
        let (mut unscanned, mut trouble) = (None, None);
        for offset in 0..self.pool.members.len() {
            let index = (self.home + offset) % self.pool.members.len();
            let member = &self.pool.members[index];
            match member.is_ready() {
                Ok(true) => {}
                Ok(false) => {
                    trouble = member
                        .trouble
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clone();
                    continue;
                }
                Err(error) => {
                    trouble = Some(chain(&error));
                    continue;
                }
            }
            let by = member.server.introduction();
            match member.server.scan(&mut self.sessions[index], content) {
                Ok(verdict @ Verdict::Unscanned(_)) => unscanned = Some(Answer { verdict, by }),
                Ok(verdict) => return Round::Answered(Answer { verdict, by }),
                // No fault of clamd.
                Err(error @ Trouble::Content(_)) => {
                    let verdict = Verdict::Unscanned(chain(&error));
                    return Round::Answered(Answer { verdict, by });
                }
                Err(error) => {
                    *attempts += usize::from(!matches!(error, Trouble::Connect(_)));
                    let why = chain(&error);
                    member.fell_silent(&why);
                    trouble = Some(why);
                }
            }
        }
        unscanned.map_or(Round::Silent(trouble), Round::Answered)
    }

    fn unscanned(&self, reason: &str) -> Answer {
        let by = self.pool.members[self.home].server.introduction();
        Answer {
            verdict: Verdict::Unscanned(reason.to_owned()),
            by,
        }
    }
}
