//! Sample Maildir trees: made from a seed, aged by days, and changed while a backup runs.

mod day;
mod dice;
mod error;
mod folder;
mod generate;
mod life;
mod message;
mod moment;
mod name;
mod writers;

pub use day::{DayPlan, DayTotals, Spread, age};
pub use dice::Dice;
pub use error::{Error, Result};
pub use folder::{Folder, Message, Place, folders, message_path, uidlist, write_uidlist};
pub use generate::{DEFAULT_BASE_SECONDS, TreePlan, TreeTotals, generate};
pub use life::{Event, LifePlan, live};
pub use message::{DEFAULT_MEAN_BYTES, compose, wire_bytes};
pub use moment::{DAY_SECONDS, Moment};
pub use name::{FLAGS, MessageName};
pub use writers::{Ledger, WriterPlan, Writers};
