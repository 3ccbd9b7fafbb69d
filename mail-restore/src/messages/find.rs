//! What a query means in a set: the mailboxes that are asked for, looked through side by side, and
//! what the answers come to.

use std::collections::{BTreeMap, BTreeSet};

use mail_common::relpath::RelPath;
use mail_common::set::mailbox::ABOVE;
use mail_common::set::{Address, Inventory, address_of};

use super::candidate::{Ambiguous, Candidate, Found, Selection};
use super::error::Error;
use super::lots::{LOT, Lot, Room};
use super::query::{MessageId, Query};
use super::saved::{Unit, units};
use super::scan::{Keep, Scan, Scope, scan};
use super::work::{Work, for_each};

/// Finds the messages of a set that `query` means. Only the indices of the mailboxes that are asked
/// for are read; frames are read only where a Message-ID is asked for that an index does not have.
/// Nothing is written.
///
/// # Errors
/// When a mailbox is not in the set, no message matches, or an index is not what it should be.
pub fn find(inventory: &Inventory, query: &Query, work: &Work<'_>) -> Result<Found, Error> {
    let room = Room::new(usize::MAX);
    let total = look_through(inventory, query, Keep::InRoom(&room), work)?;
    judge(inventory, query, total)
}

/// Messages that may be too many to be held at once.
#[derive(Debug)]
pub(crate) enum Amount {
    Few(Found),
    Many(Many),
}

/// Messages that were counted: they are to be found lot by lot.
#[derive(Debug)]
pub(crate) struct Many {
    pub(crate) messages: usize,
    /// The files of the set that hold them.
    pub(crate) archives: BTreeSet<RelPath>,
    /// In the order of the paths.
    pub(crate) lots: Vec<Lot>,
}

/// The same as [`find()`], unless a lot does not hold what is meant. All that says what is in the
/// archives has been read then, and fits. With Message-IDs there are never too many: which message
/// is meant is known when all were seen.
pub(crate) fn find_some(
    inventory: &Inventory,
    query: &Query,
    work: &Work<'_>,
) -> Result<Amount, Error> {
    if !query.message_ids.is_empty() {
        return find(inventory, query, work).map(Amount::Few);
    }
    let room = Room::new(LOT);
    let total = look_through(inventory, query, Keep::InRoom(&room), work)?;
    if !room.is_full() {
        return judge(inventory, query, total).map(Amount::Few);
    }
    drop(total);
    let survey = look_through(inventory, query, Keep::Nothing, work)?.survey;
    Ok(Amount::Many(Many {
        messages: survey.messages,
        lots: survey.lots(LOT),
        archives: survey.archives,
    }))
}

/// Looks through the mailboxes that are asked for.
fn look_through(
    inventory: &Inventory,
    query: &Query,
    keep: Keep<'_>,
    work: &Work<'_>,
) -> Result<Scan, Error> {
    let units = units(inventory)?;
    if units.is_empty() {
        return Err(Error::NoMailboxes {
            set: inventory.set.clone(),
        });
    }
    let scopes = scopes(inventory, &units, query)?;
    let scans = for_each(&scopes, |scope| scan(inventory, scope, query, keep, work));
    let mut total = Scan::default();
    for scan in scans {
        merge(&mut total, scan?);
    }
    total
        .candidates
        .sort_by(|a, b| a.file.path.cmp(&b.file.path));
    let is_cut = matches!(keep, Keep::InRoom(room) if room.is_full());
    if !is_cut {
        check_parts(inventory, &scopes, &total)?;
    }
    Ok(total)
}

/// Which units are asked for.
fn scopes<'a>(
    inventory: &Inventory,
    units: &'a [Unit<'a>],
    query: &Query,
) -> Result<Vec<Scope<'a>>, Error> {
    if query.mailboxes.is_empty() {
        return Ok(units.iter().map(whole).collect());
    }
    // A set that was made at depth 0 has one unit, and every mailbox is a part of it.
    if let [unit] = units
        && unit.path.is_root()
    {
        let within = parts_of(unit, query);
        return Ok(vec![Scope { unit, within }]);
    }
    for address in &query.mailboxes {
        if !units.iter().any(|unit| address.names(&unit.path)) {
            let known = units.iter().map(|unit| address_of(&unit.path));
            return Err(unknown(inventory, address, known));
        }
    }
    let asked = units.iter().filter(|unit| is_asked(unit, query));
    Ok(asked.map(whole).collect())
}

fn whole<'a>(unit: &'a Unit<'a>) -> Scope<'a> {
    Scope {
        unit,
        within: Vec::new(),
    }
}

fn is_asked(unit: &Unit<'_>, query: &Query) -> bool {
    let mut mailboxes = query.mailboxes.iter();
    mailboxes.any(|address| address.names(&unit.path))
}

/// The directories in `unit` that are asked for; none where all of it is.
fn parts_of(unit: &Unit<'_>, query: &Query) -> Vec<RelPath> {
    if is_asked(unit, query) {
        return Vec::new();
    }
    let mailboxes = query.mailboxes.iter();
    mailboxes.filter_map(Address::usual_path).collect()
}

/// Names of mailboxes that could have been meant by `address`, the nearest first: those that are
/// like it, else whichever there are.
pub(crate) fn similar_to(address: &Address, known: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<(usize, String)> = known
        .filter(|name| name != ABOVE)
        .map(|name| (distance(address, &name), name))
        .collect();
    names.sort();
    names.dedup();
    let like = names.partition_point(|(distance, _)| *distance <= LIKE);
    if like > 0 {
        names.truncate(like);
    }
    names.into_iter().map(|(_, name)| name).collect()
}

fn unknown(inventory: &Inventory, address: &Address, known: impl Iterator<Item = String>) -> Error {
    let similar = similar_to(address, known);
    Error::UnknownMailbox {
        address: address.to_string(),
        set: inventory.set.clone(),
        similar,
    }
}

/// One or two letters are wrong.
const LIKE: usize = 2;

/// How many letters of `name` are wrong, whatever their case.
fn distance(address: &Address, name: &str) -> usize {
    let address = address.to_string().to_lowercase();
    strsim::levenshtein(&address, &name.to_lowercase())
}

/// A part of a unit that holds nothing is a mailbox that is not there.
fn check_parts(inventory: &Inventory, scopes: &[Scope<'_>], total: &Scan) -> Result<(), Error> {
    for part in scopes.iter().flat_map(|scope| &scope.within) {
        let is_there = total
            .control
            .owners
            .keys()
            .any(|directory| directory.is_within(part))
            || total
                .mailboxes
                .iter()
                .any(|mailbox| mailbox.is_within(part));
        if !is_there && let Ok(address) = address_of(part).parse() {
            // Every directory of the tree could be a mailbox.
            let known: BTreeSet<String> = total.control.owners.keys().map(address_of).collect();
            return Err(unknown(inventory, &address, known.into_iter()));
        }
    }
    Ok(())
}

fn merge(total: &mut Scan, scan: Scan) {
    total.candidates.extend(scan.candidates);
    total.unread.extend(scan.unread);
    total.unsearched = total.unsearched.and(scan.unsearched);
    total.control.owners.extend(scan.control.owners);
    total.control.keywords.extend(scan.control.keywords);
    total.control.acls.extend(scan.control.acls);
    total.messages += scan.messages;
    total.survey.merge(scan.survey);
    total.mailboxes.extend(scan.mailboxes);
}

/// What was found, if it answers the query and does so clearly.
fn judge(inventory: &Inventory, query: &Query, total: Scan) -> Result<Found, Error> {
    let missing = missing_ids(query, &total.candidates);
    if total.candidates.is_empty() || !missing.is_empty() {
        return Err(no_match(inventory, query, missing, total));
    }
    let (message_ids, candidates) = if query.message_ids.is_empty() {
        (Vec::new(), total.candidates)
    } else {
        choose(total.candidates)
    };
    let selection = Selection {
        set: inventory.set.clone(),
        candidates,
        unread: total.unread,
        unsearched: total.unsearched,
        control: total.control,
    };
    if message_ids.is_empty() {
        return Ok(Found::Chosen(selection));
    }
    Ok(Found::Ambiguous(Ambiguous {
        message_ids,
        selection,
    }))
}

/// The Message-IDs that no candidate has.
fn missing_ids(query: &Query, candidates: &[Candidate]) -> Vec<MessageId> {
    let ids: BTreeSet<&str> = candidates
        .iter()
        .filter_map(|candidate| candidate.message_id.as_deref())
        .collect();
    let mut missing = query.message_ids.clone();
    missing.retain(|id| !ids.contains(id.as_str()));
    missing
}

fn no_match(inventory: &Inventory, query: &Query, missing: Vec<MessageId>, total: Scan) -> Error {
    let searched = Query {
        message_ids: missing,
        ..query.clone()
    };
    Error::NoMatch {
        searched: searched.to_string(),
        messages: total.messages,
        mailboxes: total.mailboxes.len(),
        set: inventory.set.clone(),
        unread: total.unread,
        unsearched: total.unsearched,
    }
}

/// The Message-IDs that do not say which message is meant, with their candidates; or else the first
/// message of each.
fn choose(candidates: Vec<Candidate>) -> (Vec<String>, Vec<Candidate>) {
    let mut by_id: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        by_id
            .entry(candidate.message_id.clone().unwrap_or_default())
            .or_default()
            .push(candidate);
    }
    let unclear: Vec<String> = by_id
        .iter()
        .filter(|(_, candidates)| is_ambiguous(candidates))
        .map(|(id, _)| id.clone())
        .collect();
    let mut chosen: Vec<Candidate> = if unclear.is_empty() {
        let firsts = by_id.into_values();
        firsts
            .filter_map(|candidates| candidates.into_iter().next())
            .collect()
    } else {
        by_id.retain(|id, _| unclear.contains(id));
        by_id.into_values().flatten().collect()
    };
    chosen.sort_by(|a, b| a.file.path.cmp(&b.file.path));
    (unclear, chosen)
}

/// Different contents, or several mailboxes. The same content twice in one mailbox is the same
/// message.
fn is_ambiguous(candidates: &[Candidate]) -> bool {
    let key = |candidate: &Candidate| (candidate.file.sha256, RelPath::clone(&candidate.mailbox));
    candidates
        .windows(2)
        .any(|pair| key(&pair[0]) != key(&pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_like_it_come_alone_or_all_come_the_nearest_first() {
        let address = "alice@example.com".parse().unwrap();
        let check = |known: &[&str], expected: &[&str]| {
            let known = known.iter().map(|name| (*name).to_owned());
            assert_eq!(similar_to(&address, known), expected);
        };
        let all = ["bob@b.com", "_root", "alcie@example.com", "bob@example.com"];
        check(&all, &["alcie@example.com"]);
        check(
            &["bob@example.com", "Alice@Example.com"],
            &["Alice@Example.com"],
        );
        check(&["alice@example.con"], &["alice@example.con"]);
        check(
            &["zoe@other.example.net", "_root", "bob@example.com"],
            &["bob@example.com", "zoe@other.example.net"],
        );
    }
}
