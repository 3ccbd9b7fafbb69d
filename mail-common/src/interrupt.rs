//! SIGTERM, SIGINT and SIGHUP end a run cleanly: the first asks, the second kills.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::trusted;

/// Tells whether a signal asked the run to stop. Clones watch the same signals.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

/// A signal asked the run to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted by a signal")]
pub struct Interrupted;

impl Interrupt {
    /// One that watches for SIGTERM, SIGINT and SIGHUP from now on. After the first, the next one
    /// kills as it would without this. A SIGHUP that is ignored, as by nohup(1), stays ignored.
    ///
    /// # Panics
    /// Never: sigaction(2) refuses only signals that do not exist or cannot be caught.
    #[must_use]
    pub fn on_signals() -> Self {
        const CAUGHT: &str = "these signals exist and can be caught";
        let interrupt = Self::default();
        let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        for signal in [SIGTERM, SIGINT].into_iter().chain(hang_up) {
            // The order matters: the first signal finds the flag down, then raises it.
            flag::register_conditional_default(signal, Arc::clone(&interrupt.0)).expect(CAUGHT);
            flag::register(signal, Arc::clone(&interrupt.0)).expect(CAUGHT);
        }
        interrupt
    }

    /// The flag, for code that polls it by itself.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// To be asked between two pieces of work.
    ///
    /// # Errors
    /// [`Interrupted`] once a signal came.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.0.load(Ordering::Relaxed) {
            Err(Interrupted)
        } else {
            Ok(())
        }
    }
}

/// By the mask in proc_pid_status(5).
fn is_ignored(signal: i32) -> bool {
    let status = trusted::read("/proc/self/status").unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_raises_the_flag() {
        let interrupt = Interrupt::on_signals();
        assert_eq!(interrupt.check(), Ok(()));
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert_eq!(interrupt.clone().check(), Err(Interrupted));
    }
}
