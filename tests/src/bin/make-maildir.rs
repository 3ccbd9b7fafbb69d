//! `make-maildir`: makes a sample mail tree, or lets a day pass in one.

use std::error::Error as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use mail_tests::maildir::{
    DEFAULT_BASE_SECONDS, DEFAULT_MEAN_BYTES, DayPlan, DayTotals, Event, LifePlan, Result, Spread,
    TreePlan, age, generate, live,
};

/// Make a sample Maildir tree, or let a day pass in one.
///
/// Equal arguments make equal trees, to the byte and the nanosecond, on every machine.
#[derive(Parser)]
struct Args {
    /// Directory of the tree: DOMAIN/USER/{cur,new,tmp} and Maildir++ folders
    dir: PathBuf,
    /// How many messages to make
    #[arg(long, default_value_t = 2_000, conflicts_with = "age")]
    messages: u64,
    /// How many mailboxes to make
    #[arg(long, default_value_t = 20, conflicts_with = "age")]
    mailboxes: u32,
    /// Equal seeds make equal trees
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Mean size of a message
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MEAN_BYTES)]
    mean_bytes: u32,
    /// End of the tree's last day, in seconds since 1970 [default: 2026-01-01]
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = DEFAULT_BASE_SECONDS,
        hide_default_value = true
    )]
    base_time: i64,
    /// Let day DAY pass in the tree instead; the first after its making is 1
    #[arg(long, value_name = "DAY")]
    age: Option<u32>,
    /// Messages delivered on that day, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, requires = "age")]
    new: f64,
    /// Messages whose flags change
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, requires = "age")]
    flag: f64,
    /// Messages expunged
    #[arg(long, value_name = "PERCENT", default_value_t = 0.5, requires = "age")]
    delete: f64,
    /// Messages moved to another folder
    #[arg(
        long = "move",
        value_name = "PERCENT",
        default_value_t = 0.0,
        requires = "age"
    )]
    moves: f64,
    /// Which messages change
    #[arg(long = "where", value_enum, default_value_t = Where::Recent, requires = "age")]
    spread: Where,
    /// Let day DAY of ordinary life pass: mail arrives, and is read, answered, filed and deleted
    #[arg(long, value_name = "DAY", conflicts_with_all = ["age", "messages", "mailboxes"])]
    live: Option<u32>,
    /// Messages that arrive on that day
    #[arg(long, value_name = "N", default_value_t = 40, requires = "live")]
    arrivals: u64,
    /// What happens besides; repeatable
    #[arg(long, value_enum, requires = "live")]
    event: Vec<What>,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// All mail of the first mailbox gets a flag
    Mark,
    /// A tenth of all old mail is deleted, evenly
    Purge,
    /// A folder of the first mailbox gets another name
    Rename,
}

#[derive(Clone, Copy, ValueEnum)]
enum Where {
    /// Those of the last days, as people read their mail
    Recent,
    /// Any
    Uniform,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let cause = error
                .source()
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            eprintln!("error: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<String> {
    match (args.age, args.live) {
        (None, None) => make(args),
        (Some(day), _) => pass(args, day),
        (None, Some(day)) => pass_ordinarily(args, day),
    }
}

fn make(args: &Args) -> Result<String> {
    let plan = TreePlan {
        messages: args.messages,
        mailboxes: args.mailboxes,
        seed: args.seed,
        mean_bytes: args.mean_bytes,
        base_seconds: args.base_time,
    };
    let totals = generate(&args.dir, &plan)?;
    Ok(format!(
        "{} messages of {} bytes in {} folders",
        totals.messages, totals.message_bytes, totals.folders
    ))
}

fn pass(args: &Args, day: u32) -> Result<String> {
    let plan = DayPlan {
        day,
        seed: args.seed,
        base_seconds: args.base_time,
        mean_bytes: args.mean_bytes,
        new_percent: args.new,
        flag_percent: args.flag,
        delete_percent: args.delete,
        move_percent: args.moves,
        spread: match args.spread {
            Where::Recent => Spread::Recent,
            Where::Uniform => Spread::Uniform,
        },
    };
    Ok(summary(day, &age(&args.dir, &plan)?))
}

fn pass_ordinarily(args: &Args, day: u32) -> Result<String> {
    let plan = LifePlan {
        day,
        seed: args.seed,
        base_seconds: args.base_time,
        mean_bytes: args.mean_bytes,
        arrivals: args.arrivals,
        events: args.event.iter().copied().map(Event::from).collect(),
    };
    Ok(summary(day, &live(&args.dir, &plan)?))
}

impl From<What> for Event {
    fn from(what: What) -> Self {
        match what {
            What::Mark => Self::Mark,
            What::Purge => Self::Purge,
            What::Rename => Self::Rename,
        }
    }
}

fn summary(day: u32, totals: &DayTotals) -> String {
    format!(
        "day {day}: {} delivered ({} bytes), {} flagged, {} deleted, {} moved",
        totals.delivered, totals.delivered_bytes, totals.flagged, totals.deleted, totals.moved
    )
}
