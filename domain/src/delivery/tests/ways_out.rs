//! What an operator may say of a package that a drone fetches, or was to fetch, and is silent.

use super::*;

const SAID: &str = "the drone is silent";

fn reason<const CHARS_MAX: usize>() -> crate::text::Text<CHARS_MAX> {
    words(SAID)
}

fn give_up_because() -> DeliveryCommand {
    DeliveryCommand::GiveUp {
        reason: Some(reason()),
        now: at(60),
    }
}

fn failed(mission: MissionId, reason: Failure) -> DeliveryEvent {
    DeliveryEvent::Failed { mission, reason }
}

fn taken(mission: MissionId) -> Occurrence<DeliveryEvent> {
    let picked_up = DeliveryEvent::PickedUp {
        mission,
        tag: None,
        mass: None,
    };
    implied(picked_up, 60)
}

fn completed_by_word(mission: MissionId) -> [Occurrence<DeliveryEvent>; 2] {
    let reason = words("they rang");
    let complete = DeliveryEvent::DeliveryComplete {
        mission,
        method: None,
        evidence: Some(ReleaseEvidence::Manual),
        distance: None,
    };
    [
        now(DeliveryEvent::Vouched { reason }, 60),
        now(complete, 60),
    ]
}

fn returned_by_word(mission: MissionId) -> [Occurrence<DeliveryEvent>; 2] {
    let reason = words("the sender rang");
    [
        now(DeliveryEvent::HandedBack { reason }, 60),
        now(DeliveryEvent::Returned { mission }, 60),
    ]
}

fn given_up(failed: DeliveryEvent) -> [Occurrence<DeliveryEvent>; 2] {
    let given_up = DeliveryEvent::GivenUp { reason: reason() };
    [now(given_up, 60), now(failed, 60)]
}

/// A second drone is on its way to the hub that the package is at, one for each stage.
fn from_hub() -> [Given<Delivery>; 3] {
    let assigned = at_hub().after(report(M2, 20, assigned()));
    let headed = assigned
        .clone()
        .after(report(M2, 21, Reported::DepartedToPickup));
    let there = headed
        .clone()
        .after(report(M2, 22, Reported::ArrivedAtPickup));
    [assigned, headed, there]
}

/// The first drone is on its way to the sender, one for each stage.
fn from_sender() -> [Given<Delivery>; 3] {
    let headed = [assigned(), Reported::DepartedToPickup];
    [flown([assigned()]), flown(headed), at_pickup()]
}

/// Its drone flew home and says that it has the package, and nothing tells where that went.
fn left_on_board(fetched: Given<Delivery>, mission: MissionId) -> Given<Delivery> {
    let left = fetched
        .after(report(mission, 30, completed(Some(true))))
        .after(DeliveryCommand::NoteStranded { now: at(40) });
    assert!(left.state().unwrap().action_required());
    left
}

#[test]
fn given_a_drone_that_is_to_fetch_a_package_from_a_hub_then_an_operator_ends_the_delivery_by_what_they_know()
 {
    for fetched in from_hub() {
        let given_up_there = fetched
            .clone()
            .when(give_up_because())
            .then(given_up(failed(M2, Failure::Undeliverable)));
        assert_eq!(
            given_up_there.state().unwrap().custody(),
            Custody::Hub,
            "nobody moved it"
        );
        let damaged = fetched.clone().after(find_damaged(60));
        assert_eq!(
            damaged.state().unwrap().phase(),
            Phase::Failed(Failure::Damaged)
        );
        fetched
            .clone()
            .when(hand_back(60))
            .then(returned_by_word(M2));
        let [vouched, complete] = completed_by_word(M2);
        fetched.when(vouch(60)).then([taken(M2), vouched, complete]);
    }
}

#[test]
fn given_a_drone_that_is_to_fetch_a_package_from_its_sender_then_whoever_knows_where_that_is_may_say_so()
 {
    for fetched in from_sender() {
        let [vouched, complete] = completed_by_word(M1);
        fetched
            .clone()
            .when(vouch(60))
            .then([taken(M1), vouched, complete]);
        let [handed_back, returned] = returned_by_word(M1);
        fetched
            .clone()
            .when(hand_back(60))
            .then([taken(M1), handed_back, returned]);
        // As long as nothing shows that it left the sender it can be cancelled.
        let refused = Delivery::decide(&give_up_because(), &fetched.state());
        let Err(DeliveryRejection::WrongStatus { possible, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(possible.contains("cancel it"), "{possible}");
    }
}

#[test]
fn what_a_silent_drone_tells_after_an_operators_word_agrees_with_it() {
    let vouched = at_pickup().after(vouch(60));
    let corrected = DeliveryEvent::MilestoneTimeCorrected {
        milestone: Milestone::PickedUp,
        was: at(60),
        now: at(5),
    };
    let told = vouched
        .when(report(M1, 5, loaded()))
        .then_events([corrected]);
    told.when(report(M1, 6, released_at(NEAR))).then_nothing();
}

#[test]
fn what_a_drone_takes_after_an_operators_word_contradicts_it() {
    let wrong = || loaded_as(LoadVerdict::WrongPackage);
    for word in [hand_back(60), vouch(60)] {
        for fetched in [at_pickup(), at_pickup().after(cancel(at(9)))] {
            let ended = fetched.after(word.clone());
            for taken in [loaded(), wrong()] {
                let taken = report(M1, 61, taken);
                let told = ended
                    .clone()
                    .when(taken.clone())
                    .then_events([anomaly(&taken, Anomaly::ContradictsOutcome)]);
                let before = ended.state().unwrap();
                let picked_up = |it: &Delivery| *it.reached(M1, Milestone::PickedUp).unwrap();
                assert_eq!(picked_up(&told.state().unwrap()), picked_up(&before));
            }
            // By its own clock it had the package when the word was said.
            let corrected = DeliveryEvent::MilestoneTimeCorrected {
                milestone: Milestone::PickedUp,
                was: at(60),
                now: at(60),
            };
            ended
                .when(report(M1, 60, loaded()))
                .then_events([corrected]);
        }
    }
}

/// A drone said that it ended its mission with the package, and another one fetches that by now.
fn left_by_a_former(fetched: impl IntoIterator<Item = DeliveryCommand>) -> Given<Delivery> {
    let left = left_on_board(at_pickup(), M1).after(report(M1, 41, ended(Ending::StoodDown)));
    assert_eq!(status(&left), Status::Scheduled);
    let left = fetched.into_iter().fold(left, Given::after);
    assert!(left.state().unwrap().action_required());
    left
}

#[test]
fn what_a_former_drone_was_left_with_is_not_lost_by_the_one_that_came_after_it() {
    let waits = left_by_a_former([]);
    waits
        .when(give_up_because())
        .then(given_up(failed(M1, Failure::NoDrone)));
    let second = || report(M2, 50, assigned());
    let fetched = left_by_a_former([second()]);
    fetched
        .clone()
        .when(give_up_because())
        .then(given_up(failed(M2, Failure::NoDrone)));
    left_by_a_former([second(), cancel(at(51))])
        .when(give_up_because())
        .then(given_up(DeliveryEvent::Cancelled));
    // It is another matter once that one says so itself.
    let [word, lost] = given_up(failed(M2, Failure::PackageLost));
    fetched
        .after(report(M2, 52, completed(Some(true))))
        .when(give_up_because())
        .then([taken(M2), word, lost]);
}

#[test]
fn given_a_package_that_is_said_to_be_on_board_of_a_drone_that_was_to_fetch_it_then_it_is_found_or_lost()
 {
    let fetched_from_sender = from_sender().map(|fetched| (fetched, M1));
    let fetched_from_hub = from_hub().map(|fetched| (fetched, M2));
    for (fetched, mission) in fetched_from_sender.into_iter().chain(fetched_from_hub) {
        let left = left_on_board(fetched, mission);
        let [word, lost] = given_up(failed(mission, Failure::PackageLost));
        left.clone()
            .when(give_up_because())
            .then([taken(mission), word, lost]);
        let complete = left.clone().after(vouch(60));
        assert_eq!(status(&complete), Status::Complete);
        let back = left.after(hand_back(60));
        assert_eq!(status(&back), Status::Returned);
        assert!(!back.state().unwrap().action_required());
    }
}

#[test]
fn given_a_cancellation_whose_drone_says_that_it_has_the_package_then_it_came_too_late() {
    let why = CancellationRefusal::AlreadyPickedUp;
    let refused = || now(DeliveryEvent::CancellationRejected { why }, 60);
    let left = left_on_board(at_pickup().after(cancel(at(9))), M1);
    let [word, lost] = given_up(failed(M1, Failure::PackageLost));
    left.clone()
        .when(give_up_because())
        .then([refused(), taken(M1), word, lost]);
    let [vouched, complete] = completed_by_word(M1);
    left.clone()
        .when(vouch(60))
        .then([refused(), taken(M1), vouched, complete]);
    let [handed_back, returned] = returned_by_word(M1);
    left.when(hand_back(60))
        .then([refused(), taken(M1), handed_back, returned]);
}

#[test]
fn what_nobody_comes_for_or_confirms_in_time_is_given_up() {
    let note = DeliveryCommand::NoteStranded { now: at(40) };
    let overdue = DeliveryCommand::OverdueConfirmation { now: at(40) };
    let asked_back = at_dropoff().after(DeliveryCommand::RequestReturn { now: at(9) });
    let waits = [
        (at_pickup().after(note.clone()), Failure::NoDrone),
        (asked_back.after(note), Failure::PackageLost),
        (awaiting().after(overdue), Failure::PackageLost),
    ];
    for (given, failure) in waits {
        assert!(given.state().unwrap().action_required());
        given
            .when(give_up_because())
            .then(given_up(failed(M1, failure)));
    }
}
