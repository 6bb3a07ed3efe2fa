//! What is written down of one sender's facts.

use crate::drone::Sender;
use crate::id::{DeliveryId, FactId, MissionId};
use crate::time::Timestamp;

/// An event on a drone session's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The first fact of a sender's life came in; always the stream's first event.
    SessionOpened(Sender),
    /// A fact came in and is kept, whether it can be applied already or not.
    FactReceived(Box<ReceivedFact>),
    /// The missing facts up to this number are waited for no longer.
    GapPassed {
        /// The last number that is passed.
        up_to: u64,
    },
    /// A fact's turn came and it could not be applied: it waits on.
    FactParked {
        /// Its number.
        seq: u64,
        /// What it waits for.
        parked: Parked,
    },
    /// What a parked fact waited for came about, or one that was given up was
    /// driven once more; it was applied.
    FactUnparked {
        /// Its number.
        seq: u64,
    },
    /// What a parked fact waited for did not come about in time, or it cannot be
    /// applied at all. It stays in the log, and has no effect unless somebody
    /// drives it once more: then `FactUnparked` follows.
    DeadLettered {
        /// Its number.
        seq: u64,
        /// What it waited for, or what is the matter with it.
        why: ParkReason,
    },
}

/// A fact as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedFact {
    /// Its number among the sender's facts, from 1, without gaps.
    pub seq: u64,
    /// The sender's name of it.
    pub id: FactId,
    /// Over the whole content, so that another content under the same number is told apart.
    pub hash: [u8; 16],
    /// Which kind of fact, as in its type: `departed` of `drone.departed.v1`.
    pub kind: String,
    /// The mission it is about.
    pub mission: Option<MissionId>,
    /// When it happened; the receipt time where the sender's clock ran ahead.
    pub event_time: Timestamp,
    /// When it came in.
    pub received_at: Timestamp,
    /// The sender's own time, where its clock ran ahead.
    pub skewed_time: Option<Timestamp>,
    /// The event's `data`, as JSON and byte for byte as it was sent.
    pub data: Vec<u8>,
}

/// Why and since when a fact waits though its turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parked {
    /// What it waits for.
    pub why: ParkReason,
    /// The mission it is about.
    pub mission: Option<MissionId>,
    /// The delivery that its mission is to be bound to, where that does not exist.
    pub delivery: Option<DeliveryId>,
    /// When it came in.
    pub since: Timestamp,
    /// Its turn had been passed when it came in. What it waits for makes it no later.
    pub late: bool,
}

crate::delivery::words! {
    /// Why a fact is not applied though its turn has come: what a parked one waits for, or what
    /// is the matter with one that was given up at once.
    ParkReason {
        /// Its mission is not bound to a delivery.
        UnknownMission "unknown_mission",
        /// The delivery it is to be bound to does not exist.
        UnknownDelivery "unknown_delivery",
        /// This version does not know what to do with this kind of fact.
        UnknownKind "unknown_kind",
        /// The code fails on it. It was given up at once, so that the others go on.
        CodeFailed "code_failed",
        /// Its kind is known, and what it says cannot be read as one.
        Undecodable "undecodable",
        /// Its mission is bound, and facts come before it for which the commit that took it had
        /// no room: it waits for another commit, and for nothing that has to come.
        Room "room",
    }
}
