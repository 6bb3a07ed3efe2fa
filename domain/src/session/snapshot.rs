//! A session's state as bytes: what is held and parked, and the hash of every fact seen.

use serde::{Deserialize, Serialize};

use super::seen::Seen;
use super::{Backlog, Session, SessionEvent};
use crate::snapshot::{Keep, Kept};
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
pub(crate) struct KeptSession {
    /// As the event that would tell of the sender.
    sender: Option<Kept>,
    next: u64,
    /// The numbers that are held, and when each came in.
    waiting: Vec<(u64, i64)>,
    /// As the events that brought them.
    held: Vec<Kept>,
    /// As the events that parked them.
    parked: Vec<Kept>,
    seen: Vec<(u64, [u8; 16])>,
}

impl Keep for Session {
    type Kept = KeptSession;

    fn kept(&self) -> KeptSession {
        let sender = self.sender.clone().map(SessionEvent::SessionOpened);
        let held = self.held.values();
        let parked = self.backlog.parked();
        KeptSession {
            sender: sender.as_ref().map(Kept::of),
            next: self.backlog.next(),
            waiting: self
                .backlog
                .held()
                .map(|(seq, received_at)| (seq, received_at.micros()))
                .collect(),
            held: held
                .map(|fact| Kept::of(&SessionEvent::FactReceived(Box::new(fact.as_ref().clone()))))
                .collect(),
            parked: parked
                .map(|(seq, parked)| Kept::of(&SessionEvent::FactParked { seq, parked }))
                .collect(),
            seen: self.seen.iter().collect(),
        }
    }

    fn state(kept: KeptSession) -> Option<Self> {
        let mut session = Self {
            seen: Seen::of(&kept.seen)?,
            ..Self::default()
        };
        if let Some(sender) = kept.sender {
            let SessionEvent::SessionOpened(sender) = sender.event()? else {
                return None;
            };
            session.sender = Some(sender);
        }
        for held in kept.held {
            let SessionEvent::FactReceived(fact) = held.event()? else {
                return None;
            };
            session.held.insert(fact.seq, (*fact).into());
        }
        let mut waiting = Vec::with_capacity(kept.waiting.len());
        for (seq, received_at_us) in kept.waiting {
            waiting.push((seq, Timestamp::from_micros(received_at_us).ok()?));
        }
        let mut parked = Vec::with_capacity(kept.parked.len());
        for fact in kept.parked {
            let SessionEvent::FactParked { seq, parked: why } = fact.event()? else {
                return None;
            };
            parked.push((seq, why));
        }
        session.backlog = Backlog::restore(kept.next, waiting, parked);
        Some(session)
    }
}
