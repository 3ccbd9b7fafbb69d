//! A mail user who exchanges a directory of theirs with a link, as fast as they can, while a tool
//! runs.

use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags};

/// A user whom no test knows otherwise.
const ANOTHER: u32 = 47_110;

/// How long each race takes, instead of its rounds in the suite.
const SECONDS: &str = "RACES_SECONDS";

/// The numbers of the rounds of a race: `usual` ones, or as many as there is time for.
///
/// # Panics
/// When what the environment says is not a number.
pub fn rounds(usual: usize) -> impl Iterator<Item = usize> {
    let seconds = std::env::var(SECONDS).ok();
    let seconds = seconds.map(|text| text.parse().expect("a number of seconds"));
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    (0..).take_while(move |round| match until {
        None => *round < usual,
        Some(until) => Instant::now() < until,
    })
}

/// Gives a directory and all below it to another user, where root runs the tests.
///
/// # Panics
/// When it cannot be given.
pub fn give_to_another(directory: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut paths: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(path) = paths.pop() {
        lchown(&path, Some(ANOTHER), Some(ANOTHER)).expect("root gives away what it likes");
        if !path.is_symlink() && path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("it can be listed");
            paths.extend(entries.map(|entry| entry.expect("it can be listed").path()));
        }
    }
}

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
