//! Ends alarms: somebody has looked.

use jiff::ZonedDateTime;
use mail_common::exit::Exit;
use mail_common::record::{Accepted, Record, timestamp};
use mail_common::set::RootLock;
use mail_common::suspicion::{self, HOLD, Hold};
use mail_common::tool::{Session, Totals, user};

use crate::error::Error;
use crate::plan::Plan;

const NOTHING: &str = "there is no alarm to accept";

/// Logs who accepted what and why; old sets may go again with the next run.
pub(crate) fn accept(
    plan: &Plan,
    session: &Session,
    now: &ZonedDateTime,
) -> Result<(Exit, Totals), Error> {
    let lock = RootLock::acquire(&plan.root, now)?;
    let Some(hold) = Hold::of(&plan.root)? else {
        session.report.summary(NOTHING);
        return Ok((Exit::Done, Totals::from([("accepted_alarms", 0)])));
    };
    let accepted = Accepted {
        time: timestamp(now),
        user: user(),
        reason: plan.reason.clone(),
        alarms: hold.alarms,
    };
    suspicion::accept(&lock, &plan.root, &accepted)?;
    let count = accepted.alarms.len();
    session.sum_up(format!("{count} alarms are over; old sets go again by age"));
    session.emit(&Record::Accepted(accepted));
    Ok((
        Exit::Done,
        Totals::from([("accepted_alarms", count as u64)]),
    ))
}

/// Says which alarms would be ended.
pub(crate) fn show_accept(plan: &Plan, session: &Session) -> Result<(Exit, Totals), Error> {
    let report = &session.report;
    let hold = Hold::of(&plan.root)?;
    for alarm in hold.iter().flat_map(|hold| &hold.alarms) {
        report.summary(format!(
            "would accept {} of {}: {}",
            alarm.rule, alarm.set, alarm.message
        ));
    }
    match hold {
        None => report.summary(NOTHING),
        Some(Hold {
            unreadable: Some(why),
            ..
        }) => report.summary(format!("would remove {HOLD}, which cannot be read: {why}")),
        Some(_) => {}
    }
    Ok((Exit::Done, Totals::default()))
}
