//! How refused messages behave, in sentences and laws.

use proptest::prelude::*;

use super::*;
use crate::arbitrary as any_of;
use crate::codec::StoredEvent;
use crate::spec::{given, lived};

const NOW: Timestamp = Timestamp::MIN;

fn message(digest: u8, fleet: &str) -> Box<RefusedMessage> {
    Box::new(RefusedMessage {
        digest: [digest; 16],
        why: Refused::Malformed,
        explanation: Explanation::new("not JSON").unwrap(),
        subject: Comment::new(format!("drone.v1.{fleet}.M100-07.departed")).unwrap(),
        form: MessageForm::Binary,
        headers: vec![("ce-id".to_owned(), "1".to_owned())],
        data: vec![b'{'],
        size_bytes: 7,
        received_at: NOW,
    })
}

fn refuse(digest: u8, fleet: &str) -> RefusalCommand {
    let message = message(digest, fleet);
    RefusalCommand::Refuse { message }
}

fn refused(number: u64, digest: u8, fleet: &str) -> RefusalEvent {
    let message = message(digest, fleet);
    RefusalEvent::MessageRefused { number, message }
}

fn counted(count: u64) -> RefusalCommand {
    RefusalCommand::Count { count, now: NOW }
}

const fn lift(number: u64) -> RefusalCommand {
    RefusalCommand::Lift { number, now: NOW }
}

#[test]
fn what_is_refused_twice_is_kept_once() {
    given::<Refusals>([])
        .when(refuse(1, "pgh"))
        .then_events([refused(1, 1, "pgh")])
        .when(refuse(2, "pgh"))
        .then_events([refused(2, 2, "pgh")])
        .when(refuse(1, "pgh"))
        .then_nothing();
}

/// Another message of a fleet, with so many bytes as its content.
fn flood(fleet: &str, bytes: usize) -> impl Iterator<Item = Box<RefusedMessage>> {
    let digest = |n: usize| (fleet.to_owned(), n);
    (0..2 * KEPT_PER_HOUR_MAX)
        .map(digest)
        .map(move |(fleet, n)| {
            let mut message = message(0, &fleet);
            let hash: usize = fleet.bytes().map(usize::from).sum();
            message.digest[..8].copy_from_slice(&n.to_be_bytes());
            message.digest[8..].copy_from_slice(&hash.to_be_bytes());
            message.data = vec![b'x'; bytes];
            message
        })
}

/// How many of these are kept.
fn keep(state: &mut Refusals, messages: impl Iterator<Item = Box<RefusedMessage>>) -> usize {
    let mut kept = 0;
    for message in messages {
        match Refusals::decide(&RefusalCommand::Refuse { message }, state) {
            Ok(events) => {
                kept += events.len();
                *state = Refusals::fold_from(state.clone(), &events);
            }
            Err(rejection) => assert_eq!(rejection, RefusalRejection::Full),
        }
    }
    kept
}

#[test]
fn of_a_flood_so_many_are_kept_and_whoever_comes_later_finds_room_all_the_same() {
    let mut state = Refusals::initial();
    let fleets = ('a'..='z').map(String::from);
    let kept: Vec<_> = fleets.map(|it| keep(&mut state, flood(&it, 1))).collect();
    let few = [32, 24, 18, 14, 10, 8, 6, 4, 3, 2, 2, 1, 1, 1, 1];
    assert_eq!(kept[..15], few);
    assert_eq!(kept[15..], [0; 11]);
    assert!(kept.iter().sum::<usize>() <= KEPT_PER_HOUR_MAX);
    // What is kept is known all the same.
    let known = flood("a", 1).next().unwrap();
    let again = RefusalCommand::Refuse { message: known };
    assert_eq!(Refusals::decide(&again, &state), Ok(vec![]));
}

#[test]
fn of_large_ones_fewer_are_kept() {
    let mut state = Refusals::initial();
    let large = KEPT_BYTES_MAX + KEPT_HEADER_BYTES_MAX - "ce-id1".len();
    let kept = ["a", "b", "c", "d"].map(|it| keep(&mut state, flood(it, large)));
    assert_eq!(kept, [12, 9, 7, 5]);
    assert!(state.all.bytes <= KEPT_BYTES_PER_HOUR_MAX);
    assert_eq!(keep(&mut state, flood("e", 1)), 24, "small ones have room");
}

#[test]
fn what_is_counted_only_grows() {
    let counting = given::<Refusals>([])
        .when(counted(4))
        .then_events([RefusalEvent::FurtherRefused { count: 4 }]);
    assert_eq!(counting.state().further(), 4);
    counting.when(counted(3)).then_nothing();
}

#[test]
fn a_message_is_read_after_all_once() {
    let kept = given::<Refusals>([]).after(refuse(1, "pgh"));
    assert_eq!(kept.state().is_lifted(1), Some(false));
    kept.clone()
        .when(lift(2))
        .then_rejected(RefusalRejection::Unknown);
    let lifted = kept
        .when(lift(1))
        .then_events([RefusalEvent::RefusalLifted { number: 1 }]);
    assert_eq!(lifted.state().is_lifted(1), Some(true));
    lifted.clone().when(lift(1)).then_nothing();
    // It is one that came before.
    lifted.when(refuse(1, "pgh")).then_nothing();
}

#[test]
fn a_message_that_was_cut_is_not_whole() {
    let whole = *message(1, "pgh");
    assert!(whole.is_whole());
    let cut = RefusedMessage {
        data: vec![],
        ..whole
    };
    assert!(!cut.is_whole());
}

#[test]
fn an_hour_is_a_whole_one() {
    let at = |text: &str| RefusalHour::of(text.parse().unwrap());
    assert_eq!(
        at("2026-10-24T15:00:00Z"),
        at("2026-10-24T15:59:59.999999Z")
    );
    assert_ne!(
        at("2026-10-24T15:59:59.999999Z"),
        at("2026-10-24T16:00:00Z")
    );
    assert_eq!(at("1970-01-01T01:00:00Z").number(), 1);
    assert_eq!(at("1969-12-31T23:59:59Z").number(), -1);
}

fn any_message() -> impl Strategy<Value = Box<RefusedMessage>> {
    (
        0..40_u8,
        any_of::word(Refused::ALL),
        any_of::text(),
        any_of::text(),
        any_of::word(MessageForm::ALL),
        prop::collection::vec((".{0,8}", ".{0,8}"), 0..3),
        prop::collection::vec(any::<u8>(), 0..40),
        (any::<u64>(), any_of::time()),
    )
        .prop_map(
            |(
                digest,
                why,
                explanation,
                subject,
                form,
                headers,
                data,
                (size_bytes, received_at),
            )| {
                Box::new(RefusedMessage {
                    digest: [digest; 16],
                    why,
                    explanation,
                    subject,
                    form,
                    headers,
                    data,
                    size_bytes,
                    received_at,
                })
            },
        )
}

fn any_command() -> impl Strategy<Value = RefusalCommand> {
    prop_oneof![
        4 => any_message().prop_map(|message| RefusalCommand::Refuse { message }),
        1 => (0..100_u64, any_of::time())
            .prop_map(|(count, now)| RefusalCommand::Count { count, now }),
        1 => (0..40_u64, any_of::time())
            .prop_map(|(number, now)| RefusalCommand::Lift { number, now }),
    ]
}

fn any_event() -> impl Strategy<Value = RefusalEvent> {
    prop_oneof![
        (any::<u64>(), any_message())
            .prop_map(|(number, message)| RefusalEvent::MessageRefused { number, message }),
        any::<u64>().prop_map(|count| RefusalEvent::FurtherRefused { count }),
        any::<u64>().prop_map(|number| RefusalEvent::RefusalLifted { number }),
    ]
}

proptest! {
    #[test]
    fn the_laws_of_a_decider_hold(life in prop::collection::vec(any_command(), 0..60)) {
        let lived = lived::<Refusals>(&life);
        let kept = lived
            .iter()
            .filter(|it| matches!(it.event, RefusalEvent::MessageRefused { .. }))
            .count();
        prop_assert!(kept <= 40);
    }

    #[test]
    fn what_is_stored_is_read_back(event in any_event()) {
        let stored = event.encode();
        prop_assert_eq!(
            RefusalEvent::decode(stored.event_type, stored.schema, &stored.payload),
            Ok(event)
        );
    }
}
