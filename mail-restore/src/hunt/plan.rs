//! What is looked for, in which sets, and what is done with what is found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use glob::Pattern;
use jiff::tz::TimeZone;
use mail_common::checksum::Sha256;
use mail_common::record;
use mail_common::relpath::RelPath;
use mail_common::set::Address;
use mail_common::tool::{Session, parse_size};

use super::sets::{is_of_many, open, open_all};
use crate::args::Args;
use crate::error::Error;
use crate::find::{
    Conditions, Error as FindError, Language, SearchedSet, Unread, Whereabouts, Words, folded,
};
use crate::messages;
use crate::plan::{places, query};
use crate::setup::{Clearance, Destination, Setup, Work};

/// A search and what comes after it.
#[derive(Debug)]
pub(crate) struct Hunt {
    pub(super) sets: Vec<SearchedSet>,
    /// Messages of this set are left out.
    pub(super) not_in: Option<SearchedSet>,
    pub(super) wanted: Wanted,
    pub(super) aim: Aim,
    pub(super) destination: Destination,
    /// The live mail root, or where mail is restored to.
    pub(super) mail: PathBuf,
    pub(super) clearance: Clearance,
}

/// Which messages are meant.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Those that fit.
    Fitting {
        conditions: Box<Conditions>,
        whereabouts: Whereabouts,
        limit: Option<usize>,
    },
    /// These, of each of the sets.
    Listed(Vec<Chosen>),
}

/// Messages of one set, by their paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    pub(super) paths: BTreeMap<RelPath, Sha256>,
    /// Their mailboxes, where all of them have a name.
    pub(super) mailboxes: Option<BTreeSet<Address>>,
}

/// What is done with what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    List,
    /// To restore it, or to say what would be restored.
    Restore(Work),
}

/// Whether messages are looked for in any number of sets, rather than taken from one.
pub(crate) fn is_asked_for(args: &Args) -> bool {
    let search = &args.search;
    let is_of_several = args.from.len() > 1 || args.from.iter().any(|from| is_of_many(from));
    search.is_given() || (args.asks_for_messages() && is_of_several)
}

impl Hunt {
    /// Reads what is asked for, and opens the sets.
    pub(crate) fn new(
        args: &Args,
        setup: &Setup,
        zone: &TimeZone,
        session: &Session,
    ) -> Result<Self, Error> {
        let search = &args.search;
        let wanted = Wanted::Fitting {
            conditions: Box::new(conditions(args, zone)?),
            whereabouts: if search.missing {
                Whereabouts::Missing
            } else {
                Whereabouts::Anywhere
            },
            limit: search.limit.map(|limit| limit.get() as usize),
        };
        let live = places(args, setup, &Destination::Live).mail;
        if search.missing && !live.is_dir() {
            return Err(FindError::NoLiveMail { root: live }.into());
        }
        let not_in = search.not_in.as_ref();
        let not_in = not_in.map(|operand| Ok::<_, Error>(open(setup, &setup.find(operand)?)?));
        Ok(Self {
            not_in: not_in.transpose()?,
            sets: open_all(setup, &args.from, session)?,
            ..Self::of(args, wanted, live)
        })
    }

    /// Opens the sets that `records` name: the last that has a message, which it is taken from, and
    /// the first, for what that one cannot give.
    pub(crate) fn of_records(
        args: &Args,
        setup: &Setup,
        records: &[record::Message],
    ) -> Result<Self, Error> {
        let mut by_set: BTreeMap<PathBuf, Chosen> = BTreeMap::new();
        let mut others = BTreeSet::new();
        for record in records {
            let root = Path::new(record.root.as_deref().unwrap_or_default());
            let chosen = by_set.entry(root.join(&record.last_set)).or_default();
            chosen.add(record)?;
            others.insert(root.join(&record.first_set));
        }
        others.retain(|path| !by_set.contains_key(path));
        let open = |path: &Path| open(setup, path);
        let opened = by_set
            .into_iter()
            .map(|(path, chosen)| Ok((open(&path)?, chosen)));
        let mut opened = opened.collect::<Result<Vec<_>, Error>>()?;
        // One that is gone by now is not missed as long as nothing is damaged.
        let others = others.iter().filter_map(|path| open(path).ok());
        opened.extend(others.map(|set| (set, Chosen::default())));
        opened.sort_by(|(a, _), (b, _)| b.age_order().cmp(&a.age_order()));
        let (sets, listed) = opened.into_iter().unzip();
        let live = places(args, setup, &Destination::Live).mail;
        Ok(Self {
            sets,
            ..Self::of(args, Wanted::Listed(listed), live)
        })
    }

    /// What comes with folders that are gone, where whole ones are meant.
    pub(super) fn whole_folders(&self) -> Option<&Vec<Pattern>> {
        match &self.wanted {
            Wanted::Fitting { conditions, .. } => conditions.whole_folders(),
            Wanted::Listed(_) => None,
        }
    }

    fn of(args: &Args, wanted: Wanted, mail: PathBuf) -> Self {
        Self {
            sets: Vec::new(),
            not_in: None,
            wanted,
            aim: if args.search.list {
                Aim::List
            } else {
                Aim::Restore(Work::of(args))
            },
            destination: Destination::of(args),
            mail,
            clearance: Clearance::of(args),
        }
    }
}

impl Chosen {
    fn add(&mut self, record: &record::Message) -> Result<(), FindError> {
        let path = RelPath::try_from(&record.path);
        let path = path.map_err(|_| FindError::Record {
            path: record.path.path.clone(),
            what: "its path leads out of the mail root",
        })?;
        self.choose(path, record.sha256, &record.mailbox);
        Ok(())
    }

    /// All of them, where the set cannot give any.
    pub(super) fn unread(&self) -> Vec<Unread> {
        let unread = |(path, sha256): (&RelPath, &Sha256)| Unread {
            path: path.clone(),
            sha256: *sha256,
            file: None,
        };
        self.paths.iter().map(unread).collect()
    }

    pub(super) fn choose(&mut self, path: RelPath, sha256: Sha256, mailbox: &str) {
        if self.paths.is_empty() {
            self.mailboxes = Some(BTreeSet::new());
        }
        self.paths.insert(path, sha256);
        match (mailbox.parse(), &mut self.mailboxes) {
            (Ok(address), Some(mailboxes)) => {
                mailboxes.insert(address);
            }
            _ => self.mailboxes = None,
        }
    }
}

/// What the flags say of the messages.
fn conditions(args: &Args, zone: &TimeZone) -> Result<Conditions, Error> {
    let search = &args.search;
    let language = if search.regex {
        Language::Regex
    } else {
        Language::Plain
    };
    let words = |texts: &[String]| Words::of(texts, language);
    let conditions = Conditions {
        query: query(args, zone)?.unwrap_or_default(),
        larger_bytes: search.larger.as_deref().map(size).transpose()?,
        senders: words(&search.sender)?,
        recipients: words(&search.recipient)?,
        subjects: words(&search.subject)?,
        texts: words(&search.text)?,
        attachments: search
            .attachment
            .iter()
            .map(|text| pattern(text))
            .collect::<Result<_, _>>()?,
        shown: search.shown(),
    };
    if search.regex && !conditions.has_words() {
        return Err(FindError::Needs {
            flag: "regex",
            needs: "give a --sender, --recipient, --subject or --text with it",
        }
        .into());
    }
    Ok(conditions)
}

fn size(text: &str) -> Result<u64, FindError> {
    let bytes = parse_size(text).ok_or_else(|| FindError::Size {
        text: text.to_owned(),
    })?;
    Ok(bytes.get())
}

/// A pattern for folded names of files.
fn pattern(text: &str) -> Result<Pattern, messages::Error> {
    let pattern = Pattern::new(&folded(text));
    pattern.map_err(|source| messages::Error::Pattern {
        text: text.to_owned(),
        source,
    })
}
