//! The shape that every aggregate has: decide on what is so, evolve by what happened.

use crate::time::Timestamp;

/// An event with the time when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence<E> {
    /// What happened.
    pub event: E,
    /// When it happened; occurrences of a stream need not be in this order.
    pub event_time: Timestamp,
    /// When the log took it in, by the service's own clock and never before what the log took in
    /// earlier: waits count from then. Only the log knows it, so that what was merely decided bears
    /// its event time until [`Self::as_recorded`] says otherwise; no decision depends on it.
    pub recorded_at: Timestamp,
    /// Nobody reported it: a later fact implies it, whose time it carries.
    pub inferred: bool,
}

impl<E> Occurrence<E> {
    /// Something that was reported or done.
    #[must_use]
    pub const fn new(event: E, event_time: Timestamp) -> Self {
        Self {
            event,
            event_time,
            recorded_at: event_time,
            inferred: false,
        }
    }

    /// Something that must have happened by then, since what follows did.
    #[must_use]
    pub const fn inferred(event: E, event_time: Timestamp) -> Self {
        Self {
            event,
            event_time,
            recorded_at: event_time,
            inferred: true,
        }
    }

    /// The same, taken in by the log then.
    #[must_use]
    pub fn as_recorded(self, recorded_at: Timestamp) -> Self {
        Self {
            recorded_at,
            ..self
        }
    }
}

/// An aggregate's rules as pure functions.
///
/// Laws, tested for every implementation:
/// * `evolve` is total: any event in any state gives a state, and nothing panics.
/// * Deciding again on the state that `decide`'s events lead to gives no event, or a rejection.
/// * `fold(a ++ b)` is `fold_from(fold(a), b)`.
pub trait Decider {
    /// What is known by having folded the events so far.
    type State: Clone;
    /// What somebody wants, or a fact that somebody reports.
    type Command;
    /// What happened.
    type Event;
    /// Which rule said no, with what the caller needs to know.
    type Rejection;

    /// Before anything happened.
    fn initial() -> Self::State;

    /// What follows from a command in a state: nothing, if it is already so.
    ///
    /// # Errors
    /// A rejection, if a rule says no.
    fn decide(
        command: &Self::Command,
        state: &Self::State,
    ) -> Result<Vec<Occurrence<Self::Event>>, Self::Rejection>;

    /// The state after an event. Never decides and never fails: an event that
    /// makes no sense in a state leaves it as it is.
    fn evolve(state: Self::State, occurrence: &Occurrence<Self::Event>) -> Self::State;

    /// The state after some more events.
    fn fold_from<'e>(
        state: Self::State,
        occurrences: impl IntoIterator<Item = &'e Occurrence<Self::Event>>,
    ) -> Self::State
    where
        Self::Event: 'e,
    {
        occurrences.into_iter().fold(state, Self::evolve)
    }

    /// The state after all events.
    fn fold<'e>(occurrences: impl IntoIterator<Item = &'e Occurrence<Self::Event>>) -> Self::State
    where
        Self::Event: 'e,
    {
        Self::fold_from(Self::initial(), occurrences)
    }
}
