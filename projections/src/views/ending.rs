//! How the views end: in good order where they can, and soon where they cannot.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Views;

/// How long to wait for the thread that feeds the views: half of the time that
/// a stop may take. A page and a flush take a fraction of it.
const STOP_WAIT: Duration = Duration::from_secs(5);

impl Views {
    /// Stops following the log, waits for the thread, and leaves the views in
    /// good order on disk. Takes as long as one page and one flush, but no more
    /// than five seconds where what they are stored in hangs or they are still
    /// being opened: then the thread is left behind, and the views are checked
    /// at the next start. It blocks. Queries go on, ever farther behind the
    /// log. Stopping again does nothing.
    pub fn stop(&self) {
        self.stop_within(STOP_WAIT);
    }

    /// The same with another limit, and whether they are in good order.
    pub(crate) fn stop_within(&self, limit: Duration) -> bool {
        self.shared.stop();
        // Once the watch has ended no other thread takes the place of this one.
        let watch = taken(&self.watch);
        let is_watch_over = watch.is_none_or(|watch| watch.join_within(limit));
        let runner = taken(&self.runner);
        let is_runner_over = runner.is_none_or(|runner| runner.join_within(limit));
        let have_ended = is_watch_over && is_runner_over;
        if !have_ended {
            tracing::error!(
                "the views did not stop in time and are left as they are: they are checked at the next start"
            );
        }
        have_ended
    }
}

/// As [`Views::stop`].
impl Drop for Views {
    fn drop(&mut self) {
        self.stop();
    }
}

fn taken<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}
