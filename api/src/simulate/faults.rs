//! What may go wrong in a simulation.

use std::collections::BTreeSet;
use std::fmt;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A fact comes after those that follow it, when it is no longer waited for.
    Late,
    /// Facts are told more than once.
    Duplicated,
    /// The facts of a request are in no order. Which request they come in is as it was.
    Reordered,
    /// Reports of positions do not arrive.
    LostTelemetry,
    /// A drone's sender begins anew amid a mission.
    Restarts,
    /// The fleet refuses a mission, or all of them.
    Rejected,
    /// A drone waits for weather, airspace, traffic or its operator.
    Holds,
    /// A battery runs low: the drone is told so, charges, or turns back.
    LowBattery,
    /// A drone is not heard of, for a moment or longer.
    LinkLoss,
    /// A drone crashes or is lost.
    Crash,
    /// Another package lies at the pick-up.
    WrongTag,
    /// Nobody takes the package.
    RecipientAbsent,
    /// The customer cancels while the drone is under way.
    CancelRaces,
    /// Two drones fly for one delivery.
    TwoDrones,
    /// The customer wants it at another time or place, and a drone has it already.
    Reschedules,
    /// The customer moves the deadline, and it passes.
    MissedDeadlines,
    /// The customer wants back what is on its way.
    Returns,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Late,
        Self::Duplicated,
        Self::Reordered,
        Self::LostTelemetry,
        Self::Restarts,
        Self::Rejected,
        Self::Holds,
        Self::LowBattery,
        Self::LinkLoss,
        Self::Crash,
        Self::WrongTag,
        Self::RecipientAbsent,
        Self::CancelRaces,
        Self::TwoDrones,
        Self::Reschedules,
        Self::MissedDeadlines,
        Self::Returns,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Duplicated => "duplicated",
            Self::Reordered => "reordered",
            Self::LostTelemetry => "lost-telemetry",
            Self::Restarts => "restarts",
            Self::Rejected => "rejected",
            Self::Holds => "holds",
            Self::LowBattery => "low-battery",
            Self::LinkLoss => "link-loss",
            Self::Crash => "crash",
            Self::WrongTag => "wrong-tag",
            Self::RecipientAbsent => "recipient-absent",
            Self::CancelRaces => "cancel-races",
            Self::TwoDrones => "two-drones",
            Self::Reschedules => "reschedules",
            Self::MissedDeadlines => "missed-deadlines",
            Self::Returns => "returns",
        }
    }

    /// What it is, in a phrase.
    #[must_use]
    pub const fn means(self) -> &'static str {
        match self {
            Self::Late => "a fact comes after those that follow it",
            Self::Duplicated => "facts are told more than once",
            Self::Reordered => "the facts of a request are in no order",
            Self::LostTelemetry => "reports of positions do not arrive",
            Self::Restarts => "a drone's sender begins anew amid a mission",
            Self::Rejected => "the fleet refuses missions",
            Self::Holds => "a drone waits for weather, airspace, traffic or its operator",
            Self::LowBattery => "a battery runs low, and the drone charges or turns back",
            Self::LinkLoss => "a drone is not heard of for a while",
            Self::Crash => "a drone crashes or is lost",
            Self::WrongTag => "another package lies at the pick-up",
            Self::RecipientAbsent => "nobody takes the package",
            Self::CancelRaces => "the customer cancels while the drone is under way",
            Self::TwoDrones => "two drones fly for one delivery",
            Self::Reschedules => "the customer changes time or place once a drone has it",
            Self::MissedDeadlines => "the customer moves the deadline, and it passes",
            Self::Returns => "the customer wants back what is on its way",
        }
    }

    /// Whether it only concerns how facts are told, not what happens.
    #[must_use]
    pub const fn is_of_transport(self) -> bool {
        match self {
            Self::Late
            | Self::Duplicated
            | Self::Reordered
            | Self::LostTelemetry
            | Self::Restarts => true,
            Self::Rejected
            | Self::Holds
            | Self::LowBattery
            | Self::LinkLoss
            | Self::Crash
            | Self::WrongTag
            | Self::RecipientAbsent
            | Self::CancelRaces
            | Self::TwoDrones
            | Self::Reschedules
            | Self::MissedDeadlines
            | Self::Returns => false,
        }
    }
}

/// The kinds of trouble that a simulation has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(BTreeSet<Fault>);

impl Faults {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self(Fault::ALL.into())
    }

    /// `none`, `all`, or names between commas.
    ///
    /// # Errors
    /// Says what is taken.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::default()),
            "all" => Ok(Self::all()),
            _ => text.split(',').map(read_name).collect(),
        }
    }

    /// Whether a kind may happen.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// The kinds that change what happens.
    pub(super) fn incidents(&self) -> Vec<Fault> {
        let kinds = self.0.iter().copied();
        kinds.filter(|fault| !fault.is_of_transport()).collect()
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}

fn read_name(name: &str) -> Result<Fault, String> {
    let known = Fault::ALL.into_iter().find(|fault| fault.name() == name);
    known.ok_or_else(|| {
        let names = Fault::ALL.map(Fault::name).join(", ");
        format!("{name:?} is no fault: expected none, all, or some of {names} between commas")
    })
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<_> = self.0.iter().map(|fault| fault.name()).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_back_from_their_names_and_unknown_ones_are_answered_with_all() {
        for text in ["none", "late", "late,crash,two-drones"] {
            assert_eq!(Faults::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Faults::parse(&Faults::all().to_string()),
            Faults::parse("all")
        );
        for text in ["", "late,", "Late", "rain", "all,late"] {
            let refusal = Faults::parse(text).unwrap_err();
            assert!(refusal.contains("two-drones"), "{text}: {refusal}");
        }
    }
}
