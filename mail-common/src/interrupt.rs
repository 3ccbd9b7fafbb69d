//! SIGTERM and SIGINT end a run cleanly: the first asks, the second kills.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Tells whether a signal asked the run to stop. Clones watch the same signals.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

/// A signal asked the run to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted by a signal")]
pub struct Interrupted;

impl Interrupt {
    /// One that watches for SIGTERM and SIGINT from now on. After the first, the next one kills as
    /// it would without this.
    ///
    /// # Panics
    /// Never: sigaction(2) refuses only signals that do not exist or cannot be caught.
    #[must_use]
    pub fn on_signals() -> Self {
        const CAUGHT: &str = "SIGTERM and SIGINT exist and can be caught";
        let interrupt = Self::default();
        for signal in [SIGTERM, SIGINT] {
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
