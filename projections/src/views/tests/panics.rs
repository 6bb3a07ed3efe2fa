//! Answers that are current although folding a record that the view has not reached panics.

use std::collections::BTreeSet;

use domain::id::DroneId;

use super::poison::Breaking;
use super::*;
use crate::Flight;
use crate::fleet::Fleet;
use crate::test_log::{assigned, created, delivery, mission, user};

static BREAKS_AT: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
static BREAKING: Breaking = Breaking(&Fleet, &BREAKS_AT);
const FLEET_ONLY: Projections = &[&BREAKING];

fn fleet_of(log: &TestLog) -> Views {
    let folder = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
    Views::start_with(FLEET_ONLY, folder, log.store(), Duration::MAX, TICK).unwrap()
}

#[test]
fn a_drone_is_answered_without_the_record_that_the_view_will_leave_out() {
    // Given a fleet that is behind, and ahead of it a record at which it panics.
    let mut log = TestLog::new();
    log.delivery(delivery(1), user(1), [created(user(1))]);
    let views = fleet_of(&log);
    catch_up(&views, &log);
    views.stop();
    let assign = |number| [created(user(1)), assigned(mission(number), 1, None)];
    let broken = log.delivery(delivery(2), user(1), assign(2));
    log.delivery(delivery(3), user(1), assign(3));
    BREAKS_AT.lock().unwrap().insert(broken.get());

    // When its drone is asked for, then the answer is that of a view that has passed it.
    let drone = DroneId::new("M100-07").unwrap();
    let named = |views: &Views| runtime().block_on(views.drones_named(&drone));
    let behind = named(&views);
    let there = fleet_of(&log);
    catch_up(&there, &log);
    assert_eq!(there.health().views.first().unwrap().skipped, 1);
    assert_eq!(behind, named(&there));
    let behind = behind.unwrap();
    assert_eq!(behind.degraded_since, Some(broken));
    let flights = behind.shown.into_iter().map(|drone| drone.flight);
    let (mission, delivery) = (mission(3), delivery(3));
    let expected = [Some(Flight { mission, delivery })];
    assert_eq!(flights.collect::<Vec<_>>(), expected);
}
