//! Events that go out together.

use crate::public_events::place::Place;

/// How much is handed to a connection at a time, bytes: what a slow reader
/// holds is a small multiple of it.
pub(super) const BATCH_BYTES: usize = 64 * 1024;

/// Events that go out together, and how far they lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// As they go out.
    pub(super) text: String,
    /// How many.
    pub(super) events: u64,
    /// Behind the last of them, if there is one.
    pub(super) told: Option<Place>,
    /// Behind all that was looked at.
    pub(super) to: Option<Place>,
}

impl Batch {
    /// Whether it takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= BATCH_BYTES
    }

    /// Notes that the text has another event.
    pub(super) fn told(&mut self, place: Place) {
        self.events += 1;
        self.told = Some(place);
        self.to = self.told;
    }
}
