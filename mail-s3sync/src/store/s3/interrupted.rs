//! What no request is waited for: a signal.

use std::time::Duration;

use mail_common::interrupt::{Interrupt, Interrupted};

/// How soon a signal is seen.
const POLL: Duration = Duration::from_millis(50);

/// Waits until a signal asks the run to end.
pub(super) async fn wait(interrupt: &Interrupt) -> Interrupted {
    loop {
        if let Err(interrupted) = interrupt.check() {
            return interrupted;
        }
        tokio::time::sleep(POLL).await;
    }
}
