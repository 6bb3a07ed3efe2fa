//! Given some events, when a command comes, then these events follow: how an
//! aggregate's rules are written down and checked.
//!
//! It ships with the crate, so that whoever adds an aggregate has it too.
//!
//! ```
//! use domain::claim::{EmailClaim, EmailClaimCommand, EmailClaimEvent, EmailClaimRejection};
//! use domain::decider::Occurrence;
//! use domain::id::UserId;
//! use domain::spec::given;
//! use domain::time::Timestamp;
//! use uuid::Uuid;
//!
//! let (ada, bob) = (UserId::from_uuid(Uuid::from_u128(1)), UserId::from_uuid(Uuid::from_u128(2)));
//! let now = Timestamp::MIN;
//! let claimed = Occurrence::new(EmailClaimEvent::EmailClaimed { user: ada }, now);
//!
//! given::<EmailClaim>([])
//!     .when(EmailClaimCommand::Claim { user: ada, now })
//!     .then([claimed.clone()]);
//! given::<EmailClaim>([claimed.clone()])
//!     .when(EmailClaimCommand::Claim { user: ada, now })
//!     .then_nothing();
//! given::<EmailClaim>([claimed])
//!     .when(EmailClaimCommand::Claim { user: bob, now })
//!     .then_rejected(EmailClaimRejection::Taken { by: ada });
//! ```

use std::fmt::Debug;

use crate::decider::{Decider, Occurrence};

/// What happened so far.
#[must_use = "say what comes with `when`"]
pub fn given<D: Decider>(occurrences: impl IntoIterator<Item = Occurrence<D::Event>>) -> Given<D> {
    Given {
        history: occurrences.into_iter().collect(),
    }
}

/// Lives a life: decides on each command in turn, and returns all that happened.
/// Rejected commands change nothing.
///
/// # Panics
/// If a law of [`Decider`] does not hold on the way: deciding again gives events, or folding in
/// two parts leads elsewhere.
#[must_use = "what happened is to be judged"]
pub fn lived<D>(commands: &[D::Command]) -> Vec<Occurrence<D::Event>>
where
    D: Decider,
    D::State: Debug + PartialEq,
    D::Command: Debug,
    D::Event: Clone + Debug + PartialEq,
{
    let mut history: Vec<Occurrence<D::Event>> = vec![];
    let mut state = D::initial();
    for command in commands {
        let Ok(events) = D::decide(command, &state) else {
            continue;
        };
        state = D::fold_from(state, &events);
        history.extend(events);
        assert_eq!(D::fold(&history), state, "folding in parts led elsewhere");
        if let Ok(again) = D::decide(command, &state) {
            assert_eq!(again, [], "{command:?} was decided twice");
        }
    }
    history
}

/// A history, waiting for a command.
#[derive(Clone)]
pub struct Given<D: Decider> {
    history: Vec<Occurrence<D::Event>>,
}

/// A history and what was decided on it, waiting to be judged.
#[must_use = "say what follows with `then`"]
pub struct Decided<D: Decider> {
    history: Vec<Occurrence<D::Event>>,
    command: D::Command,
    decision: Result<Vec<Occurrence<D::Event>>, D::Rejection>,
}

impl<D> Given<D>
where
    D: Decider,
    D::Event: Clone + Debug + PartialEq,
    D::Rejection: Debug + PartialEq,
    D::Command: Debug,
{
    /// Decides on a command.
    pub fn when(self, command: D::Command) -> Decided<D> {
        let state = D::fold(&self.history);
        let decision = D::decide(&command, &state);
        Decided {
            history: self.history,
            command,
            decision,
        }
    }

    /// Decides on a command whose events only lead up to what is looked at.
    ///
    /// # Panics
    /// If the command is rejected.
    #[must_use = "say what comes with `when`"]
    pub fn after(self, command: D::Command) -> Self {
        self.when(command).and()
    }

    /// All that happened so far.
    #[must_use]
    pub fn history(&self) -> &[Occurrence<D::Event>] {
        &self.history
    }

    /// The state that the history leads to.
    #[must_use]
    pub fn state(&self) -> D::State {
        D::fold(&self.history)
    }
}

impl<D> Decided<D>
where
    D: Decider,
    D::Event: Clone + Debug + PartialEq,
    D::Rejection: Debug + PartialEq,
    D::Command: Debug,
{
    /// Exactly these events follow, and asking again gives none.
    ///
    /// # Panics
    /// If others follow, or the command is rejected, or deciding again gives events.
    pub fn then(self, expected: impl IntoIterator<Item = Occurrence<D::Event>>) -> Given<D> {
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(
            self.decision.as_ref(),
            Ok(&expected),
            "after {:#?} comes {:?}",
            self.history,
            self.command
        );
        self.and()
    }

    /// Exactly these events follow, whenever they happened and whether or not they are inferred.
    ///
    /// # Panics
    /// As [`Decided::then`].
    pub fn then_events(self, expected: impl IntoIterator<Item = D::Event>) -> Given<D> {
        let expected: Vec<_> = expected.into_iter().collect();
        let decided = self
            .decision
            .as_ref()
            .map(|events| events.iter().map(|o| o.event.clone()).collect());
        assert_eq!(
            decided,
            Ok(expected),
            "after {:#?} comes {:?}",
            self.history,
            self.command
        );
        self.and()
    }

    /// Nothing follows: it is already so, or changes nothing.
    ///
    /// # Panics
    /// If events follow, or the command is rejected.
    pub fn then_nothing(self) -> Given<D> {
        self.then([])
    }

    /// A rule says no.
    ///
    /// # Panics
    /// If the command is taken, or another rule says no.
    pub fn then_rejected(self, expected: D::Rejection) {
        assert_eq!(
            self.decision,
            Err(expected),
            "after {:#?} comes {:?}",
            self.history,
            self.command
        );
    }

    /// The history with what was decided, to go on from.
    ///
    /// # Panics
    /// If the command was rejected, or if deciding again gives events.
    pub fn and(self) -> Given<D> {
        let mut history = self.history;
        match self.decision {
            Ok(events) => history.extend(events),
            Err(rejection) => panic!("{:?} was rejected: {rejection:?}", self.command),
        }
        if let Ok(again) = D::decide(&self.command, &D::fold(&history)) {
            assert_eq!(again, [], "{:?} was decided twice", self.command);
        }
        Given { history }
    }
}

impl<D> Debug for Given<D>
where
    D: Decider,
    D::Event: Debug,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given")
            .field("history", &self.history)
            .finish()
    }
}

impl<D> Debug for Decided<D>
where
    D: Decider,
    D::Event: Debug,
    D::Command: Debug,
    D::Rejection: Debug,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decided")
            .field("history", &self.history)
            .field("command", &self.command)
            .field("decision", &self.decision)
            .finish()
    }
}
