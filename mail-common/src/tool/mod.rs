//! What every tool does before and after its own work: flags, help, the `begin` and `end` records.

mod args; // flags that every tool has; help, manual page, completions
mod component; // which parts of the server are meant
mod session; // the records of a run, from `begin` to `end`
mod table; // records as people read them
mod totals; // what a run counts

pub use args::{CommonArgs, Format, Generate, generate, parse, visible_args};
pub use component::ComponentArg;
pub use session::{Opening, Session};
pub use table::human_size;
pub use totals::Totals;
