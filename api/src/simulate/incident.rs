//! What goes wrong in a mission: one thing at the most, and when.

use serde_json::json;

use super::city::City;
use super::dice::{Dice, Lot};
use super::faults::{Fault, Faults};
use super::order::Order;
use super::outlook::Course;
use super::script::{Change, Errand, Stage, Step, Writer};

/// How often something goes wrong at all, of a thousand first attempts, and of further ones.
const PERMILLE: (u32, u32) = (600, 250);

/// How often a fleet refuses every mission for a delivery, of a thousand, if it refuses any.
const STUBBORN_PERMILLE: u32 = 40;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Incident {
    what: What,
    /// In front of what, or instead of it.
    pub(super) stage: Stage,
}

/// How a mission goes on after something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Struck {
    /// As if nothing had happened.
    GoesOn,
    /// Not at all.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Refused(&'static str),
    Hold(&'static str),
    BatteryLow,
    Charges,
    TurnsBack,
    /// Heard of again before anybody minds.
    LinkBlinks,
    LinkLost,
    /// `crashed` or `lost`.
    Wrecked(&'static str),
    WrongTag,
    Absent(Way),
    Cancelled(Moment),
    SecondDrone,
    /// Its customer wants it otherwise than the drone is to fly it.
    Replanned(Change),
    Overdue,
    CalledBack,
    /// Its mission was taken from it, and it loads the package all the same.
    Zombie,
}

/// What a drone does with a package that nobody takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToSender,
    ToHub,
    /// The fleet breaks the mission off, and the drone brings the package to its sender.
    BrokenOff,
}

/// When the customer cancels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// While the fleet thinks about the request.
    BeforeAssignment,
    /// While the drone can still obey.
    InTime,
    /// While it takes the package.
    AtLoading,
    /// With the package in the air.
    TooLate,
}

impl Incident {
    pub(super) fn draw(lot: &Lot, errand: &Errand<'_>, faults: &Faults) -> Option<Self> {
        let mut kinds = faults.incidents();
        if errand.is_at_hub {
            // What is wrong with a package is found out where it comes from, and nobody can
            // change the order any more.
            let there = [Fault::WrongTag, Fault::Reschedules, Fault::MissedDeadlines];
            kinds.retain(|kind| !there.contains(kind));
        }
        let delivery = lot.of_attempt(0);
        if kinds.contains(&Fault::Rejected) && delivery.dice("stubborn").happens(STUBBORN_PERMILLE)
        {
            return Some(Self::refusal(&mut lot.dice("refusal")));
        }
        let mut dice = lot.dice("incident");
        let permille = if lot.attempt <= 1 {
            PERMILLE.0
        } else {
            PERMILLE.1
        };
        if !dice.happens(permille) {
            return None;
        }
        Some(match dice.pick(&kinds)? {
            Fault::Rejected => Self::refusal(&mut dice),
            Fault::Holds => Self::hold(&mut dice),
            Fault::LowBattery => Self::battery(&mut dice),
            Fault::LinkLoss => Self::link(&mut dice),
            Fault::Crash => Self::wreck(&mut dice),
            Fault::WrongTag => Self::at(Stage::Load, What::WrongTag),
            Fault::RecipientAbsent => Self::absence(&mut dice),
            Fault::CancelRaces => Self::cancellation(&mut dice, errand),
            Fault::TwoDrones => Self::second_drone(&mut dice),
            Fault::Reschedules => Self::replan(&mut dice),
            Fault::MissedDeadlines => Self::at(Stage::Accept, What::Overdue),
            Fault::Returns => Self::at(Stage::ReachDropoff, What::CalledBack),
            Fault::Late
            | Fault::Duplicated
            | Fault::Reordered
            | Fault::LostTelemetry
            | Fault::Restarts => return None,
        })
    }

    const fn at(stage: Stage, what: What) -> Self {
        Self { what, stage }
    }

    fn refusal(dice: &mut Dice) -> Self {
        let reasons = [
            "no_drone",
            "weather",
            "airspace",
            "range",
            "payload",
            "operations",
        ];
        let reason = dice.pick(&reasons).unwrap_or("other");
        Self::at(Stage::Accept, What::Refused(reason))
    }

    fn hold(dice: &mut Dice) -> Self {
        let reason = dice.pick(&["weather", "airspace", "traffic", "operations"]);
        Self::at(in_the_air(dice), What::Hold(reason.unwrap_or("weather")))
    }

    fn battery(dice: &mut Dice) -> Self {
        let what = dice.pick(&[What::BatteryLow, What::Charges, What::TurnsBack]);
        Self::at(in_the_air(dice), what.unwrap_or(What::BatteryLow))
    }

    fn link(dice: &mut Dice) -> Self {
        let what = dice.pick(&[What::LinkBlinks, What::LinkLost]);
        Self::at(in_the_air(dice), what.unwrap_or(What::LinkBlinks))
    }

    fn wreck(dice: &mut Dice) -> Self {
        let what = What::Wrecked(dice.pick(&["crashed", "lost"]).unwrap_or("crashed"));
        Self::at(in_the_air(dice), what)
    }

    fn absence(dice: &mut Dice) -> Self {
        let way = dice.pick(&[Way::ToSender, Way::ToHub, Way::BrokenOff]);
        Self::at(Stage::HandOver, What::Absent(way.unwrap_or(Way::ToSender)))
    }

    fn cancellation(dice: &mut Dice, errand: &Errand<'_>) -> Self {
        let moments = [
            (Stage::Accept, Moment::BeforeAssignment),
            (Stage::SetOut, Moment::InTime),
            (Stage::ReachPickup, Moment::InTime),
            (Stage::Load, Moment::InTime),
            (Stage::Load, Moment::AtLoading),
            (Stage::Load, Moment::AtLoading),
            (Stage::ReachDropoff, Moment::TooLate),
        ];
        let late = (Stage::ReachDropoff, Moment::TooLate);
        let drawn = dice.pick(&moments).unwrap_or(late);
        let (stage, moment) = if errand.is_at_hub { late } else { drawn };
        Self::at(stage, What::Cancelled(moment))
    }

    fn second_drone(dice: &mut Dice) -> Self {
        let stages = [Stage::SetOut, Stage::Load, Stage::ReachDropoff];
        match dice.pick(&stages) {
            Some(stage) if dice.happens(600) => Self::at(stage, What::SecondDrone),
            Some(_) | None => Self::at(Stage::Load, What::Zombie),
        }
    }

    /// Before the drone sets out: afterwards nobody can.
    fn replan(dice: &mut Dice) -> Self {
        let place = Change::Dropoff(City::door(dice));
        let change = dice.pick(&[Change::Window, place]).unwrap_or(place);
        Self::at(Stage::SetOut, What::Replanned(change))
    }

    /// The kind of trouble it is.
    pub(super) const fn fault(&self) -> Fault {
        match self.what {
            What::Refused(_) => Fault::Rejected,
            What::Hold(_) => Fault::Holds,
            What::BatteryLow | What::Charges | What::TurnsBack => Fault::LowBattery,
            What::LinkBlinks | What::LinkLost => Fault::LinkLoss,
            What::Wrecked(_) => Fault::Crash,
            What::WrongTag => Fault::WrongTag,
            What::Absent(_) => Fault::RecipientAbsent,
            What::Cancelled(_) => Fault::CancelRaces,
            What::SecondDrone | What::Zombie => Fault::TwoDrones,
            What::Replanned(_) => Fault::Reschedules,
            What::Overdue => Fault::MissedDeadlines,
            What::CalledBack => Fault::Returns,
        }
    }

    /// The anomaly, if a fact of it cannot fit the delivery.
    pub(super) const fn anomaly(&self) -> Option<&'static str> {
        match self.what {
            What::SecondDrone | What::Cancelled(Moment::BeforeAssignment) => Some("wrong_status"),
            What::Zombie => Some("two_drones"),
            What::Refused(_)
            | What::Hold(_)
            | What::BatteryLow
            | What::Charges
            | What::TurnsBack
            | What::LinkBlinks
            | What::LinkLost
            | What::Wrecked(_)
            | What::WrongTag
            | What::Absent(_)
            | What::Cancelled(Moment::InTime | Moment::AtLoading | Moment::TooLate)
            | What::Replanned(_)
            | What::Overdue
            | What::CalledBack => None,
        }
    }

    /// How the mission comes out.
    pub(super) fn course(&self, order: &Order) -> Course {
        let has_package = self.stage > Stage::Load;
        match self.what {
            What::Refused(_) => Course::Refused,
            What::TurnsBack if has_package => Course::LeftAtHub,
            What::Wrecked(_) if has_package => Course::Wrecked,
            What::TurnsBack | What::Wrecked(_) | What::Zombie | What::Replanned(_) => {
                Course::NotFetched
            }
            What::WrongTag => Course::WrongPackage,
            What::Absent(Way::ToHub) if order.is_held => Course::LeftAtHub,
            What::Absent(_) | What::CalledBack => Course::BroughtBack,
            What::Cancelled(Moment::BeforeAssignment | Moment::InTime) => Course::CalledOff,
            What::Cancelled(Moment::AtLoading) if !order.goes_on => Course::BroughtBack,
            What::Cancelled(Moment::AtLoading | Moment::TooLate)
            | What::Hold(_)
            | What::BatteryLow
            | What::Charges
            | What::LinkBlinks
            | What::LinkLost
            | What::SecondDrone
            | What::Overdue => Course::Delivered,
        }
    }

    /// Types of events that it cannot but leave, beside those of the mission's course.
    pub(super) const fn leaves(&self) -> &'static [&'static str] {
        match self.what {
            What::Hold(_) | What::Charges | What::LinkLost => &["ConditionChanged"],
            What::Cancelled(Moment::AtLoading) => {
                &["CancellationRequested", "CancellationRejected"]
            }
            What::Replanned(_) => &["Rescheduled"],
            What::Overdue => &["Rescheduled", "DeadlineMissed"],
            What::Refused(_)
            | What::BatteryLow
            | What::TurnsBack
            | What::LinkBlinks
            | What::Wrecked(_)
            | What::WrongTag
            | What::Absent(_)
            | What::Cancelled(Moment::BeforeAssignment | Moment::InTime | Moment::TooLate)
            | What::SecondDrone
            | What::CalledBack
            | What::Zombie => &[],
        }
    }

    /// Whether the drone takes the package before it hears that it should not.
    pub(super) const fn hears_too_late(&self) -> bool {
        matches!(self.what, What::Cancelled(Moment::AtLoading))
    }

    /// Writes what goes wrong.
    pub(super) fn strike(&self, writer: &mut Writer<'_>) -> Struck {
        writer.fly_half(self.stage);
        match self.what {
            What::Refused(reason) => {
                writer.tell("mission_rejected", json!({"reason": reason}));
                return Struck::Ended;
            }
            What::Hold(reason) => {
                writer.tell("hold_started", json!({"reason": reason}));
                writer.stay(120);
                writer.tell("hold_ended", json!({}));
            }
            What::BatteryLow => writer.tell("battery", json!({"level": "low", "endurance_s": 600})),
            What::Charges => {
                writer.tell("battery", json!({"level": "critical", "endurance_s": 120}));
                writer.tell("diverted", json!({"reason": "battery", "to": "charge"}));
                writer.fly(writer.errand.hub);
                writer.stay(300);
            }
            What::TurnsBack => return self.turn_back(writer),
            What::LinkBlinks => {
                writer.tell_together([("link_lost", json!({})), ("link_restored", json!({}))]);
            }
            What::LinkLost => {
                writer.tell("link_lost", json!({"detail": "no heartbeat"}));
                writer.steps.push(Step::AwaitCondition("link_lost"));
                writer.tell("link_restored", json!({}));
            }
            What::Wrecked(how) => {
                writer.tell(how, json!({"detail": "no sign of it"}));
                writer.steps.push(Step::Restart);
                return Struck::Ended;
            }
            What::WrongTag => {
                let other = format!("{}-OTHER", writer.errand.order.tag);
                writer.tell("package_loaded", json!({"tag": other}));
                writer.stand_down();
                return Struck::Ended;
            }
            What::Absent(way) => return bring_back(writer, way),
            What::Cancelled(moment) => return cancel(writer, moment),
            What::SecondDrone => writer.steps.push(Step::SecondDrone),
            What::Overdue => writer.steps.push(Step::Change(Change::Deadline)),
            What::Replanned(change) => {
                writer.steps.push(Step::Change(change));
                writer.stand_down();
                return Struck::Ended;
            }
            What::CalledBack => return call_back(writer),
            What::Zombie => {
                let tag = writer.errand.order.tag.clone();
                writer.tell_together([
                    ("mission_aborted", json!({"reason": "operations"})),
                    ("package_loaded", json!({"tag": tag})),
                ]);
                writer.stand_down();
                return Struck::Ended;
            }
        }
        Struck::GoesOn
    }

    fn turn_back(&self, writer: &mut Writer<'_>) -> Struck {
        writer.tell("battery", json!({"level": "critical", "endurance_s": 120}));
        if self.stage > Stage::Load {
            writer.tell("diverted", json!({"reason": "battery", "to": "hub"}));
            writer.fly(writer.errand.hub);
            let tag = writer.errand.order.tag.clone();
            writer.tell("returned", json!({"to": "hub", "tag": tag}));
        } else {
            writer.tell("diverted", json!({"reason": "battery", "to": "base"}));
        }
        writer.go_home();
        Struck::Ended
    }
}

/// On the way to the pick-up or to the drop-off.
fn in_the_air(dice: &mut Dice) -> Stage {
    let stages = [Stage::ReachPickup, Stage::ReachDropoff];
    dice.pick(&stages).unwrap_or(Stage::ReachDropoff)
}

fn bring_back(writer: &mut Writer<'_>, way: Way) -> Struck {
    writer.stay(180);
    // Only what may be brought once more waits at a hub.
    let is_kept = writer.errand.order.is_held;
    let way = match way {
        Way::ToHub if !is_kept => Way::ToSender,
        Way::ToHub | Way::ToSender | Way::BrokenOff => way,
    };
    if way == Way::BrokenOff {
        let why = json!({"reason": "operations", "detail": "nobody takes it"});
        writer.tell("mission_aborted", why);
    } else {
        writer.tell("departed", json!({"leg": "return"}));
    }
    let (place, to) = match way {
        Way::ToSender | Way::BrokenOff => (writer.errand.order.pickup, "sender"),
        Way::ToHub => (writer.errand.hub, "hub"),
    };
    writer.fly(place);
    let tag = writer.errand.order.tag.clone();
    writer.tell("returned", json!({"to": to, "tag": tag}));
    writer.go_home();
    Struck::Ended
}

fn call_back(writer: &mut Writer<'_>) -> Struck {
    writer.steps.push(Step::AskBack);
    writer.steps.push(Step::AwaitStandDown);
    writer.fly(writer.errand.order.pickup);
    let tag = writer.errand.order.tag.clone();
    writer.tell("returned", json!({"to": "sender", "tag": tag}));
    writer.go_home();
    Struck::Ended
}

fn cancel(writer: &mut Writer<'_>, moment: Moment) -> Struck {
    let is_taken = moment != Moment::TooLate;
    writer.steps.push(Step::Cancel { is_taken });
    match moment {
        Moment::BeforeAssignment => {
            writer.tell_until_seen("mission_assigned", json!({}));
            writer.stand_down();
            Struck::Ended
        }
        Moment::InTime => {
            writer.stand_down();
            Struck::Ended
        }
        Moment::AtLoading if writer.errand.order.goes_on => Struck::GoesOn,
        Moment::AtLoading => {
            writer.write(Stage::Load);
            writer.fly(writer.errand.order.pickup);
            writer.tell("returned", json!({"to": "sender"}));
            writer.go_home();
            Struck::Ended
        }
        Moment::TooLate => Struck::GoesOn,
    }
}
