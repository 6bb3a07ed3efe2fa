//! How a delivery does beside its status.

use super::vocabulary::{ConditionWord, HoldReason};

/// How a delivery does beside its status: whether its drone gets on as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// As it should.
    Nominal,
    /// It will take longer.
    Delayed,
    /// It waits.
    Holding(HoldReason),
    /// It flies elsewhere first, and then on.
    Diverted,
    /// Nothing is heard of it.
    LinkLost,
    /// It had to come down with the package.
    Emergency,
}

impl Condition {
    /// The condition that a word and a reason say, if they go together: there is a reason
    /// exactly for holding.
    #[must_use]
    pub const fn of(word: ConditionWord, hold: Option<HoldReason>) -> Option<Self> {
        match (word, hold) {
            (ConditionWord::Nominal, None) => Some(Self::Nominal),
            (ConditionWord::Delayed, None) => Some(Self::Delayed),
            (ConditionWord::Holding, Some(reason)) => Some(Self::Holding(reason)),
            (ConditionWord::Diverted, None) => Some(Self::Diverted),
            (ConditionWord::LinkLost, None) => Some(Self::LinkLost),
            (ConditionWord::Emergency, None) => Some(Self::Emergency),
            (ConditionWord::Holding, None)
            | (
                ConditionWord::Nominal
                | ConditionWord::Delayed
                | ConditionWord::Diverted
                | ConditionWord::LinkLost
                | ConditionWord::Emergency,
                Some(_),
            ) => None,
        }
    }

    /// Its word.
    #[must_use]
    pub const fn word(self) -> ConditionWord {
        match self {
            Self::Nominal => ConditionWord::Nominal,
            Self::Delayed => ConditionWord::Delayed,
            Self::Holding(_) => ConditionWord::Holding,
            Self::Diverted => ConditionWord::Diverted,
            Self::LinkLost => ConditionWord::LinkLost,
            Self::Emergency => ConditionWord::Emergency,
        }
    }

    /// What is waited for, while holding.
    #[must_use]
    pub const fn hold(self) -> Option<HoldReason> {
        match self {
            Self::Holding(reason) => Some(reason),
            Self::Nominal | Self::Delayed | Self::Diverted | Self::LinkLost | Self::Emergency => {
                None
            }
        }
    }
}
