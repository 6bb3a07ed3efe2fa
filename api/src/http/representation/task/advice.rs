//! What helps against what a task is about, and what an operator may have to say of it.

use domain::delivery::{Anomaly, Failure};
use domain::refusals::Refused;
use domain::scheduling::Left;
use domain::session::ParkReason;
use domain::task::Matter;

use crate::application::deliveries::handover::Saying;

/// What helps, in a sentence, and what may be said of its delivery then, if that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) help: &'static str,
    pub(super) sayings: &'static [Saying],
}

/// The name of the link to where something is said, and the last part of its address.
pub(super) const fn words_for(saying: Saying) -> (&'static str, &'static str) {
    match saying {
        Saying::Confirm => ("confirmations", "confirmations"),
        Saying::Vouch => ("complete", "complete"),
        Saying::HandBack => ("hand_back", "hand-back"),
        Saying::GiveUp => ("give_up", "give-up"),
        Saying::Reopen => ("reopen", "reopen"),
        Saying::Correct => ("correct", "correct"),
    }
}

const fn advice(help: &'static str, sayings: &'static [Saying]) -> Advice {
    Advice { help, sayings }
}

/// What helps against what there is to look at.
pub(super) const fn on(matter: &Matter) -> Advice {
    use Saying::{Confirm, Correct, GiveUp, HandBack, Reopen, Vouch};
    match matter {
        Matter::LeftOnBoard => advice(
            "fetch the package; say that the sender has it, that the recipient has it, or that it is not found; while \
             another drone is waited for the delivery can only be given up, or cancelled",
            &[HandBack, Vouch, GiveUp],
        ),
        Matter::EmergencyLanded => advice(
            "fetch the package; say that the sender has it, that the recipient has it, or that it is not found",
            &[HandBack, Vouch, GiveUp],
        ),
        Matter::LeftAtHub => advice(
            "bring the package to the sender and say that it is there; or wait for a mission that the fleet assigns \
             by itself; or give the delivery up",
            &[HandBack, GiveUp],
        ),
        Matter::NotStoodDown => advice(
            "ask the fleet: stood_down by that mission says that its drone turned round, package_loaded that it was \
             too late; if it stays silent ask the sender and the recipient: if the sender never gave it away, or nobody \
             finds it, give the delivery up; say that the recipient has it; hand it back only where the drone had it",
            &[GiveUp, Vouch, HandBack],
        ),
        Matter::Unconfirmed => advice(
            "ask the recipient; confirm with their proof, complete the delivery with your reason, or say that the \
             sender has the package, or that it is not found",
            &[Confirm, Vouch, HandBack, GiveUp],
        ),
        Matter::Failed(failure) => advice(on_failure(*failure), &[Reopen, Correct]),
        Matter::Anomaly { fact: _, why } => on_anomaly(*why),
        Matter::DeadLetter { seq: _, why } => advice(on_dead_letter(*why), &[]),
        Matter::RefusedMessage { number: _, why } => advice(on_refused(*why), &[]),
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
    use Saying::{Confirm, GiveUp, HandBack, Vouch};
    match why {
        Anomaly::ReleaseNotConfirmed | Anomaly::ReleaseWithoutPosition => advice(
            "ask the recipient; complete the delivery with your reason, or say that the sender has the package",
            &[Vouch, HandBack],
        ),
        Anomaly::OutsideDropoffRadius => advice(
            "nothing if the drone comes nearer; else look where it is",
            &[],
        ),
        Anomaly::ConfirmationTooWeak => advice(
            "ask the recipient for the rest of what was asked for as a proof",
            &[Confirm, Vouch],
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
            &[HandBack, Vouch, GiveUp],
        ),
    }
}

const fn on_refused(why: Refused) -> &'static str {
    match why {
        Refused::Malformed | Refused::TooLarge | Refused::UnknownForm => {
            "have its sender mend what is named and send the event once more, then acknowledge the task; where a later \
             release reads it, redrive the dead letter with that"
        }
        Refused::Misaddressed => {
            "find out who published it: an event is sent to the subject of its own fleet, drone and kind; have it sent \
             there, then acknowledge the task"
        }
        Refused::NumberTaken => {
            "have the fleet number its facts without repetition, or begin a new session; then acknowledge the task"
        }
        Refused::NoRoom => {
            "have the fleet send what its session waits for, mission_assigned as a rule; then redrive the dead letter, and \
             have it send once more what came with it: no more than a few of an hour are kept"
        }
        Refused::Unreadable => {
            "a log line at level error names what cannot be read: mend or restore it, then redrive the dead letter"
        }
    }
}

const fn on_dead_letter(why: ParkReason) -> &'static str {
    match why {
        ParkReason::UnknownMission | ParkReason::UnknownDelivery => {
            "have the fleet send what is missing, mission_assigned as a rule; then redrive the dead letter"
        }
        ParkReason::UnknownKind => {
            "redrive the dead letter with a release that knows its kind of events; where its sender mistyped the kind, acknowledge the task"
        }
        ParkReason::CodeFailed => {
            "a log line at level error names the fault; redrive the dead letter with a release that has it mended"
        }
        ParkReason::Room => "redrive the dead letter",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_drone_ever_came_for_is_to_be_given_up_before_anybody_hands_it_back() {
        let advice = on(&Matter::NotStoodDown);
        assert_eq!(advice.sayings.first(), Some(&Saying::GiveUp));
        let place = |word| advice.help.find(word).expect(word);
        assert!(
            place("never gave it away") < place("hand it back only"),
            "{}",
            advice.help
        );
    }
}
