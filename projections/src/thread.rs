//! A thread that is waited for, but not for ever.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// A running thread.
#[derive(Debug)]
pub(crate) struct Thread {
    name: &'static str,
    handle: JoinHandle<()>,
    /// Nothing comes; it ends when the thread does.
    end: Receiver<()>,
}

impl Thread {
    /// Starts it.
    pub(crate) fn start(
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (running, end) = sync_channel(0);
        let handle = Builder::new().name(name.to_owned()).spawn(move || {
            let _running = running;
            work();
        })?;
        Ok(Self { name, handle, end })
    }

    /// Waits until it has ended, but no longer than this: then it is left to
    /// itself, and this is `false`.
    pub(crate) fn join_within(self, limit: Duration) -> bool {
        if self.end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        if self.handle.join().is_err() {
            tracing::error!(thread = self.name, "a thread of the views panicked");
        }
        true
    }
}
