//! Driving a fact once more that was given up.

use std::panic::AssertUnwindSafe;

use domain::session::{ParkReason, ReceivedFact, Session, SessionEvent};
use domain::stream::{Category, StreamName};
use domain::task::TaskId;
use eventstore::StreamVersion;
use futures_util::FutureExt as _;

use super::apply::{Applying, OnPanic};
use super::message::Unread;
use super::receive::Ingest;
use crate::application::{Done, Draft, KeyedCommand, LoadError, TransactError};

/// Why a dead letter stays one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedriveError {
    /// There is no such dead letter.
    #[error("there is no such dead letter")]
    Unknown,
    /// What is the matter with the fact has not changed.
    #[error("the fact cannot be applied now either: {0}")]
    StillWaits(ParkReason),
    /// The message cannot be read or taken now either.
    #[error("the message cannot be taken now either: {}", .0.explanation)]
    StillRefused(Unread),
}

/// A dead letter, as its session's stream tells of it.
enum Letter {
    /// It is one.
    GivenUp(Box<ReceivedFact>),
    /// It was applied after all.
    Applied,
}

impl Ingest {
    /// Applies a fact that was given up, as one that came late: it corrects what
    /// it can correct, and moves nothing back. One that was applied meanwhile is
    /// left as it is, so it is safe to ask again, and to ask at the same moment. Under a key it
    /// is noted with what it did.
    ///
    /// # Errors
    /// [`RedriveError`], after which nothing has changed, or a failure of the machine.
    pub async fn redrive(
        &self,
        id: TaskId,
        keyed: Option<KeyedCommand>,
    ) -> Result<Done<()>, TransactError<RedriveError>> {
        let name = id.subject();
        if name.category != Category::DroneSession {
            return Err(TransactError::Rejected(RedriveError::Unknown));
        }
        let now = self.application().now()?;
        let mut request = self.request("redrive", name, None, self.round());
        if let Some(keyed) = keyed {
            request.commit_id = keyed.id.commit_id();
            request.keyed = Some(keyed);
        }
        let driven = self.application().transact(&request, |draft| {
            // Before the letter is looked for: so what becomes of it meanwhile is a conflict.
            let session = draft.load::<Session>(name)?;
            draft.shows(&session);
            let fact = match letter(draft, name, id.version())? {
                None => return Err(TransactError::Rejected(RedriveError::Unknown)),
                Some(Letter::Applied) => return Ok(()),
                Some(Letter::GivenUp(fact)) => fact,
            };
            let Some(sender) = session.state.sender().cloned() else {
                return Err(TransactError::Rejected(RedriveError::Unknown));
            };
            let thresholds = self.application().thresholds();
            let now = (now, OnPanic::GoesThrough);
            match Applying::new(draft, thresholds, (sender, session), now).redrive(*fact)? {
                None => Ok(()),
                Some(why) => Err(TransactError::Rejected(RedriveError::StillWaits(why))),
            }
        });
        let failed = RedriveError::StillWaits(ParkReason::CodeFailed);
        // What the code fails on is appended as a whole or not at all.
        let driven = AssertUnwindSafe(driven).catch_unwind().await;
        driven.unwrap_or(Err(TransactError::Rejected(failed)))
    }
}

/// What became of the fact that the event of this version gave up.
fn letter(draft: &Draft<'_>, name: StreamName, given_up: u64) -> Result<Option<Letter>, LoadError> {
    let (mut of, mut is_applied) = (None, false);
    draft.follow::<SessionEvent>(
        name,
        StreamVersion::EMPTY,
        |version, occurrence| match occurrence.event {
            SessionEvent::DeadLettered { seq, .. } if version.get() == given_up => of = Some(seq),
            SessionEvent::FactUnparked { seq } if of == Some(seq) => is_applied = true,
            SessionEvent::SessionOpened(_)
            | SessionEvent::FactReceived(_)
            | SessionEvent::GapPassed { .. }
            | SessionEvent::FactParked { .. }
            | SessionEvent::FactUnparked { .. }
            | SessionEvent::DeadLettered { .. } => {}
        },
    )?;
    let Some(of) = of else { return Ok(None) };
    if is_applied {
        return Ok(Some(Letter::Applied));
    }
    let mut found = None;
    draft.follow::<SessionEvent>(name, StreamVersion::EMPTY, |_, occurrence| {
        if let SessionEvent::FactReceived(fact) = occurrence.event
            && fact.seq == of
        {
            found = Some(Letter::GivenUp(fact));
        }
    })?;
    Ok(found)
}
