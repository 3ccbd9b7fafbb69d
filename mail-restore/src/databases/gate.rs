//! Connections that wait for each other: each says how far it is in the dump, and may wait until
//! others are as far.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How far each connection is, as the number of statements that it is done with.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    done: Vec<u64>,
    is_given_up: bool,
}

/// Another connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GivenUp;

impl Gate {
    pub(super) fn new(connections: usize) -> Self {
        let state = State {
            done: vec![0; connections],
            is_given_up: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// The connection is done with `statements` statements.
    pub(super) fn reach(&self, connection: usize, statements: u64) {
        self.lock().done[connection] = statements;
        self.changed.notify_all();
    }

    /// Waits until `connection` is done with `statements` statements.
    pub(super) fn wait_for(&self, connection: usize, statements: u64) -> Result<(), GivenUp> {
        self.wait(|state| state.done[connection] >= statements)
    }

    /// Waits until all are.
    pub(super) fn wait_for_all(&self, statements: u64) -> Result<(), GivenUp> {
        self.wait(|state| state.done.iter().all(|done| *done >= statements))
    }

    /// Lets nobody wait any more.
    pub(super) fn give_up(&self) {
        self.lock().is_given_up = true;
        self.changed.notify_all();
    }

    /// Whether somebody did.
    pub(super) fn check(&self) -> Result<(), GivenUp> {
        if self.lock().is_given_up {
            Err(GivenUp)
        } else {
            Ok(())
        }
    }

    fn wait(&self, is_reached: impl Fn(&State) -> bool) -> Result<(), GivenUp> {
        let mut state = self.lock();
        while !state.is_given_up && !is_reached(&state) {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_given_up {
            Err(GivenUp)
        } else {
            Ok(())
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn who_waits_goes_on_when_all_are_there() {
        let gate = Gate::new(3);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.wait_for_all(5));
            gate.reach(0, 5);
            gate.reach(1, 7);
            assert!(!waiting.is_finished());
            gate.reach(2, 5);
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
        assert_eq!(gate.wait_for(1, 7), Ok(()));
    }

    #[test]
    fn who_waits_learns_that_another_gave_up() {
        let gate = Gate::new(2);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.wait_for(1, 1));
            gate.give_up();
            assert_eq!(waiting.join().unwrap(), Err(GivenUp));
        });
        assert_eq!(gate.check(), Err(GivenUp));
    }
}
