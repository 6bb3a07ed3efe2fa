//! Facts that cannot be applied: given up, so that the others go on, and driven once more.

use std::cell::{Cell, RefCell};

use domain::session::{Due, ParkReason};
use domain::task::TaskId;

use super::*;
use crate::application::TransactError;

thread_local! {
    /// Whether the code fails on facts that say `"breaks": true`. A test has a thread of its own.
    static BROKEN: Cell<bool> = const { Cell::new(false) };
}

/// The fault of the code that these tests are about.
pub(in crate::ingest) fn panic_where_asked(fact: &ReceivedFact) {
    let asks = fact.data.windows(8).any(|bytes| bytes == b"\"breaks\"");
    assert!(!(asks && BROKEN.get()), "asked to");
}

thread_local! {
    /// A kind that a later release knows, and what that takes it for.
    static LEARNT: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

fn learn(kind: &str, means: &str) {
    LEARNT.set(Some((kind.to_owned(), means.to_owned())));
}

/// A fact as the release reads it that these tests are about.
pub(in crate::ingest) fn as_learnt(due: &Due) -> Due {
    let mut due = due.clone();
    LEARNT.with_borrow(|learnt| {
        if let Some((kind, means)) = learnt
            && *kind == due.fact.kind
        {
            due.fact.kind.clone_from(means);
        }
    });
    due
}

impl Service {
    fn session_events(&self, sender: &Sender) -> Vec<SessionEvent> {
        let name = StreamName::drone_session(&sender.fleet, &sender.drone, &sender.session);
        self.ingest.application().loader().events(name).unwrap()
    }

    /// The facts that were given up and not applied since, each with its task.
    pub(super) fn letters(&self, sender: &Sender) -> Vec<(TaskId, u64, ParkReason)> {
        let name = StreamName::drone_session(&sender.fleet, &sender.drone, &sender.session);
        let mut letters = Vec::new();
        for (event, version) in self.session_events(sender).into_iter().zip(1..) {
            match event {
                SessionEvent::DeadLettered { seq, why } => {
                    letters.push((TaskId::new(name, version).unwrap(), seq, why));
                }
                SessionEvent::FactUnparked { seq } => letters.retain(|(_, other, _)| *other != seq),
                SessionEvent::SessionOpened(_)
                | SessionEvent::FactReceived(_)
                | SessionEvent::GapPassed { .. }
                | SessionEvent::FactParked { .. } => {}
            }
        }
        letters
    }

    async fn redrive(&self, letter: TaskId) -> Result<(), RedriveError> {
        match self.ingest.redrive(letter, None).await {
            Ok(_) => Ok(()),
            Err(TransactError::Rejected(error)) => Err(error),
            Err(TransactError::Failed(failure)) => panic!("{failure}"),
        }
    }
}

fn breaking(mut event: Value) -> Value {
    event["data"]["breaks"] = json!(true);
    event
}

pub(super) fn of_long_ago(event: &Value) -> (Sender, ReceivedFact) {
    let (sender, mut fact) = fact_of(event);
    fact.received_at = Timestamp::from_micros(1_799_990_000_000_000).unwrap();
    (sender, fact)
}

#[tokio::test]
async fn given_a_fact_on_which_the_code_fails_when_it_comes_then_the_mission_goes_on_without_it() {
    let service = Service::with_a_booking().await;
    let mut events = flight(service.delivery);
    // The arrival at the pick-up: what follows implies it.
    events[2] = breaking(events[2].clone());
    let (sender, _) = fact_of(&events[0]);
    BROKEN.set(true);
    assert_eq!(service.receive(&events).await, [Verdict::Accepted; 9]);
    let (status, inferred) = service.outcome();
    assert_eq!(status, Status::Complete);
    let letters = service.letters(&sender);
    let [(letter, 3, ParkReason::CodeFailed)] = letters[..] else {
        panic!("{letters:?}");
    };
    // It is kept as it came, so its sender need not say it again.
    assert_eq!(service.receive(&events).await, [Verdict::Duplicate; 9]);

    let commits = service.commits();
    let still = RedriveError::StillWaits(ParkReason::CodeFailed);
    assert_eq!(service.redrive(letter).await, Err(still));
    assert_eq!(service.commits(), commits);

    BROKEN.set(false);
    assert_eq!(service.redrive(letter).await, Ok(()));
    assert_eq!(service.letters(&sender), []);
    let (status, corrected) = service.outcome();
    assert_eq!(status, Status::Complete);
    assert_ne!(corrected, inferred, "the time of its arrival is told now");
    let commits = service.commits();
    assert_eq!(service.redrive(letter).await, Ok(()));
    assert_eq!(service.commits(), commits, "it was applied twice");
}

#[tokio::test]
async fn given_a_fact_that_fails_and_comes_late_when_it_was_driven_then_all_is_as_if_it_had_not_failed()
 {
    let told = Service::with_a_booking().await;
    let events = flight(told.delivery);
    told.receive(&events).await;
    for place in 1..6 {
        let service = Service::with_a_booking().await;
        let mut events = events.clone();
        events[place] = breaking(events[place].clone());
        let (sender, _) = fact_of(&events[0]);
        BROKEN.set(true);
        service.receive(&events).await;
        BROKEN.set(false);
        for (letter, _, _) in service.letters(&sender) {
            service.redrive(letter).await.unwrap();
        }
        assert_eq!(service.outcome(), told.outcome(), "fact {place}");
    }
}

#[tokio::test]
async fn given_a_parked_fact_on_which_the_code_fails_when_its_mission_is_known_then_it_alone_is_given_up()
 {
    let service = Service::with_a_booking().await;
    let mut events = flight(service.delivery);
    // Of the second sender life nothing is known when it speaks, since the first comes later.
    let parked: Vec<_> = ["departed", "arrived"]
        .into_iter()
        .zip([json!({"leg": "pickup"}), json!({"at": "pickup"})])
        .zip(1..)
        .map(|((kind, own), seq)| event("0002", seq, kind, &own))
        .collect();
    let parked = [breaking(parked[0].clone()), parked[1].clone()];
    let (sender, _) = fact_of(&parked[0]);
    BROKEN.set(true);
    service.receive(&parked).await;
    events.truncate(1);
    service.receive(&events).await;
    service.move_on(&sender).await;
    let letters = service.letters(&sender);
    assert!(
        matches!(letters[..], [(_, 1, ParkReason::CodeFailed)]),
        "{letters:?}"
    );
    assert_eq!(service.delivery().status(), Status::AtPickup);
}

#[tokio::test]
async fn given_a_fact_whose_mission_came_too_late_when_it_is_driven_then_it_is_applied_and_not_before()
 {
    let service = Service::with_a_booking().await;
    let events = flight(service.delivery);
    // Its assignment is missing.
    let mut first = events[1].clone();
    first["data"]["seq"] = json!(1);
    first["data"]["session_id"] = json!("0000");
    let (sender, fact) = of_long_ago(&first);
    service.ingest.receive(vec![(sender.clone(), fact)]).await;
    service.move_on(&sender).await;
    let letters = service.letters(&sender);
    let [(letter, 1, ParkReason::UnknownMission)] = letters[..] else {
        panic!("{letters:?}");
    };
    let commits = service.commits();
    let waits = RedriveError::StillWaits(ParkReason::UnknownMission);
    assert_eq!(service.redrive(letter).await, Err(waits));
    assert_eq!(service.commits(), commits);

    service.receive(&events[..1]).await;
    assert_eq!(service.redrive(letter).await, Ok(()));
    assert_eq!(service.letters(&sender), []);
    let other = TaskId::new(letter.subject(), letter.version() + 100).unwrap();
    assert_eq!(service.redrive(other).await, Err(RedriveError::Unknown));
    let of_delivery = TaskId::new(StreamName::delivery(service.delivery), 1).unwrap();
    assert_eq!(
        service.redrive(of_delivery).await,
        Err(RedriveError::Unknown)
    );
}

#[tokio::test]
async fn given_a_known_kind_that_cannot_be_read_when_its_turn_comes_then_it_is_given_up() {
    let service = Service::with_a_booking().await;
    let events = flight(service.delivery);
    service.receive(&events[..1]).await;
    // As a release before or after this one may have taken it in.
    let (sender, mut fact) = fact_of(&events[1]);
    fact.data = b"{\"leg\": \"sideways\"}".to_vec();
    service.ingest.receive(vec![(sender.clone(), fact)]).await;
    let letters = service.letters(&sender);
    assert!(
        matches!(letters[..], [(_, 2, ParkReason::Undecodable)]),
        "{letters:?}"
    );
    service.receive(&events[2..]).await;
    assert_eq!(service.delivery().status(), Status::Complete);
}

#[tokio::test]
async fn given_a_kind_that_nobody_knows_when_its_wait_is_over_then_it_is_a_dead_letter_until_a_release_knows_it()
 {
    let service = Service::with_a_booking().await;
    let events = flight(service.delivery);
    service.receive(&events[..1]).await;
    let (sender, mut fact) = of_long_ago(&events[1]);
    // As a release took it in that did not know of departures yet.
    let known = std::mem::replace(&mut fact.kind, "set_out".into());
    service.ingest.receive(vec![(sender.clone(), fact)]).await;
    let session = service.load::<Session>(name_of(&events[1]));
    assert!(session.backlog().is_parked(2));
    assert_eq!(service.letters(&sender), []);
    service.receive(&events[2..4]).await;
    assert_eq!(service.delivery().status(), Status::Loaded);
    service.move_on(&sender).await;
    let letters = service.letters(&sender);
    let [(letter, 2, why @ ParkReason::UnknownKind)] = letters[..] else {
        panic!("{letters:?}");
    };
    assert_eq!(
        service.redrive(letter).await,
        Err(RedriveError::StillWaits(why))
    );

    let is_inferred = |service: &Service| {
        let milestones = service.outcome().1;
        milestones.iter().any(|reached| reached.inferred)
    };
    assert!(is_inferred(&service), "how it set out is only inferred");
    learn("set_out", &known);
    assert_eq!(service.redrive(letter).await, Ok(()));
    assert_eq!(service.letters(&sender), []);
    assert!(!is_inferred(&service));
}
