//! How far a journal is on its way to the stream's end, for whoever waits for it.

use std::fmt;

use crate::position::Position;

/// Is called while a log is fetched, after each block, with the position that
/// the journal has come to, and that of the stream's end as it was found.
pub type OnFetch = Box<dyn FnMut(Position, Position) + Send>;

/// A journal on its way there.
pub(super) struct Fetching {
    tell: OnFetch,
    end: Position,
}

impl fmt::Debug for Fetching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetching(up to {})", self.end)
    }
}

impl Fetching {
    pub(super) fn new(tell: OnFetch, end: Position) -> Self {
        Self { tell, end }
    }

    /// Says how far it is; whether that is the end.
    pub(super) fn is_over_at(&mut self, head: Position) -> bool {
        (self.tell)(head.min(self.end), self.end);
        head >= self.end
    }
}
