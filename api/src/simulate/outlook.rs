//! What may become of a delivery, by the missions that were flown for it.
//!
//! The scripts of its missions decide it, so it is one outcome or none: none
//! while another drone should come.

use domain::delivery::ATTEMPTS_MAX;

/// How often a fleet is asked for a drone before nobody comes, at the least.
const ASKS_MIN: u64 = 3;

/// How a mission comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// The recipient has the package.
    Delivered,
    /// The fleet did not take it.
    Refused,
    /// The drone had to leave the package where it was.
    NotFetched,
    /// The drone came in vain: another package lay there.
    WrongPackage,
    /// The package waits at a hub for another drone.
    LeftAtHub,
    /// The sender has the package again.
    BroughtBack,
    /// The drone was lost, and the package with it.
    Wrecked,
    /// The customer does not want it any more, and the package has not left.
    CalledOff,
}

/// A mission that was flown, and what it cannot but leave in its delivery's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flown {
    pub(super) course: Course,
    /// The how-manieth mission it was that the fleet was asked for in a row.
    pub(super) ask: u64,
    /// Types of events.
    pub(super) leaves: Vec<&'static str>,
    /// The anomaly, if what was told does not fit the delivery.
    pub(super) anomaly: Option<&'static str>,
}

/// The end of a life: the status, and the reason that its last event gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) status: &'static str,
    pub(super) reason: Option<&'static str>,
}

/// What should have become of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outlook {
    /// Its end; none while another drone should come.
    pub(super) end: Option<End>,
    /// Whether a mission was asked for although its life should have been over.
    pub(super) has_surplus: bool,
    /// Types of events that its history cannot be without.
    pub(super) leaves: Vec<&'static str>,
    /// Its anomalies, sorted.
    pub(super) anomalies: Vec<&'static str>,
}

impl Outlook {
    /// What follows from these missions, in the order in which they were asked for.
    pub(super) fn of(flown: &[Flown]) -> Self {
        let (mut attempts, mut sought) = (0, Sought::Never);
        let (mut end, mut has_surplus) = (None, false);
        for mission in flown {
            has_surplus |= end.is_some();
            attempts += u8::from(mission.course.counts());
            sought = sought.after(mission.course);
            end = mission.end(attempts >= ATTEMPTS_MAX, sought);
        }
        let mut leaves: Vec<_> = flown
            .iter()
            .flat_map(|it| it.leaves.iter().chain(it.course.leaves()).copied())
            .collect();
        leaves.extend(end.as_ref().and_then(End::leaves));
        let mut anomalies: Vec<_> = flown.iter().filter_map(|it| it.anomaly).collect();
        anomalies.sort_unstable();
        Self {
            end,
            has_surplus,
            leaves,
            anomalies,
        }
    }
}

impl Flown {
    /// The end that comes of it, if one does.
    fn end(&self, are_attempts_used_up: bool, sought: Sought) -> Option<End> {
        let end = |status, reason| Some(End { status, reason });
        match self.course {
            Course::Delivered => end("complete", None),
            Course::BroughtBack => end("returned", None),
            Course::CalledOff => end("cancelled", None),
            Course::Wrecked => end("failed", Some("drone_lost")),
            Course::Refused if self.ask < ASKS_MIN => None,
            Course::Refused => Some(sought.in_vain()),
            Course::WrongPackage | Course::LeftAtHub if are_attempts_used_up => {
                Some(sought.in_vain())
            }
            Course::WrongPackage | Course::LeftAtHub | Course::NotFetched => None,
        }
    }
}

/// Where the package waits for its drone, and whether it ever had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sought {
    /// With its sender, and none ever took it on.
    Never,
    /// With its sender.
    AtSender,
    /// At a hub, which it does not leave but with a drone.
    AtHub,
}

impl Sought {
    const fn after(self, course: Course) -> Self {
        match (self, course) {
            (Self::AtHub, _) | (_, Course::LeftAtHub) => Self::AtHub,
            (waits, Course::Refused) => waits,
            (
                Self::Never | Self::AtSender,
                Course::Delivered
                | Course::NotFetched
                | Course::WrongPackage
                | Course::BroughtBack
                | Course::Wrecked
                | Course::CalledOff,
            ) => Self::AtSender,
        }
    }

    /// What becomes of it if it finds no drone any more.
    const fn in_vain(self) -> End {
        let (status, reason) = match self {
            Self::Never => ("rejected", "no_drone"),
            Self::AtSender => ("failed", "no_drone"),
            Self::AtHub => ("failed", "undeliverable"),
        };
        End {
            status,
            reason: Some(reason),
        }
    }
}

impl Course {
    /// Whether it is one of the few attempts that a delivery has.
    const fn counts(self) -> bool {
        match self {
            Self::Delivered
            | Self::WrongPackage
            | Self::LeftAtHub
            | Self::BroughtBack
            | Self::Wrecked => true,
            Self::Refused | Self::NotFetched | Self::CalledOff => false,
        }
    }

    const fn leaves(self) -> &'static [&'static str] {
        match self {
            Self::Delivered => &["DroneAssigned", "PickedUp", "InTransit", "DeliveryComplete"],
            Self::Refused => &[],
            Self::NotFetched => &["DroneAssigned", "DroneUnassigned"],
            Self::WrongPackage => &["DroneAssigned", "AttemptFailed", "DroneUnassigned"],
            Self::LeftAtHub => &["DroneAssigned", "PickedUp", "ReturnStarted", "ArrivedAtHub"],
            Self::BroughtBack => &["DroneAssigned", "PickedUp", "ReturnStarted", "Returned"],
            Self::Wrecked => &["DroneAssigned", "PickedUp", "Failed"],
            Self::CalledOff => &["CancellationRequested", "Cancelled"],
        }
    }
}

impl End {
    /// The event that ends the life, whatever its missions left.
    fn leaves(&self) -> Option<&'static str> {
        match self.status {
            "failed" => Some("Failed"),
            "rejected" => Some("Rejected"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flown(courses: &[Course]) -> Vec<Flown> {
        let mut ask = 0;
        let mission = |course: &Course| {
            ask = if *course == Course::Refused {
                ask + 1
            } else {
                0
            };
            Flown {
                course: *course,
                ask,
                leaves: vec![],
                anomaly: None,
            }
        };
        courses.iter().map(mission).collect()
    }

    fn end(courses: &[Course]) -> Option<(&'static str, Option<&'static str>)> {
        let end = Outlook::of(&flown(courses)).end;
        end.map(|end| (end.status, end.reason))
    }

    #[test]
    fn a_life_ends_as_its_last_mission_did_or_goes_on() {
        use Course::{Delivered, LeftAtHub, NotFetched, Refused, Wrecked, WrongPackage};
        for (courses, expected) in [
            (&[][..], None),
            (&[Delivered], Some(("complete", None))),
            (&[NotFetched, NotFetched, NotFetched, NotFetched], None),
            (&[NotFetched, Wrecked], Some(("failed", Some("drone_lost")))),
            (&[Refused, Refused], None),
            (&[Refused; 3], Some(("rejected", Some("no_drone")))),
            (
                &[NotFetched, Refused, Refused, Refused],
                Some(("failed", Some("no_drone"))),
            ),
            (&[WrongPackage, LeftAtHub], None),
            (
                &[WrongPackage, LeftAtHub, LeftAtHub],
                Some(("failed", Some("undeliverable"))),
            ),
            (
                &[LeftAtHub, WrongPackage, WrongPackage],
                Some(("failed", Some("undeliverable"))),
            ),
            (&[WrongPackage; 3], Some(("failed", Some("no_drone")))),
            (
                &[LeftAtHub, Refused, Refused, Refused],
                Some(("failed", Some("undeliverable"))),
            ),
        ] {
            assert_eq!(end(courses), expected, "{courses:?}");
        }
    }

    #[test]
    fn a_mission_after_the_end_is_one_too_many() {
        use Course::{Delivered, NotFetched};
        assert!(Outlook::of(&flown(&[Delivered, Delivered])).has_surplus);
        assert!(!Outlook::of(&flown(&[NotFetched, Delivered])).has_surplus);
    }
}
