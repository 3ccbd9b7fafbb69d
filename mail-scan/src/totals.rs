//! What a run counts.

use std::sync::atomic::{AtomicU64, Ordering};

use mail_common::tool::Totals;

macro_rules! totals {
    ($($name:ident: $what:literal,)*) => {
        /// Counters that threads share; their names are those in the `end` record.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(#[doc = $what] pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            /// The numbers by name.
            pub(crate) fn totals(&self) -> Totals {
                [$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*].into()
            }
        }
    };
}

totals! {
    files: "Files that have a verdict.",
    clean: "Of these, clean ones.",
    infected: "Of these, infected ones.",
    infected_archives: "Of these, archives that are so by their members.",
    unscanned: "Of these, those that were not scanned, or not whole.",
    unscanned_archives: "Of these, archives that are so by their members.",
    members: "Members of archives that were looked at.",
    infected_members: "Of these, infected ones.",
    unscanned_members: "Of these, those that were not scanned, or not whole.",
    windows: "Pieces in which contents were scanned that are too large for one.",
    bytes: "Bytes of content that have been looked at, unpacked.",
    cached: "Contents whose verdict was known from an earlier run.",
    repeated: "Contents that had been found clean in the same run.",
    encrypted: "Messages and files that are encrypted, or have a part that is.",
    accepted: "Contents that were not scanned, and let pass because somebody accepted them.",
    not_unpacked: "Messages and files with something that neither clamd nor this tool opens.",
    vanished: "Files that were gone before they could be read.",
    no_files: "Pipes, sockets and devices: they hold nothing.",
    quarantined: "Messages that were moved out.",
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

/// Reads a counter.
pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
