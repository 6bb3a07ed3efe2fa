//! What helps against what a task is about, and where an operator says what became of it.

use domain::delivery::{Anomaly, Failure};
use domain::scheduling::Left;
use domain::session::ParkReason;
use domain::task::Matter;

/// What helps, in a sentence, and the verbs of its delivery that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) help: &'static str,
    pub(super) verbs: &'static [Verb],
}

/// What is said of a delivery by a `POST` under its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Confirmations,
    Complete,
    HandBack,
    GiveUp,
    Reopen,
    Correct,
}

impl Verb {
    /// The name of the link to it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Confirmations => "confirmations",
            Self::Complete => "complete",
            Self::HandBack => "hand_back",
            Self::GiveUp => "give_up",
            Self::Reopen => "reopen",
            Self::Correct => "correct",
        }
    }

    /// The last part of its address.
    pub(super) const fn segment(self) -> &'static str {
        match self {
            Self::Confirmations => "confirmations",
            Self::Complete => "complete",
            Self::HandBack => "hand-back",
            Self::GiveUp => "give-up",
            Self::Reopen => "reopen",
            Self::Correct => "correct",
        }
    }
}

const fn advice(help: &'static str, verbs: &'static [Verb]) -> Advice {
    Advice { help, verbs }
}

/// What helps against what there is to look at.
pub(super) const fn on(matter: &Matter) -> Advice {
    use Verb::{Complete, Confirmations, Correct, GiveUp, HandBack, Reopen};
    match matter {
        Matter::LeftOnBoard | Matter::EmergencyLanded => advice(
            "fetch the package; say that the sender has it, that the recipient has it, or that it is not found",
            &[HandBack, Complete, GiveUp],
        ),
        Matter::LeftAtHub => advice(
            "bring the package to the sender and say that it is there; or wait for a mission that the fleet assigns \
             by itself; or give the delivery up",
            &[HandBack, GiveUp],
        ),
        Matter::NotStoodDown => advice(
            "ask the fleet: stood_down by that mission says that its drone turned round, package_loaded that it was \
             too late; a cancelled delivery can be given up",
            &[GiveUp],
        ),
        Matter::Unconfirmed => advice(
            "ask the recipient; confirm with their proof, complete the delivery with your reason, or say that the \
             sender has the package",
            &[Confirmations, Complete, HandBack],
        ),
        Matter::Failed(failure) => advice(on_failure(*failure), &[Reopen, Correct]),
        Matter::Anomaly { fact: _, why } => on_anomaly(*why),
        Matter::DeadLetter { seq: _, why } => advice(on_dead_letter(*why), &[]),
        Matter::OperationStuck { .. } => advice(
            "see to the billing service; the operation goes on by itself",
            &[],
        ),
        Matter::Left(left) => advice(on_left(left), &[]),
    }
}

const fn on_failure(failure: Failure) -> &'static str {
    match failure {
        Failure::DroneLost | Failure::PackageLost | Failure::Damaged | Failure::Misdelivered => {
            "look for the package; reopen the delivery where it goes on, or correct what is said of its end"
        }
        Failure::Undeliverable => {
            "see to the package at its hub; reopen the delivery where it goes on, or correct what is said of its end"
        }
        Failure::NoDrone => "the sender has the package still: order a new delivery",
    }
}

const fn on_anomaly(why: Anomaly) -> Advice {
    use Verb::{Complete, Confirmations, GiveUp, HandBack};
    match why {
        Anomaly::ReleaseNotConfirmed | Anomaly::ReleaseWithoutPosition => advice(
            "ask the recipient; complete the delivery with your reason, or say that the sender has the package",
            &[Complete, HandBack],
        ),
        Anomaly::OutsideDropoffRadius => advice(
            "nothing if the drone comes nearer; else look where it is",
            &[],
        ),
        Anomaly::ConfirmationTooWeak => advice(
            "ask the recipient for the rest of what was asked for as a proof",
            &[Confirmations, Complete],
        ),
        Anomaly::TwoDrones | Anomaly::ForeignDrone => {
            advice("ask the fleet which drone has the package", &[])
        }
        Anomaly::MissionAlreadyBound => advice(
            "the mission is another delivery's: the fleet takes a new mission id",
            &[],
        ),
        Anomaly::UnknownDelivery => advice(
            "the fleet's booking is wrong: tell it that there is no such delivery",
            &[],
        ),
        Anomaly::NoAttemptsLeft => advice(
            "stand the drone down: the delivery's attempts are used up",
            &[],
        ),
        Anomaly::WrongStatus | Anomaly::ContradictsOutcome => advice(
            "compare the history with the fleet's record: one of them is wrong",
            &[],
        ),
        Anomaly::EndedWithPackage => advice(
            "fetch the package; say that the sender has it, that the recipient has it, or that it is not found",
            &[HandBack, Complete, GiveUp],
        ),
    }
}

const fn on_dead_letter(why: ParkReason) -> &'static str {
    match why {
        ParkReason::UnknownMission | ParkReason::UnknownDelivery => {
            "have the fleet send what is missing, mission_assigned as a rule; then redrive the dead letter"
        }
        ParkReason::UnknownKind => {
            "redrive the dead letter with a release that knows its kind of events"
        }
        ParkReason::CodeFailed => {
            "a log line at level error names the fault; redrive the dead letter with a release that has it mended"
        }
        ParkReason::Undecodable => {
            "redrive the dead letter with the release that took it, or a later one that reads it"
        }
    }
}

const fn on_left(left: &Left) -> &'static str {
    match left {
        Left::Authorization(_) => {
            "take the payment back at the billing service, by hand; then acknowledge the task"
        }
        Left::UnknownPayment => {
            "look under the operation at the billing service, and take back by hand what stands; then acknowledge \
             the task"
        }
        Left::SharedPackage { .. } => {
            "find out which package each drone has, or is to fetch; put another tag on one, or cancel the delivery that \
             should not be; then acknowledge the task"
        }
        Left::UnpaidFlight => {
            "decide whether the flight is to be paid, and have it paid by hand; then acknowledge the task"
        }
    }
}
