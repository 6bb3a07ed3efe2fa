//! Tests of the statistics.

use domain::decider::{Decider as _, Occurrence};
use domain::delivery::{Delivery, DeliveryEvent, Milestone, ReleaseMethod, Status};
use domain::id::DeliveryId;
use domain::quantity::DistanceM;
use domain::stream::StreamName;
use eventstore::Position;
use proptest::prelude::*;

use super::counting::{UNDER_WAY, UnderWay};
use super::*;
use crate::any_log::{Service, happenings};
use crate::stored::to_bytes;
use crate::test_log::{Appending, TestLog, assigned, at, delivery, mission, order, user};
use crate::view_store::VALUE_BYTES_MAX;

const HOUR_S: i64 = 3_600;

fn everything(by: Period) -> StatisticsQuery {
    StatisticsQuery {
        from: None,
        to: None,
        by,
        limit: PERIODS_PER_PAGE_MAX,
        after: None,
    }
}

fn page_of(log: &TestLog, query: &StatisticsQuery) -> StatisticsPage {
    let set = log.folded();
    let answering = set.view(&HourlyStatistics);
    let view = answering.read();
    page(&view.overlay(), query).unwrap()
}

fn only(log: &TestLog) -> Statistics {
    let mut items = page_of(log, &everything(Period::Hour)).items;
    assert_eq!(items.len(), 1, "{items:?}");
    items.remove(0)
}

/// Appends events of a delivery with the times at which they happened, in
/// seconds after the epoch of the tests.
fn happened(
    log: &mut TestLog,
    id: DeliveryId,
    events: impl IntoIterator<Item = (i64, DeliveryEvent)>,
) {
    for (seconds, event) in events {
        let occurrence = Occurrence::new(event, at(seconds));
        let stream = StreamName::delivery(id);
        log.append(vec![Appending::new(stream, Some(user(1)), [occurrence])]);
    }
}

fn asked_for(deliver_by: Option<i64>) -> DeliveryEvent {
    let mut order = order(user(1));
    order.plan.deliver_by = deliver_by.map(at);
    DeliveryEvent::Created(Box::new(order))
}

fn completed() -> DeliveryEvent {
    DeliveryEvent::DeliveryComplete {
        mission: mission(1),
        method: Some(ReleaseMethod::Winch),
        evidence: None,
        distance: Some(DistanceM::new(3)),
    }
}

/// A flight of half an hour that begins then.
fn flight(
    begin: i64,
    deliver_by: Option<i64>,
    expected_at: Option<i64>,
) -> Vec<(i64, DeliveryEvent)> {
    let mission_id = mission(1);
    vec![
        (begin, asked_for(deliver_by)),
        (begin + 60, assigned(mission_id, 1, expected_at.map(at))),
        (
            begin + 360,
            DeliveryEvent::ArrivedAtPickup {
                mission: mission_id,
            },
        ),
        (
            begin + 400,
            DeliveryEvent::PickedUp {
                mission: mission_id,
                tag: None,
                mass: None,
            },
        ),
        (
            begin + 1_600,
            DeliveryEvent::ArrivedAtDropoff {
                mission: mission_id,
                distance: None,
            },
        ),
        (begin + 1_800, completed()),
    ]
}

fn p50_s(statistics: &Statistics, wanted: Stage) -> Option<u64> {
    let mut stages = statistics.stages.iter();
    let (_, spread) = stages.find(|(stage, _)| *stage == wanted).unwrap();
    spread.p50_ms.map(|ms| (ms + 500) / 1_000)
}

/// What a delivery ended as first: what it comes to after that is not counted again.
fn first_end(life: &[Occurrence<DeliveryEvent>]) -> Option<Status> {
    let mut delivery = Delivery::initial();
    life.iter().find_map(|occurrence| {
        delivery = Delivery::evolve(delivery.take(), occurrence);
        let status = delivery.as_ref().map(Delivery::status);
        status.filter(|status| status.is_terminal())
    })
}

proptest! {
    /// Law: whatever happened, every delivery is counted once as created and
    /// once as what it ended as.
    #[test]
    fn every_delivery_counts_once(happenings in happenings(200)) {
        let service = Service::after(&happenings);
        let states: Vec<_> = (0..6).filter_map(|number| service.delivery(number)).collect();
        let ends: Vec<_> = (0..6).filter_map(|number| first_end(&service.occurrences(number))).collect();
        let ended = |status: Status| ends.iter().filter(|end| **end == status).count() as u64;
        let found = page_of(&service.log, &everything(Period::Day)).items;
        prop_assert!(found.len() <= 1, "all happened on one day");
        let Some(found) = found.first() else {
            prop_assert!(states.is_empty());
            return Ok(());
        };
        prop_assert_eq!(found.created, states.len() as u64);
        prop_assert_eq!(found.completed, ended(Status::Complete));
        prop_assert_eq!(found.cancelled, ended(Status::Cancelled));
        prop_assert_eq!(found.rejected.iter().map(|(_, count)| count).sum::<u64>(), ended(Status::Rejected));
        prop_assert_eq!(found.returned, ended(Status::Returned));
        prop_assert_eq!(found.failed.iter().map(|(_, count)| count).sum::<u64>(), ended(Status::Failed));
        let total = found.stages.iter().find(|(stage, _)| *stage == Stage::Total).unwrap().1;
        prop_assert_eq!(total.count, found.completed);
    }

    /// Law: only deliveries under way are remembered one by one.
    #[test]
    fn what_has_ended_is_not_remembered_by_itself(happenings in happenings(150)) {
        let service = Service::after(&happenings);
        let set = service.log.folded();
        let answering = set.view(&HourlyStatistics);
        let view = answering.read();
        let remembered = view.overlay().scan(&Key::index(UNDER_WAY).prefix(), Direction::Forward, usize::MAX).unwrap();
        let under_way = (0..6).filter(|number| {
            service.delivery(*number).is_some() && first_end(&service.occurrences(*number)).is_none()
        });
        prop_assert_eq!(remembered.len(), under_way.count());
    }
}

#[test]
fn a_delivery_is_measured_stage_by_stage_in_the_hour_of_its_end() {
    let mut log = TestLog::new();
    happened(&mut log, delivery(1), flight(HOUR_S - 900, None, None));
    let items = page_of(&log, &everything(Period::Hour)).items;
    let [end, begin] = items.as_slice() else {
        panic!("two hours, newest first: {items:?}");
    };
    assert_eq!((begin.from, begin.to), (at(0), at(HOUR_S)));
    assert_eq!((begin.created, begin.completed), (1, 0));
    assert_eq!(p50_s(begin, Stage::Total), None);
    assert_eq!((end.created, end.completed), (0, 1));
    for (stage, seconds) in [
        (Stage::Waiting, 60),
        (Stage::ToPickup, 300),
        (Stage::AtPickup, 40),
        (Stage::ToDropoff, 1_200),
        (Stage::AtDropoff, 200),
        (Stage::Total, 1_800),
    ] {
        let found = p50_s(end, stage).unwrap();
        assert!(
            found.abs_diff(seconds) <= seconds / 64 + 1,
            "{stage:?}: {found}"
        );
    }
}

#[test]
fn a_day_is_its_hours_put_together() {
    let mut log = TestLog::new();
    for number in 0..30_u32 {
        let begin = i64::from(number) * HOUR_S;
        happened(&mut log, delivery(number.into()), flight(begin, None, None));
    }
    let hours = page_of(&log, &everything(Period::Hour)).items;
    assert_eq!(hours.len(), 30);
    assert!(hours.is_sorted_by_key(|hour| std::cmp::Reverse(hour.from)));
    let days = page_of(&log, &everything(Period::Day)).items;
    let counted: Vec<_> = days
        .iter()
        .map(|day| (day.from, day.to, day.completed))
        .collect();
    let day = 24 * HOUR_S;
    assert_eq!(counted, [(at(day), at(2 * day), 6), (at(0), at(day), 24)]);
    assert_eq!(days[0].stages[5].1.count, 6);
}

#[test]
fn periods_are_those_that_begin_in_the_span_and_come_page_by_page() {
    let mut log = TestLog::new();
    for number in 0..10_u32 {
        happened(
            &mut log,
            delivery(number.into()),
            [(i64::from(number) * HOUR_S, asked_for(None))],
        );
    }
    let mut query = everything(Period::Hour);
    query.from = Some(at(HOUR_S + 1));
    query.to = Some(at(5 * HOUR_S));
    query.limit = 2;
    let hours = |page: &StatisticsPage| {
        let begins = page
            .items
            .iter()
            .map(|hour| (hour.from.micros() - at(0).micros()) / 3_600_000_000);
        begins.collect::<Vec<_>>()
    };
    let first = page_of(&log, &query);
    assert_eq!(hours(&first), [4, 3]);
    query.after = first.next;
    let second = page_of(&log, &query);
    assert_eq!((hours(&second), second.next), (vec![2], None));
    let (from, to) = (Some(at(1)), Some(at(25 * HOUR_S)));
    let days = StatisticsQuery {
        from,
        to,
        ..everything(Period::Day)
    };
    assert_eq!(page_of(&log, &days).items, [], "the day began before");
}

#[test]
fn what_came_after_its_deadline_as_last_agreed_is_late() {
    for (agreed, moved, is_late) in [
        (None, None, 0),
        (Some(1_799), None, 1),
        (Some(1_800), None, 0),
        (Some(1_000), Some(1_900), 0),
    ] {
        let mut log = TestLog::new();
        let mut events = flight(0, agreed, None);
        if let Some(moved) = moved {
            let mut plan = order(user(1)).plan;
            plan.deliver_by = Some(at(moved));
            events.insert(1, (10, DeliveryEvent::Rescheduled(Box::new(plan))));
        }
        happened(&mut log, delivery(1), events);
        assert_eq!(only(&log).late, is_late, "{agreed:?} {moved:?}");
    }
}

#[test]
fn an_expected_arrival_is_held_against_the_arrival() {
    let mut log = TestLog::new();
    for (number, expected_at) in (1..).zip([1_600, 1_500, 1_580, 1_700]) {
        happened(
            &mut log,
            delivery(number),
            flight(0, None, Some(expected_at)),
        );
    }
    let eta = only(&log).eta;
    assert_eq!((eta.early, eta.late, eta.error.count), (1, 2, 4));
    let p50_s = eta.error.p50_ms.unwrap() / 1_000;
    assert!((19..=21).contains(&p50_s), "{p50_s}");
}

#[test]
fn a_time_that_was_corrected_counts_as_it_was_corrected() {
    let mut log = TestLog::new();
    let mut events = flight(0, None, None);
    let corrected = DeliveryEvent::MilestoneTimeCorrected {
        milestone: Milestone::ArrivedAtPickup,
        was: at(360),
        now: at(160),
    };
    events.insert(4, (500, corrected));
    happened(&mut log, delivery(1), events);
    let found = p50_s(&only(&log), Stage::ToPickup).unwrap();
    assert!((98..=102).contains(&found), "{found}");
}

#[test]
fn failures_are_told_apart_by_their_reason() {
    let mut log = TestLog::new();
    let reasons = [
        Failure::PackageLost,
        Failure::DroneLost,
        Failure::PackageLost,
    ];
    for (number, reason) in (1..).zip(reasons) {
        let failed = DeliveryEvent::Failed {
            mission: mission(1),
            reason,
        };
        happened(
            &mut log,
            delivery(number),
            [(0, asked_for(None)), (1, failed)],
        );
    }
    assert_eq!(
        only(&log).failed,
        [(Failure::DroneLost, 1), (Failure::PackageLost, 2)]
    );
}

#[test]
fn a_delivery_under_way_with_everything_set_fits_a_value() {
    let steps = Milestone::ALL.iter().map(|step| (*step, Timestamp::MAX));
    let under_way = UnderWay {
        created_at: Timestamp::MAX,
        deliver_by: Some(Timestamp::MAX),
        expected_at: Some(Timestamp::MAX),
        reached: steps.collect(),
        position: Position::new(u64::MAX),
    };
    assert!(to_bytes(&under_way).len() <= VALUE_BYTES_MAX);
}
