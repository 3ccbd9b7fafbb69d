//! A mail user who exchanges a directory of theirs with a link, as fast as they can, while a tool
//! runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::fs::{CWD, RenameFlags};

/// A thread that lets two names change places until it is stopped.
#[derive(Debug)]
pub struct Swapper {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Swapper {
    /// Exchanges `a` and `b`, which must both exist, on and on.
    ///
    /// # Panics
    /// In the thread, when they cannot be exchanged.
    #[must_use]
    pub fn start(a: &Path, b: &Path) -> Self {
        let (a, b) = (a.to_owned(), b.to_owned());
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let exchange = move || {
            rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE)
                .unwrap_or_else(|e| panic!("exchange {} and {}: {e}", a.display(), b.display()));
        };
        let thread = thread::spawn(move || {
            let mut exchanges = 0;
            // In pairs: what was the directory at first is one at the end.
            while !over.load(Ordering::Relaxed) {
                exchange();
                exchange();
                exchanges += 2;
            }
            exchanges
        });
        Self { is_over, thread }
    }

    /// Stops, with both names as they were at first; gives how often they were exchanged.
    ///
    /// # Panics
    /// When an exchange failed.
    #[must_use]
    pub fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the names can be exchanged")
    }
}
