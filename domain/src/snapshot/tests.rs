//! A state that is kept is the state that was folded.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::arbitrary as any_of;
use crate::decider::{Decider, Occurrence};
use crate::delivery::{Delivery, arbitrary};
use crate::drone::Sender;
use crate::id::{DeliveryId, DroneId, FactId, FleetId, MissionId, SessionId};
use crate::session::{ParkReason, Parked, ReceivedFact, Session, SessionEvent};
use crate::spec::lived;
use crate::text::{Email, Locale, Name, Phone};
use crate::user::{Contact, User, UserEvent};

fn assert_kept<S: Snapshot + PartialEq + Debug>(state: &S) {
    let bytes = state.to_snapshot();
    assert!(
        S::from_snapshot(&bytes).as_ref() == Some(state),
        "{state:?}"
    );
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(S::from_snapshot(&longer), None);
    let shorter = bytes.get(..bytes.len() - 1).unwrap();
    assert_eq!(S::from_snapshot(shorter), None);
}

/// Bytes that are taken are the bytes that would be written.
fn assert_strict<S: Snapshot>(bytes: &[u8]) {
    if let Some(state) = S::from_snapshot(bytes) {
        assert!(state.to_snapshot() == bytes, "taken in another spelling");
    }
}

/// The same bytes with one of them changed.
fn changed(mut bytes: Vec<u8>, place: prop::sample::Index, by: u8) -> Vec<u8> {
    let place = place.index(bytes.len());
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= by;
    }
    bytes
}

fn contact() -> impl Strategy<Value = Contact> {
    (any_of::text(), any::<[bool; 2]>()).prop_map(|(name, [phone, locale]): (Name, _)| Contact {
        name,
        email: Email::new("ada@example.org").unwrap(),
        phone: phone.then(|| Phone::new("+4930123456").unwrap()),
        locale: locale.then(|| Locale::new("de-AT").unwrap()),
    })
}

fn user() -> impl Strategy<Value = User> {
    let event = prop_oneof![
        contact().prop_map(UserEvent::UserCreated),
        contact().prop_map(UserEvent::UserUpdated),
        any_of::text().prop_map(|reason| UserEvent::UserSuspended { reason }),
        any_of::text().prop_map(|reason| UserEvent::UserReinstated { reason }),
    ];
    (contact(), vec((event, any_of::time()), 0..20)).prop_map(|(first, later)| {
        let first = (UserEvent::UserCreated(first), crate::time::Timestamp::MIN);
        let events = std::iter::once(first).chain(later);
        let events: Vec<_> = events
            .map(|(event, at)| Occurrence::new(event, at))
            .collect();
        User::fold(&events).unwrap()
    })
}

fn delivery() -> impl Strategy<Value = Option<Delivery>> {
    let odd = vec(arbitrary::occurrence(), 0..20);
    (arbitrary::life(), odd).prop_map(|(life, odd)| {
        Delivery::fold_from(Delivery::fold(&lived::<Delivery>(&life)), &odd)
    })
}

fn sender() -> Sender {
    Sender {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        session: SessionId::new("0001").unwrap(),
    }
}

fn fact() -> impl Strategy<Value = ReceivedFact> {
    let number = prop_oneof![8 => 1..40_u64, 1 => 250..260_u64, 1 => any::<u64>()];
    let mission = prop::option::of(any_of::uuid().prop_map(MissionId::from_uuid));
    let times = (any_of::time(), any_of::time());
    (
        number,
        any::<[u8; 16]>(),
        mission,
        times,
        vec(any::<u8>(), 0..8),
    )
        .prop_map(
            |(seq, hash, mission, (event_time, received_at), data)| ReceivedFact {
                seq,
                id: FactId::new(format!("f{seq}")).unwrap(),
                hash,
                kind: "departed".into(),
                mission,
                event_time,
                received_at,
                skewed_time: (hash[0] > 127).then_some(received_at),
                data,
            },
        )
}

fn parked() -> impl Strategy<Value = Parked> {
    let mission = prop::option::of(any_of::uuid().prop_map(MissionId::from_uuid));
    let delivery = prop::option::of(any_of::uuid().prop_map(DeliveryId::from_uuid));
    (
        any_of::word(ParkReason::ALL),
        mission,
        delivery,
        any_of::time(),
        any::<bool>(),
    )
        .prop_map(|(why, mission, delivery, since, late)| Parked {
            why,
            mission,
            delivery,
            since,
            late,
        })
}

/// What any events, also such as no session would decide on, fold to.
fn session() -> impl Strategy<Value = Session> {
    let event = prop_oneof![
        1 => Just(SessionEvent::SessionOpened(sender())),
        8 => fact().prop_map(|fact| SessionEvent::FactReceived(Box::new(fact))),
        1 => (0..50_u64).prop_map(|up_to| SessionEvent::GapPassed { up_to }),
        2 => (1..40_u64, parked()).prop_map(|(seq, parked)| SessionEvent::FactParked { seq, parked }),
        1 => (1..40_u64).prop_map(|seq| SessionEvent::FactUnparked { seq }),
        1 => (1..40_u64).prop_map(|seq| SessionEvent::DeadLettered {
            seq,
            why: ParkReason::UnknownMission,
        }),
    ];
    vec(event, 0..60).prop_map(|events| events.iter().fold(Session::default(), Session::evolve))
}

#[test]
fn the_code_has_a_fingerprint() {
    assert_eq!(CODE.len(), 32);
    assert!(CODE.chars().all(|digit| digit.is_ascii_hexdigit()));
}

#[test]
fn what_is_kept_in_another_order_is_refused() {
    let mut held = Session::default();
    for seq in [3, 5] {
        let fact = SessionEvent::FactReceived(Box::new(received(seq)));
        held = held.evolve(&fact);
    }
    let kept = held.to_snapshot();
    let facts = [3, 5].map(|seq| {
        let event = SessionEvent::FactReceived(Box::new(received(seq)));
        postcard::to_stdvec(&Kept::of(&event)).unwrap()
    });
    let [one, other] = &facts;
    let (before, after) = (
        [one.as_slice(), other].concat(),
        [other.as_slice(), one].concat(),
    );
    let place = kept
        .windows(before.len())
        .position(|bytes| bytes == before)
        .unwrap();
    let mut swapped = kept;
    swapped.splice(place..place + before.len(), after);
    assert_eq!(Session::from_snapshot(&swapped), None);
}

fn received(seq: u64) -> ReceivedFact {
    let at = crate::time::Timestamp::MIN;
    ReceivedFact {
        seq,
        id: FactId::new("f").unwrap(),
        hash: [0; 16],
        kind: "departed".into(),
        mission: None,
        event_time: at,
        received_at: at,
        skewed_time: None,
        data: Vec::new(),
    }
}

proptest! {
    #[test]
    fn a_user_is_kept_as_they_were_folded(user in user()) {
        assert_kept(&user);
    }

    #[test]
    fn a_delivery_is_kept_as_it_was_folded(delivery in delivery()) {
        if let Some(delivery) = delivery {
            assert_kept(&delivery);
        }
    }

    #[test]
    fn a_session_is_kept_as_it_was_folded(session in session()) {
        assert_kept(&session);
    }

    #[test]
    fn bytes_that_were_changed_are_refused_or_are_those_of_another_state(
        states in (user(), delivery(), session()),
        place: prop::sample::Index,
        by in 1..=255_u8,
    ) {
        let (user, delivery, session) = states;
        assert_strict::<User>(&changed(user.to_snapshot(), place, by));
        assert_strict::<Session>(&changed(session.to_snapshot(), place, by));
        if let Some(delivery) = delivery {
            assert_strict::<Delivery>(&changed(delivery.to_snapshot(), place, by));
        }
    }

    #[test]
    fn whatever_the_bytes_are_reading_them_answers(bytes in vec(any::<u8>(), 0..200)) {
        assert_strict::<User>(&bytes);
        assert_strict::<Delivery>(&bytes);
        assert_strict::<Session>(&bytes);
    }
}
