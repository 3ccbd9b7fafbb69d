//! The dry run: tries all that a backup needs, says what it would do, and writes nothing.

use std::io;
use std::path::Path;

use mail_common::exit::Exit;
use mail_common::set::{Component, SetState};
use mail_common::tool::{Session, Totals};

use crate::plan::{Plan, Reading, Wanted};
use crate::prune::{self, Newest, RefusalText};
use mail_mysql::Session as Database;

/// A source that is not there.
#[derive(Debug, thiserror::Error)]
#[error("read {path}")]
struct Unreadable {
    path: std::path::PathBuf,
    source: io::Error,
}

/// Tries the sources and says what would be done. Bad when one of them would fail.
pub(crate) fn show(plan: &Plan, session: &Session) -> (Exit, Totals) {
    session.report.summary(format!(
        "dry run: nothing is written. The set would be {}",
        plan.root.set_path(plan.id).display()
    ));
    session.report.summary(match plan.reading {
        Reading::Changes => format!(
            "read: what has changed since the newest of {} complete sets",
            complete_sets(plan)
        ),
        Reading::Everything => "read: everything; nothing is linked from earlier sets".to_owned(),
    });
    for component in &plan.components {
        match component {
            Component::Mailboxes => show_mailboxes(plan, session),
            Component::Mysql => show_databases(plan, session),
            Component::Config | Component::Ssl | Component::Dkim => {
                show_trees(plan, session, *component)
            }
        }
    }
    session.report.summary(match plan.retention.wanted {
        Wanted::No => "old sets: kept (--no-prune)".to_owned(),
        Wanted::Yes => format!(
            "old sets: daily ones are kept {} days, weekly ones {} weeks",
            plan.retention.daily_days, plan.retention.weekly_weeks
        ),
    });
    let exit = if session.report.errors() == 0 {
        Exit::Done
    } else {
        Exit::Bad
    };
    (exit, Totals::from([("errors", session.report.errors())]))
}

/// Says which old sets would be removed.
pub(crate) fn show_prune(plan: &Plan, session: &Session) -> (Exit, Totals) {
    let removed = match prune::plan(&plan.root, Newest::Dated(plan.id.kind()), &plan.retention) {
        Ok(Some(retention)) => {
            if let Some(refusal) = retention.refused {
                session.report.warning(format!(
                    "nothing would be removed: {}",
                    RefusalText(refusal)
                ));
            }
            let sets = retention.remove.iter().map(ToString::to_string);
            let incomplete = retention
                .remove_incomplete
                .iter()
                .map(|id| format!("{id}.incomplete"));
            sets.chain(incomplete)
                .map(|name| session.report.summary(format!("would remove {name}")))
                .count()
        }
        Ok(None) => 0,
        Err(error) => {
            session.fail(None, None, &error);
            return (Exit::Unfinished, Totals::default());
        }
    };
    session.report.summary(format!(
        "dry run: nothing was removed; {removed} sets would be"
    ));
    (Exit::Done, Totals::default())
}

fn complete_sets(plan: &Plan) -> usize {
    let complete = |kind| {
        plan.root.sets(kind).map(|sets| {
            sets.iter()
                .filter(|set| set.state == SetState::Complete)
                .count()
        })
    };
    mail_common::set::SetKind::ALL
        .into_iter()
        .map(|kind| complete(kind).unwrap_or(0))
        .sum()
}

fn show_mailboxes(plan: &Plan, session: &Session) {
    let directory = &plan.mailboxes.mail_dir;
    try_source(session, Component::Mailboxes, directory);
    session.report.summary(format!(
        "mailboxes: every directory {} below {}",
        plan.mailboxes.depth,
        directory.display()
    ));
}

fn show_databases(plan: &Plan, session: &Session) {
    let Some(databases) = &plan.databases else {
        return;
    };
    let connected = Database::connect(&databases.connection);
    let found =
        connected.and_then(|mut database| mail_mysql::databases(&mut database, &databases.wanted));
    match found {
        Ok(found) => {
            session.report.summary(format!(
                "mysql: {} and the accounts",
                found.names.join(", ")
            ));
        }
        Err(error) => session.fail(Some(Component::Mysql), None, &error),
    }
}

fn show_trees(plan: &Plan, session: &Session, component: Component) {
    let trees = plan
        .trees
        .iter()
        .filter(|tree| tree.component == component)
        .map(|tree| (&tree.source, &tree.archive));
    let copies = plan
        .copies
        .iter()
        .filter(|copy| copy.component == component)
        .map(|copy| (&copy.source, &copy.target));
    for (source, target) in trees.chain(copies) {
        try_source(session, component, source);
        session
            .report
            .summary(format!("{component}: {} to {target}", source.display()));
    }
}

fn try_source(session: &Session, component: Component, path: &Path) {
    let tried = match path.is_dir() {
        true => std::fs::read_dir(path).map(drop),
        false => std::fs::File::open(path).map(drop),
    };
    if let Err(source) = tried {
        session.fail(
            Some(component),
            None,
            &Unreadable {
                path: path.to_owned(),
                source,
            },
        );
    }
}
