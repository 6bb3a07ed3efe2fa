//! The shape of a process: long-running coordination as a pure function of what is so.
//!
//! A process remembers by events of its own, as an aggregate does, and says what
//! is to be done next. Whoever drives it does that, writes down what came of it in
//! the process's own stream, and asks again. So it makes no difference whether
//! the answer comes after a millisecond or after a restart.

use crate::decider::Occurrence;

/// A process's rules as pure functions.
///
/// Laws, tested for every implementation:
/// * `evolve` is total: any event in any state gives a state, and nothing panics.
/// * `react` gives the same answer to the same question.
/// * What `react` asks for is not asked for again once what came of it is written down; so
///   whoever drives it to where it waits gets there after finitely many steps.
pub trait Process {
    /// What is known by having folded the events so far.
    type State: Clone;
    /// What the process has written down.
    type Event;
    /// What is so outside of the process, as it is looked at.
    type Around<'a>;
    /// What is to be done, or what is waited for.
    type Next;

    /// Before anything happened.
    fn initial() -> Self::State;

    /// The state after an event. Never decides and never fails.
    fn evolve(state: Self::State, occurrence: &Occurrence<Self::Event>) -> Self::State;

    /// What follows from what is so.
    fn react(state: &Self::State, around: &Self::Around<'_>) -> Self::Next;
}
