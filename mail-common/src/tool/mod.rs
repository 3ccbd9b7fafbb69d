//! What every tool does before and after its own work: flags, help, the `begin` and `end` records.

mod args; // flags that every tool has; help, manual page, completions
mod component; // which parts of the server are meant
mod opening; // what is known of a run before it begins
mod entry; // from the command line to the exit code
mod human; // sizes and lengths of time as people read and write them
mod session; // the records of a run, from `begin` to `end`
mod table; // records as people read them
mod totals; // what a run counts
mod user; // who runs it

pub use args::{CommonArgs, Format, absolute, cores};
pub use component::ComponentArg;
pub use entry::Start;
pub use human::{human_count, human_duration, human_size, parse_size};
pub use opening::{Opening, Subject, Tool};
pub use session::Session;
pub use totals::Totals;
pub use user::user;
