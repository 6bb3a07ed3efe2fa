//! What is told of the ways on is what is accepted.

use super::classification::situations;
use super::*;

/// What people may ask of a delivery, in the words that tell of it.
fn ways() -> Vec<(&'static str, DeliveryCommand)> {
    let mut plan = order().plan;
    plan.deliver_by = Some(at(1_000));
    let plan = Box::new(plan);
    let now = at(60);
    let reason = Some(words("nobody comes"));
    vec![
        ("cancel it", cancel(now)),
        ("reschedule it", DeliveryCommand::Reschedule { plan, now }),
        ("ask for its return", DeliveryCommand::RequestReturn { now }),
        ("confirm it", confirm(Confirmation::Signature, 60)),
        ("complete it", vouch(60)),
        ("hand it back", hand_back(60)),
        ("give it up", DeliveryCommand::GiveUp { reason, now }),
        ("reopen it", reopen(ReopenedAs::Returning, 60)),
        ("correct what is said of it", correct("elsewhere", 60)),
    ]
}

/// A delivery in every phase, and where what is possible depends on more than that.
fn everywhere() -> Vec<Delivery> {
    let crashed = || at_dropoff().after(report(M1, 9, ended(Ending::Crashed)));
    let stranded = DeliveryCommand::NoteStranded { now: at(50) };
    let on_board = |given: Given<Delivery>, mission| {
        given
            .after(report(mission, 30, completed(Some(true))))
            .after(DeliveryCommand::NoteStranded { now: at(50) })
    };
    let emergency = Reported::EmergencyLanded { detail: None };
    let phases = situations().into_iter().map(|(given, _)| given);
    let others = [
        booked(),
        booked().after(cancel(at(5))),
        at_pickup()
            .after(cancel(at(9)))
            .after(DeliveryCommand::NoteStranded { now: at(12) }),
        at_dropoff().after(confirm(Confirmation::Pin, 9)),
        at_dropoff().after(report(M1, 9, emergency)),
        crashed().after(reopen(ReopenedAs::InTransit, 20)),
        crashed().after(reopen(ReopenedAs::Returning, 20)),
        crashed().after(reopen(ReopenedAs::AtHub, 20)),
        at_pickup().after(stranded.clone()),
        at_dropoff()
            .after(DeliveryCommand::RequestReturn { now: at(9) })
            .after(stranded),
        on_board(at_pickup(), M1),
        on_board(at_pickup().after(cancel(at(9))), M1),
        on_board(at_hub().after(report(M2, 20, assigned())), M2),
        awaiting().after(DeliveryCommand::OverdueConfirmation { now: at(40) }),
    ];
    let all = phases.chain(others);
    all.map(|given| given.state().unwrap()).collect()
}

#[test]
fn whoever_is_refused_is_told_every_way_that_is_open_and_no_other() {
    let mut refusals = 0;
    for delivery in everywhere() {
        let state = Some(delivery);
        let decided: Vec<_> = ways()
            .into_iter()
            .map(|(way, command)| (way, Delivery::decide(&command, &state)))
            .collect();
        let is_open = |decided: &Result<Vec<_>, _>| decided.as_ref().is_ok_and(|it| !it.is_empty());
        for (_, refused) in &decided {
            let Err(DeliveryRejection::WrongStatus { possible, .. }) = refused else {
                continue;
            };
            refusals += 1;
            for (way, decided) in &decided {
                assert_eq!(
                    possible.contains(way),
                    is_open(decided),
                    "{way} in {:?}: {possible}",
                    state.as_ref().map(Delivery::phase)
                );
            }
        }
    }
    assert!(refusals > 100, "only {refusals} refusals were looked at");
}
