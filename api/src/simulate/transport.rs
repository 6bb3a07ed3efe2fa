//! How badly facts are told: late, more than once, in no order, by a sender that begins anew.

use super::dice::Lot;
use super::faults::{Fault, Faults};
use super::script::{Step, Telling};

/// How often a mission is told badly in one way, of a thousand, where that may be.
const PERMILLE: u32 = 250;

/// Which facts may come late: what follows each shows that the service has gone on without it.
const LATE: [&str; 3] = ["departed", "arrived", "package_loaded"];

/// Which facts change what is known of the delivery, whatever came before them.
const SEEN: [&str; 4] = ["departed", "arrived", "package_loaded", "package_released"];

/// The same steps told badly, and in which ways.
pub(super) fn told_badly(
    mut steps: Vec<Step>,
    lot: &Lot,
    faults: &Faults,
) -> (Vec<Step>, Vec<Fault>) {
    let mut struck = Vec::new();
    let mut strikes = |fault: Fault| {
        let does = faults.has(fault) && lot.dice(fault.name()).happens(PERMILLE);
        if does {
            struck.push(fault);
        }
        does
    };
    // Late before the others, since its two facts must stand next to each other.
    if strikes(Fault::Late) {
        steps = with_one_late(steps, lot);
    }
    if strikes(Fault::Reordered) {
        steps = gathered(steps);
        for telling in tellings(&mut steps) {
            lot.dice(&format!("order {}", telling.facts.len()))
                .shuffle(&mut telling.sent);
        }
    }
    if strikes(Fault::Duplicated) {
        let mut dice = lot.dice("copies");
        for telling in tellings(&mut steps) {
            if dice.happens(500) {
                telling.sent.extend(0..telling.facts.len());
            }
            telling.again = dice.happens(500);
        }
    }
    if strikes(Fault::Restarts) {
        restart_somewhere(&mut steps, lot);
    }
    (steps, struck)
}

/// Every telling, those between which a fact is missing too.
fn tellings(steps: &mut [Step]) -> impl Iterator<Item = &mut Telling> {
    steps.iter_mut().filter_map(|step| match step {
        Step::Tell(telling)
        | Step::TellUntilSeen(telling)
        | Step::TellLate {
            meanwhile: telling, ..
        } => Some(telling),
        Step::AwaitTurn
        | Step::LeaveDelivery
        | Step::Fly { .. }
        | Step::Stay { .. }
        | Step::Restart
        | Step::Cancel { .. }
        | Step::Change(_)
        | Step::AskBack
        | Step::AwaitStandDown
        | Step::AwaitCondition(_)
        | Step::SecondDrone => None,
    })
}

/// Keeps one fact back until after the next one, if there are such two.
fn with_one_late(mut steps: Vec<Step>, lot: &Lot) -> Vec<Step> {
    let candidates: Vec<_> = (0..steps.len())
        .filter_map(|place| Some((place, follower(&steps, place)?)))
        .collect();
    let Some((place, next)) = lot.dice("which is late").pick(&candidates) else {
        return steps;
    };
    let (Some(Step::Tell(late)), Some(Step::Tell(meanwhile))) =
        (steps.get(place).cloned(), steps.get(next).cloned())
    else {
        return steps;
    };
    let Some(late) = late.facts.into_iter().next() else {
        return steps;
    };
    if let Some(step) = steps.get_mut(next) {
        *step = Step::TellLate { late, meanwhile };
    }
    steps.remove(place);
    steps
}

/// The place of the telling right after the one at this place, with nothing but flying
/// between them, if the first may be late and the second shows it.
fn follower(steps: &[Step], place: usize) -> Option<usize> {
    only_kind(steps.get(place)?).filter(|kind| LATE.contains(kind))?;
    let rest = steps.iter().enumerate().skip(place + 1);
    let mut rest = rest.filter(|(_, step)| !matches!(step, Step::Fly { .. }));
    let (next, step) = rest.next()?;
    only_kind(step)
        .filter(|kind| SEEN.contains(kind))
        .filter(|_| !goes_home(step) && steps.get(place).is_some_and(|first| !goes_home(first)))
        .map(|_| next)
}

/// The kind of a telling of one fact.
fn only_kind(step: &Step) -> Option<&'static str> {
    match step.telling()?.facts.as_slice() {
        [fact] => Some(fact.kind),
        _ => None,
    }
}

/// Whether a step tells that the drone sets out for home, which may change nothing.
fn goes_home(step: &Step) -> bool {
    let mut facts = step
        .telling()
        .into_iter()
        .flat_map(|telling| &telling.facts);
    facts.any(|fact| fact.own.get("leg").and_then(serde_json::Value::as_str) == Some("return"))
}

/// What is told at one place goes into one request.
fn gathered(steps: Vec<Step>) -> Vec<Step> {
    let mut gathered: Vec<Step> = Vec::new();
    for step in steps {
        match (gathered.last_mut(), step) {
            (Some(Step::Tell(last)), Step::Tell(next)) => {
                let facts = [std::mem::take(&mut last.facts), next.facts].concat();
                *last = Telling::of(facts);
            }
            (_, step) => gathered.push(step),
        }
    }
    gathered
}

/// The sender begins anew before one of the tellings after the mission was accepted.
fn restart_somewhere(steps: &mut Vec<Step>, lot: &Lot) {
    let places: Vec<_> = steps
        .iter()
        .enumerate()
        .skip_while(|(_, step)| **step != Step::AwaitTurn)
        .filter(|(_, step)| matches!(step, Step::Tell(_) | Step::TellLate { .. }))
        .map(|(place, _)| place)
        .collect();
    if let Some(place) = lot.dice("when it begins anew").pick(&places) {
        steps.insert(place, Step::Restart);
    }
}
