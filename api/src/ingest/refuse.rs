//! Keeping messages that were refused, where nobody can be told; and reading one after all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::decider::Decider as _;
use domain::refusals::{
    RefusalCommand, RefusalEvent, RefusalHour, RefusalRejection, Refusals, Refused, RefusedMessage,
};
use domain::stream::{Category, StreamName};
use domain::task::TaskId;
use domain::time::Timestamp;
use projections::LiveDrones;

use super::message::{Message, Unread};
use super::receive::{Ingest, only_failure};
use super::redrive::RedriveError;
use super::take::Taken;
use super::wire::Receipt;
use crate::application::{Done, Draft, Failure, KeyedCommand, TransactError};

/// Most messages that are kept by one commit.
const CHUNK_MESSAGES_MAX: usize = 64;

/// Most bytes of messages in one commit, which has 448 KiB: their reasons come on top, 8 KiB each
/// at the most.
const CHUNK_BYTES_MAX: usize = 192 * 1024;

/// Of how many hours it is remembered what was refused and is not noted yet.
const HOURS_MAX: usize = 48;

/// What was refused beside what is kept, and is not noted yet, by hour.
#[derive(Clone, Debug, Default)]
pub(super) struct Further(Arc<Mutex<BTreeMap<RefusalHour, u64>>>);

impl Further {
    fn of(&self, hour: RefusalHour) -> u64 {
        let hours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hours.get(&hour).copied().unwrap_or_default()
    }

    fn set(&self, hour: RefusalHour, count: u64) {
        let mut hours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hours.insert(hour, count);
        while hours.len() > HOURS_MAX {
            hours.pop_first();
        }
    }
}

/// What became of a message that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept, or was before: it is durable.
    Durable,
    /// It is counted, since its hour is full of such. It was no fact.
    Counted,
    /// Neither, since its hour is full of such: it is a fact that could not be applied yet, and
    /// none of those may be lost. It has to come again.
    Not,
}

impl Ingest {
    /// Keeps messages that were sent in an hour and are refused: gives of each, in their order, what
    /// became of it. The same once more is kept once.
    ///
    /// # Errors
    /// A failure of the machine. Some may be kept; refusing all again is safe.
    pub async fn refuse(
        &self,
        hour: RefusalHour,
        messages: Vec<RefusedMessage>,
    ) -> Result<Vec<Kept>, Failure> {
        let (mut all, now) = (Vec::new(), self.application().now()?);
        for chunk in chunks(messages) {
            let name = StreamName::refusals(hour);
            let digests = chunk.iter().map(|message| message.digest.to_vec());
            let request = self.request("refuse", name, None, digests);
            let pending = self.further().of(hour);
            let done = self
                .application()
                .transact(&request, |draft| keep(draft, name, &chunk, (pending, now)))
                .await
                .map_err(only_failure)?;
            let (kept, pending) = done.value;
            self.further().set(hour, pending);
            all.extend(kept);
        }
        Ok(all)
    }

    /// Reads a message that was refused once more, and takes the event in if that can be done
    /// now. One that was taken meanwhile is left as it is. Under a key it is noted with what it did.
    ///
    /// # Errors
    /// [`RedriveError`], after which nothing has changed, or a failure of the machine.
    pub async fn lift(
        &self,
        live: &LiveDrones,
        id: TaskId,
        keyed: Option<KeyedCommand>,
    ) -> Result<Done<()>, TransactError<RedriveError>> {
        let unknown = || TransactError::Rejected(RedriveError::Unknown);
        let name = id.subject();
        if name.category != Category::Refusals {
            return Err(unknown());
        }
        let place = usize::try_from(id.version().saturating_sub(1)).unwrap_or(usize::MAX);
        let events = self.application().loader().events::<RefusalEvent>(name)?;
        let letter = events.into_iter().nth(place).and_then(|event| match event {
            RefusalEvent::MessageRefused { number, message } => Some((number, message)),
            RefusalEvent::FurtherRefused { .. } | RefusalEvent::RefusalLifted { .. } => None,
        });
        let (number, message) = letter.ok_or_else(unknown)?;
        let state = self.application().loader().load::<Refusals>(name)?.state;
        if state.is_lifted(number) == Some(false) {
            let taken = self.read_again(live, &message).await?;
            taken.map_err(|unread| TransactError::Rejected(RedriveError::StillRefused(unread)))?;
        }
        let mut request = self.request("lift", name, None, self.round());
        if let Some(keyed) = keyed {
            request.commit_id = keyed.id.commit_id();
            request.keyed = Some(keyed);
        }
        let now = self.application().now()?;
        let lifted = self.application().transact(&request, |draft| {
            let mut refusals = draft.load::<Refusals>(name)?;
            draft.shows(&refusals);
            let events = Refusals::decide(&RefusalCommand::Lift { number, now }, &refusals.state)
                .map_err(|_none| unknown())?;
            draft.record(&mut refusals, None, None, &events);
            Ok(())
        });
        lifted.await
    }

    /// Reads a message and takes its event in; what is in the way, if something still is.
    async fn read_again(
        &self,
        live: &LiveDrones,
        message: &RefusedMessage,
    ) -> Result<Result<(), Unread>, Failure> {
        if !message.is_whole() {
            let words = "only its beginning was kept, so it cannot be read";
            return Ok(Err(Unread::new(message.why, words)));
        }
        // It was counted when it was refused.
        let receipt = Receipt {
            counts_skew: false,
            ..self.receipt(message.received_at)
        };
        let event = match Message::of_refused(message).read(receipt) {
            Ok(event) => event,
            Err(unread) => return Ok(Err(unread)),
        };
        let taken = self.take(live, vec![event]).await;
        match taken.into_iter().next() {
            Some(Taken::Accepted { .. } | Taken::Duplicate) | None => Ok(Ok(())),
            Some(Taken::Conflict) => Ok(Err(number_taken())),
            Some(Taken::BacklogFull) => Ok(Err(no_room())),
            Some(Taken::Unreadable(error)) => Err(Failure::Load(error)),
            Some(Taken::Failed(failure)) => Err(failure),
        }
    }

    /// Of something that came in then.
    #[must_use]
    pub fn receipt(&self, at: Timestamp) -> Receipt {
        Receipt {
            at,
            skew_max: self.limits().skew_max,
            counts_skew: true,
        }
    }
}

/// Another fact of the session has the number.
#[must_use]
pub fn number_taken() -> Unread {
    Unread::new(
        Refused::NumberTaken,
        "another event of this session has this seq; number events without repetition, or begin a new session",
    )
}

/// So much of its session waits that there is no room for it.
#[must_use]
pub fn no_room() -> Unread {
    Unread::new(
        Refused::NoRoom,
        "too many events of its session wait for earlier ones, or for a mission or a delivery that is not known",
    )
}

/// Keeps what there is room for. Gives what became of each, and how many are not noted yet.
fn keep<R>(
    draft: &mut Draft<'_>,
    name: StreamName,
    messages: &[RefusedMessage],
    (pending, now): (u64, Timestamp),
) -> Result<(Vec<Kept>, u64), TransactError<R>> {
    let mut refusals = draft.load::<Refusals>(name)?;
    let (mut done, mut pending) = (Vec::new(), pending);
    for message in messages {
        let is_fact = is_fact(message.why);
        let message = Box::new(message.clone());
        match Refusals::decide(&RefusalCommand::Refuse { message }, &refusals.state) {
            Ok(events) => {
                done.push(Kept::Durable);
                draft.record(&mut refusals, None, None, &events);
            }
            Err(RefusalRejection::Full | RefusalRejection::Unknown) if is_fact => {
                done.push(Kept::Not);
            }
            Err(RefusalRejection::Full | RefusalRejection::Unknown) => {
                done.push(Kept::Counted);
                pending += 1;
            }
        }
    }
    let noted = refusals.state.further();
    // At each doubling, so that a flood writes no more than a few of these.
    if pending >= noted.max(1) {
        let count = noted.saturating_add(pending);
        let events = Refusals::decide(&RefusalCommand::Count { count, now }, &refusals.state);
        draft.record(&mut refusals, None, None, &events.unwrap_or_default());
        pending = 0;
    }
    Ok((done, pending))
}

/// Whether nothing is the matter with a message itself, which may be applied another time.
const fn is_fact(why: Refused) -> bool {
    match why {
        Refused::NoRoom | Refused::Unreadable => true,
        Refused::Malformed
        | Refused::TooLarge
        | Refused::Misaddressed
        | Refused::UnknownForm
        | Refused::NumberTaken => false,
    }
}

/// Cuts messages into pieces that fit a commit.
fn chunks(messages: Vec<RefusedMessage>) -> Vec<Vec<RefusedMessage>> {
    let mut chunks: Vec<Vec<_>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        let of_headers = message.headers.iter();
        let of_headers = of_headers.map(|(name, value)| name.len() + value.len());
        let size = of_headers.sum::<usize>() + message.data.len();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_MESSAGES_MAX && bytes + size <= CHUNK_BYTES_MAX => {
                bytes += size;
                chunk.push(message);
            }
            _ => {
                bytes = size;
                chunks.push(vec![message]);
            }
        }
    }
    chunks
}
