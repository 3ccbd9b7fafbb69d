//! The dry run: tries all that a backup needs, says what it would do, and writes nothing.

use std::io;
use std::path::Path;

use mail_common::exit::Exit;
use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, SetKind, SetState};
use mail_common::suspicion::Hold;
use mail_common::tool::{Session, Totals, human_count};
use mail_common::trusted;

use crate::error::{Error, refusal_text};
use crate::mailboxes::{self, Census};
use crate::plan::{Plan, Wanted};
use crate::previous::Reading;
use crate::prune::{self, Newest};

/// Tries the sources and says what would be done. Bad when one of them would fail.
pub(crate) fn show(plan: &Plan, session: &Session) -> (Exit, Totals) {
    let report = &session.report;
    report.summary(format!(
        "dry run: nothing is written. The set would be {}",
        plan.root.set_path(plan.id).display()
    ));
    let sets = complete_sets(plan);
    report.summary(match plan.reuse.reading {
        Reading::Changes => {
            format!("read: what has changed since the newest of {sets} complete sets")
        }
        Reading::Checked => format!(
            "read: everything, and all that is linked from the newest of {sets} complete sets"
        ),
        Reading::Everything => "read: everything; nothing is linked from earlier sets".to_owned(),
    });
    for component in &plan.components {
        match component {
            Component::Mailboxes => show_mailboxes(plan, session),
            Component::Mysql => show_databases(plan, session),
            Component::Config | Component::Ssl | Component::Dkim => {
                show_trees(plan, session, *component);
            }
        }
    }
    report.summary(match plan.retention.wanted {
        Wanted::No => "old sets: kept (--no-prune)".to_owned(),
        Wanted::Yes => format!(
            "old sets: daily ones are kept {} days, weekly ones {} weeks, hourly ones {} hours",
            plan.retention.daily_days, plan.retention.weekly_weeks, plan.retention.hourly_hours
        ),
    });
    let exit = if report.errors() == 0 {
        Exit::Done
    } else {
        Exit::Bad
    };
    (exit, Totals::from([("errors", report.errors())]))
}

/// Says which old sets would be removed.
pub(crate) fn show_prune(plan: &Plan, session: &Session) -> Result<(Exit, Totals), Error> {
    let report = &session.report;
    let newest = Newest::Dated(plan.id.kind());
    let mut names = Vec::new();
    let hold = Hold::of(&plan.root)?;
    if let Some(retention) = prune::plan(&plan.root, newest, &plan.retention, hold.as_ref())? {
        let notice = hold.and_then(|hold| prune::held_notice(&hold, &retention.held));
        if let Some(notice) = notice {
            report.warning(notice);
        }
        if let Some(refusal) = retention.refused {
            report.warning(format!(
                "nothing would be removed: {}",
                refusal_text(&refusal)
            ));
        }
        names.extend(retention.remove.iter().map(ToString::to_string));
        for id in &retention.remove_incomplete {
            names.push(format!("{id}.incomplete"));
        }
    }
    for name in &names {
        report.summary(format!("would remove {name}"));
    }
    report.summary(format!(
        "dry run: nothing was removed; {} sets would be",
        names.len()
    ));
    Ok((Exit::Done, Totals::default()))
}

fn complete_sets(plan: &Plan) -> usize {
    let of_chain = SetKind::ALL
        .into_iter()
        .filter(|kind| plan.reuse.chain.has(*kind));
    let sets = of_chain.flat_map(|kind| plan.root.sets(kind).unwrap_or_default());
    sets.filter(|set| set.state == SetState::Complete).count()
}

fn show_mailboxes(plan: &Plan, session: &Session) {
    let directory = &plan.mailboxes.mail_dir;
    let census = match mailboxes::count(&plan.mailboxes) {
        Ok(census) => census,
        Err(error) => {
            session.fail(Some(Component::Mailboxes), None, &error);
            return;
        }
    };
    for (path, error) in &census.failed {
        let live = directory.join(path.as_path());
        let failed = Failed::at("read", &live)(io::Error::from(error.kind()));
        session.fail(Some(Component::Mailboxes), Some(path), &failed);
    }
    session.report.summary(format!(
        "mailboxes: {} in {}, every directory {} below it{}",
        counted(&census),
        directory.display(),
        plan.mailboxes.depth,
        beside(&census)
    ));
    if let Some(canary) = &plan.canary {
        session.report.summary(format!(
            "canary: looked after in {}, and made there if there was none",
            canary.mail_dir.join(canary.directory().as_path()).display()
        ));
    }
    if let Some(fit) = &census.fit {
        session.report.warning(fit.to_string());
    }
}

fn counted(census: &Census) -> String {
    format!(
        "{}, {}",
        human_count(census.mailboxes, "mailbox", "mailboxes"),
        human_count(census.messages, "message", "messages")
    )
}

/// What is not in a mailbox.
fn beside(census: &Census) -> String {
    let mut text = String::new();
    if census.others > 0 {
        let others = human_count(census.others, "directory", "directories");
        text += &format!("; {others} there without a Maildir");
    }
    if census.messages_above > 0 {
        let messages = human_count(census.messages_above, "message", "messages");
        text += &format!("; {messages} above the mailboxes, stored whole by each run");
    }
    text
}

fn show_databases(plan: &Plan, session: &Session) {
    let Some(databases) = &plan.databases else {
        return;
    };
    match databases.find() {
        Ok(found) => session.report.summary(format!(
            "mysql: {} and the accounts",
            found.names.join(", ")
        )),
        Err(error) => {
            session.fail(Some(Component::Mysql), None, &error);
        }
    }
}

fn show_trees(plan: &Plan, session: &Session, component: Component) {
    for tree in &plan.trees {
        if tree.component == component {
            let tried = try_source(&tree.source).map_err(|error| tree.unread(error));
            show_source(session, component, &tree.source, &tree.archive, tried);
        }
    }
    for copy in plan.copies.iter().chain(&plan.project.copies) {
        if copy.component == component {
            let tried = try_source(&copy.source).map_err(|error| copy.unread(error));
            show_source(session, component, &copy.source, &copy.target, tried);
        }
    }
    if component == Component::Config {
        for notice in &plan.project.notices {
            session.report.warning(notice);
        }
    }
}

fn show_source(
    session: &Session,
    component: Component,
    source: &Path,
    target: &RelPath,
    tried: Result<(), Error>,
) {
    if let Err(error) = tried {
        session.fail(Some(component), None, &error);
    }
    let text = format!("{component}: {} to {target}", source.display());
    session.report.summary(text);
}

fn try_source(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        trusted::read_dir(path).map(drop)
    } else {
        trusted::open(path).map(drop)
    }
}
