//! Messages that were refused where nobody can be told: kept once, in bounds, and read after all.

use domain::refusals::{
    KEPT_BYTES_MAX, KEPT_PER_HOUR_MAX, RefusalEvent, RefusalHour, Refused, RefusedMessage,
};
use domain::task::TaskId;
use projections::LiveDrones;

use super::*;
use crate::application::TransactError;
use crate::ingest::message::{Message, Unread};
use crate::ingest::{Kept, Taken};

fn hour() -> RefusalHour {
    RefusalHour::of(receipt().at)
}

fn message(subject: &str, data: &[u8]) -> RefusedMessage {
    let headers = Vec::new();
    let message = Message {
        subject,
        headers,
        data,
    };
    // As a release that could not read it would have kept it.
    let unread = message.read(receipt()).err();
    let unread = unread.unwrap_or_else(|| Unread::new(Refused::Malformed, "not understood yet"));
    message.refused(&unread, receipt().at)
}

impl Service {
    async fn refuse(&self, messages: Vec<RefusedMessage>) -> Vec<Kept> {
        self.ingest.refuse(hour(), messages).await.unwrap()
    }

    fn refusals(&self) -> Vec<RefusalEvent> {
        let name = StreamName::refusals(hour());
        self.ingest.application().loader().events(name).unwrap()
    }

    async fn lift(&self, version: u64) -> Result<(), RedriveError> {
        let task = TaskId::new(StreamName::refusals(hour()), version).unwrap();
        let lifted = self.ingest.lift(&LiveDrones::default(), task, None).await;
        match lifted {
            Ok(_) => Ok(()),
            Err(TransactError::Rejected(error)) => Err(error),
            Err(TransactError::Failed(failure)) => panic!("{failure}"),
        }
    }
}

#[tokio::test]
async fn a_message_is_kept_once_however_often_it_is_refused() {
    let mut service = Service::without_a_booking();
    let subject = "drone.v1.pgh.M100-07.departed";
    let large = vec![b'x'; 2 * KEPT_BYTES_MAX];
    let mut messages = vec![message(subject, b"{"), message(subject, b"[")];
    // More than a commit has room for.
    for n in 0..9 {
        let mut data = large.clone();
        data[0] = n;
        messages.push(message(subject, &data));
    }
    let once = service.refuse(messages.clone()).await;
    let kept = vec![Kept::Durable; 11];
    assert_eq!(once, kept);
    let commits = service.commits();
    assert_eq!(service.refuse(messages.clone()).await, kept);
    service.restart();
    assert_eq!(service.refuse(messages).await, kept);
    assert_eq!(service.commits(), commits);
    let events = service.refusals();
    assert_eq!(events.len(), 11);
    let RefusalEvent::MessageRefused { number: 3, message } = &events[2] else {
        panic!("{:?}", events[2]);
    };
    assert_eq!(
        (message.why, message.data.len()),
        (Refused::TooLarge, KEPT_BYTES_MAX)
    );
    assert_eq!(message.size_bytes, large.len() as u64);
}

#[tokio::test]
async fn given_a_flood_of_garbage_then_the_log_grows_by_so_much_and_no_more() {
    let service = Service::without_a_booking();
    let flood = |fleet: &str, count: u32| {
        let subject = format!("drone.v1.{fleet}.M100-07.departed");
        let data = (0..count).map(|n| n.to_string());
        let messages = data.map(|data| message(&subject, data.as_bytes()));
        messages.collect::<Vec<_>>()
    };
    for batch in flood("mad", 5_000).chunks(100) {
        service.refuse(batch.to_vec()).await;
    }
    let kept = |service: &Service| {
        let events = service.refusals();
        let is_kept = |event: &&RefusalEvent| matches!(event, RefusalEvent::MessageRefused { .. });
        (events.iter().filter(is_kept).count(), events.len())
    };
    let (letters, events) = kept(&service);
    assert_eq!(letters, KEPT_PER_HOUR_MAX / 4);
    assert!(events - letters <= 14, "{events}");
    let noted = service
        .refusals()
        .into_iter()
        .rev()
        .find_map(|event| match event {
            RefusalEvent::FurtherRefused { count } => Some(count),
            RefusalEvent::MessageRefused { .. } | RefusalEvent::RefusalLifted { .. } => None,
        });
    assert!(noted.is_some_and(|noted| noted * 2 >= 4_968), "{noted:?}");
    // Of every further fleet some are kept, however much those before it sent.
    for fleet in 0..9 {
        let before = kept(&service).0;
        service.refuse(flood(&format!("fleet-{fleet}"), 200)).await;
        assert!(kept(&service).0 > before, "none of the fleet {fleet}");
    }
    assert!(kept(&service).0 <= KEPT_PER_HOUR_MAX);
}

#[tokio::test]
async fn given_an_hour_that_is_full_then_facts_are_not_merely_counted() {
    let service = Service::without_a_booking();
    let subject = "drone.v1.pgh.M100-07.departed";
    let garbage = |numbers: std::ops::Range<u32>| {
        let data = numbers.map(|n| n.to_string());
        let messages = data.map(|data| message(subject, data.as_bytes()));
        messages.collect::<Vec<_>>()
    };
    let share = u32::try_from(KEPT_PER_HOUR_MAX / 4).unwrap();
    let kept = service.refuse(garbage(0..share)).await;
    assert!(kept.iter().all(|kept| *kept == Kept::Durable), "{kept:?}");
    let commits = service.commits();
    for why in [Refused::NoRoom, Refused::Unreadable] {
        let mut fact = message(subject, why.to_string().as_bytes());
        fact.why = why;
        assert_eq!(service.refuse(vec![fact]).await, [Kept::Not]);
    }
    assert_eq!(service.commits(), commits, "they are noted as refused");
    // What was kept before is, and so it is told from what is not.
    let kept = service.refuse(garbage(share - 1..share + 1)).await;
    assert_eq!(kept, [Kept::Durable, Kept::Counted]);
}

#[tokio::test]
async fn a_message_that_can_be_read_after_all_is_taken_once() {
    let service = Service::with_a_booking().await;
    let events = flight(service.delivery);
    let subject = |kind: &str| format!("drone.v1.pgh.M100-07.{kind}");
    let assigned = events[0].to_string();
    let cut = vec![b' '; KEPT_BYTES_MAX + 1];
    let messages = vec![
        message(&subject("mission_assigned"), assigned.as_bytes()),
        message(&subject("departed"), b"{"),
        message(&subject("departed"), &cut),
    ];
    service.refuse(messages).await;
    assert_eq!(service.lift(1).await, Ok(()));
    let (_, fact) = fact_of(&events[0]);
    let (sender, _) = fact_of(&events[1]);
    let name = StreamName::drone_session(&sender.fleet, &sender.drone, &sender.session);
    assert!(service.load::<Session>(name).sender().is_some());
    assert_eq!(service.receive(&events[..1]).await, [Verdict::Duplicate]);
    let commits = service.commits();
    assert_eq!(service.lift(1).await, Ok(()));
    for (version, why) in [(2, Refused::Malformed), (3, Refused::TooLarge)] {
        let still = service.lift(version).await;
        let Err(RedriveError::StillRefused(unread)) = still else {
            panic!("{still:?}");
        };
        assert_eq!(unread.why, why);
    }
    // Version 4 is that of the event which says that the first was read.
    for version in [4, 5] {
        assert_eq!(service.lift(version).await, Err(RedriveError::Unknown));
    }
    assert_eq!(service.commits(), commits);

    // Another fact has its number.
    let mut other = events[0].clone();
    other["id"] = json!("another");
    let other = message(&subject("mission_assigned"), other.to_string().as_bytes());
    service.refuse(vec![other]).await;
    let Err(RedriveError::StillRefused(unread)) = service.lift(5).await else {
        panic!("it was taken");
    };
    assert_eq!((unread.why, fact.seq), (Refused::NumberTaken, 1));
}

#[tokio::test]
async fn what_is_taken_in_is_told_of_in_the_order_given() {
    let service = Service::with_a_booking().await;
    let events = flight(service.delivery);
    let mut other = events[0].clone();
    other["id"] = json!("another");
    let all = [&events[1], &events[0], &events[0], &other];
    let all = all.map(|event| read(event).unwrap());
    let live = LiveDrones::default();
    let taken = service.ingest.take(&live, all.to_vec()).await;
    let accepted = Taken::Accepted { unknown: None };
    assert_eq!(
        taken,
        [
            accepted.clone(),
            accepted,
            Taken::Duplicate,
            Taken::Conflict
        ]
    );
}
