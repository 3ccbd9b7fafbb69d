//! The tools together, with real services around them, and what the stock programs make of it.

mod month; // the crontab of a month, on good days and on bad ones
mod whole_pipeline; // records pass on, and no tool says better than the one before it
mod suspicious_night; // the mail is destroyed, and comes back
mod stages; // each stage killed in the middle
mod pipeline; // mail-backup under cron, in a pipe, as an ordinary user
mod streams; // output that cannot be written, signals
mod clearance; // only what is proven clean is used
mod round_trip; // backup, then restore, is the identity
mod live_mailbox; // mail that comes and goes while it is saved
mod killed; // a run that is killed at any moment
mod off_site; // there and back again by another program
mod signatures; // whose sets are accepted
mod dovecot; // a real Dovecot opens what was restored
mod format_1; // sets as mail-backup 0.1.0 made them
mod format_2; // sets made by hand
mod planted; // what others write acts on no terminal
mod memory; // what a forged set costs
