//! From where on a change is not that of an ordinary day.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The limits of all mailboxes, and those of single ones.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A mailbox that lost more than this share of its messages is notable ...
    pub notable_percent: f64,
    /// ... if it had at least so many.
    pub notable_messages: u64,
    /// So is one that lost so many times its own largest day of the last thirty ...
    pub notable_times: f64,
    /// ... and at least this share.
    pub notable_times_percent: f64,
    /// So many replaced or headless messages in all are an alarm.
    pub alarm_spoiled: u64,
    /// So is the loss of this share of all messages of the server ...
    pub alarm_percent: f64,
    /// ... if it had at least so many.
    pub alarm_messages: u64,
    /// So are so many notable mailboxes in one run ...
    pub alarm_mailboxes: u64,
    /// ... if they are at least this share of all.
    pub alarm_mailboxes_percent: f64,
    /// A server of so many messages that has lost this share within thirty days is notable ...
    pub notable_month_percent: f64,
    /// ... and this share is an alarm.
    pub alarm_month_percent: f64,
    /// Mailboxes with limits of their own, by their path below the mail root.
    pub mailboxes: BTreeMap<String, MailboxLimits>,
}

/// The limits of one mailbox, where they differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailboxLimits {
    /// As of all mailboxes. 100 is never: no mailbox loses more.
    pub notable_percent: Option<f64>,
    /// As of all mailboxes.
    pub notable_messages: Option<u64>,
    /// As of all mailboxes.
    pub notable_times: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            notable_percent: 50.0,
            notable_messages: 100,
            notable_times: 3.0,
            notable_times_percent: 20.0,
            alarm_spoiled: 20,
            alarm_percent: 20.0,
            alarm_messages: 1000,
            alarm_mailboxes: 3,
            alarm_mailboxes_percent: 10.0,
            notable_month_percent: 20.0,
            alarm_month_percent: 50.0,
            mailboxes: BTreeMap::new(),
        }
    }
}

impl MailboxLimits {
    /// Of a mailbox that is emptied again and again: no loss of it is notable.
    #[must_use]
    pub fn busy() -> Self {
        Self {
            notable_percent: Some(100.0),
            notable_messages: None,
            notable_times: Some(f64::INFINITY),
        }
    }
}

impl Limits {
    /// Those that hold for `mailbox`.
    pub(super) fn of(&self, mailbox: &str) -> Self {
        let own = self.mailboxes.get(mailbox).copied().unwrap_or_default();
        Self {
            notable_percent: own.notable_percent.unwrap_or(self.notable_percent),
            notable_messages: own.notable_messages.unwrap_or(self.notable_messages),
            notable_times: own.notable_times.unwrap_or(self.notable_times),
            mailboxes: BTreeMap::new(),
            ..*self
        }
    }
}
