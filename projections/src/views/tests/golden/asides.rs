//! What is written beside what happens: claims, missions, requests, packages, commands that were
//! taken: no view shows these, and each is to leave all of them alone. And messages that were
//! refused, which come from outside.

use domain::claim::{EmailClaimEvent, ExternalIdClaimEvent, TagClaimEvent};
use domain::decider::{Decider as _, Occurrence};
use domain::delivery::{Delivery, DeliveryEvent};
use domain::dispatch::{DispatchEvent, MissionRequest, StandDownReason};
use domain::drone::Sender;
use domain::id::{DroneId, ExternalId, FactId, FleetId, PackageId, SessionId};
use domain::mission::MissionEvent;
use domain::package::{Declaration, PackageEvent};
use domain::refusals::RefusalEvent;
use domain::stream::StreamName;
use domain::taken::{CommandId, TakenCommand, TakenCommandEvent};
use uuid::Uuid;

use super::*;
use crate::any_log::{hour_stream, refused};
use crate::test_log::{at, contact, created, delivery, mission, order, user};

/// One part for each stream, and every type of its events in it.
pub(super) fn asides() -> Vec<Appending> {
    vec![
        email(),
        external_id(),
        tag(),
        bound_mission(),
        dispatch(),
        package(),
        command(),
        refusals(),
    ]
}

/// One that stays, and one that was read after all.
pub(super) fn refusals() -> Appending {
    let refused = |number: u8| RefusalEvent::MessageRefused {
        number: u64::from(number),
        message: refused(number),
    };
    part(
        hour_stream(7),
        [
            refused(1),
            refused(2),
            RefusalEvent::FurtherRefused { count: 3 },
            RefusalEvent::RefusalLifted { number: 1 },
        ],
    )
}

fn part<E: domain::codec::StoredEvent>(
    stream: StreamName,
    events: impl IntoIterator<Item = E>,
) -> Appending {
    let owner = Some(user(1));
    let occurrences = events
        .into_iter()
        .map(|event| Occurrence::new(event, at(1)));
    Appending::new(stream, owner, occurrences)
}

fn email() -> Appending {
    let user = user(1);
    part(
        StreamName::email_claim(&contact("ada").email),
        [
            EmailClaimEvent::EmailClaimed { user },
            EmailClaimEvent::EmailReleased { user },
        ],
    )
}

fn external_id() -> Appending {
    let name = ExternalId::new("order-1").unwrap();
    part(
        StreamName::external_id_claim(user(1), &name),
        [ExternalIdClaimEvent::ExternalIdClaimed {
            delivery: delivery(1),
            request_hash: [7; 32],
        }],
    )
}

fn tag() -> Appending {
    let delivery = delivery(1);
    part(
        StreamName::tag_claim(&order(user(1)).package.tag),
        [
            TagClaimEvent::TagClaimed { delivery },
            TagClaimEvent::TagReleased { delivery },
        ],
    )
}

fn bound_mission() -> Appending {
    let session = |name| SessionId::new(name).unwrap();
    let sender = Sender {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        session: session("boot-1"),
    };
    let fact = FactId::new("fact-1").unwrap();
    part(
        StreamName::mission(mission(10)),
        [
            MissionEvent::MissionBound {
                delivery: delivery(1),
                epoch: 1,
                sender,
            },
            MissionEvent::MissionContinued {
                session: session("boot-2"),
            },
            MissionEvent::LinkLost { fact },
            MissionEvent::LinkRestored,
        ],
    )
}

fn dispatch() -> Appending {
    let ordered = Occurrence::<DeliveryEvent>::new(created(user(1)), at(1));
    let ordered = Delivery::fold(&[ordered]).unwrap();
    let request = MissionRequest::of(delivery(1), &ordered, 1, 1);
    part(
        StreamName::dispatch(mission(10)),
        [
            DispatchEvent::MissionRequested(Box::new(request)),
            DispatchEvent::MissionRefused { detail: None },
            DispatchEvent::StandDownRequested {
                delivery: delivery(1),
                reason: StandDownReason::NotWanted,
            },
        ],
    )
}

fn package() -> Appending {
    let (package, delivery) = (order(user(1)).package, delivery(1));
    let declared = Declaration::of_order(&package);
    part(
        StreamName::package(PackageId::from_uuid(Uuid::from_u128(0xAC01))),
        [
            PackageEvent::PackageRegistered(declared.clone()),
            PackageEvent::PackageUpdated(declared),
            PackageEvent::PackageReserved { delivery },
            PackageEvent::PackageReleased { delivery },
        ],
    )
}

fn command() -> Appending {
    let route = ("POST", "/v1/deliveries");
    part(
        StreamName::command(CommandId::of("customer:ada", route, "key-1")),
        [TakenCommandEvent::CommandTaken(TakenCommand {
            request_hash: [7; 32],
            shown: StreamName::delivery(delivery(1)),
            version: 2,
        })],
    )
}
