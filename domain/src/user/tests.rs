//! How a user behaves, in sentences and laws.

use proptest::prelude::*;

use super::*;
use crate::arbitrary as any_of;
use crate::codec::StoredEvent;
use crate::decider::Occurrence;
use crate::spec::{Given, given, lived};
use crate::text::{Email, Locale, Phone};
use crate::time::Timestamp;

fn contact(email: &str) -> Contact {
    Contact {
        name: "Ada".parse().unwrap(),
        email: Email::new(email).unwrap(),
        phone: None,
        locale: None,
    }
}

const NOW: Timestamp = Timestamp::MIN;

fn create(email: &str) -> UserCommand {
    let contact = contact(email);
    UserCommand::Create { contact, now: NOW }
}

fn reason() -> Comment {
    "unpaid bills".parse().unwrap()
}

fn suspend() -> UserCommand {
    let reason = reason();
    UserCommand::Suspend { reason, now: NOW }
}

fn reinstate() -> UserCommand {
    let reason = reason();
    UserCommand::Reinstate { reason, now: NOW }
}

fn ada() -> Given<User> {
    given([]).after(create("ada@example.org"))
}

#[test]
fn somebody_is_taken_in_once() {
    let ada = given::<User>([])
        .when(create("ada@example.org"))
        .then_events([UserEvent::UserCreated(contact("ada@example.org"))]);
    assert_eq!(ada.state().unwrap().status(), UserStatus::Active);
    ada.clone().when(create("ada@example.org")).then_nothing();
    ada.when(create("bob@example.org"))
        .then_rejected(UserRejection::AlreadyExists);
}

#[test]
fn new_data_replace_the_old_and_the_same_change_nothing() {
    let update = |email: &str| UserCommand::Update {
        contact: contact(email),
        now: NOW,
    };
    let moved = ada()
        .when(update("ada@example.com"))
        .then_events([UserEvent::UserUpdated(contact("ada@example.com"))]);
    assert_eq!(
        moved.state().unwrap().contact(),
        &contact("ada@example.com")
    );
    ada().when(update("ada@example.org")).then_nothing();
    // A suspended user's data may still be set right.
    ada()
        .after(suspend())
        .when(update("ada@example.com"))
        .then_events([UserEvent::UserUpdated(contact("ada@example.com"))]);
}

#[test]
fn a_user_is_suspended_and_reinstated() {
    let reason = reason();
    let suspended = ada()
        .when(suspend())
        .then_events([UserEvent::UserSuspended {
            reason: reason.clone(),
        }]);
    assert_eq!(suspended.state().unwrap().status(), UserStatus::Suspended);
    let back = suspended
        .when(reinstate())
        .then_events([UserEvent::UserReinstated { reason }]);
    assert_eq!(back.state().unwrap().status(), UserStatus::Active);
    back.when(reinstate()).then_nothing();
}

#[test]
fn nobody_is_changed_who_was_never_taken_in() {
    for command in [
        suspend(),
        reinstate(),
        UserCommand::Update {
            contact: contact("ada@example.org"),
            now: NOW,
        },
    ] {
        given::<User>([])
            .when(command)
            .then_rejected(UserRejection::Unknown);
    }
}

/// Everybody: few enough to meet again, with and without each optional datum.
fn any_contact() -> impl Strategy<Value = Contact> {
    (
        any_of::text(),
        "[a-cA-C]{1,2}@[a-c]{1,3}\\.(org|com)",
        prop::option::of("\\+[1-9][0-9]{6,14}"),
        prop::option::of("[a-z]{2}(-[A-Z]{2})?"),
    )
        .prop_map(|(name, email, phone, locale)| Contact {
            name,
            email: Email::new(&email).unwrap(),
            phone: phone.map(|phone| Phone::new(&phone).unwrap()),
            locale: locale.map(|locale| Locale::new(&locale).unwrap()),
        })
}

fn any_event() -> impl Strategy<Value = UserEvent> {
    prop_oneof![
        any_contact().prop_map(UserEvent::UserCreated),
        any_contact().prop_map(UserEvent::UserUpdated),
        any_of::text().prop_map(|reason| UserEvent::UserSuspended { reason }),
        any_of::text().prop_map(|reason| UserEvent::UserReinstated { reason }),
    ]
}

fn any_command() -> impl Strategy<Value = UserCommand> {
    prop_oneof![
        (any_contact(), any_of::time())
            .prop_map(|(contact, now)| UserCommand::Create { contact, now }),
        (any_contact(), any_of::time())
            .prop_map(|(contact, now)| UserCommand::Update { contact, now }),
        (any_of::text(), any_of::time())
            .prop_map(|(reason, now)| UserCommand::Suspend { reason, now }),
        (any_of::text(), any_of::time())
            .prop_map(|(reason, now)| UserCommand::Reinstate { reason, now }),
    ]
}

proptest! {
    #[test]
    fn the_laws_of_a_decider_hold(life in prop::collection::vec(any_command(), 0..20)) {
        let _ = lived::<User>(&life);
    }

    #[test]
    fn any_events_fold_in_parts_as_they_fold_at_once(
        all in prop::collection::vec((any_event(), any_of::time()), 0..20),
        cut in 0..20_usize,
    ) {
        let all: Vec<_> = all.into_iter().map(|(event, at)| Occurrence::new(event, at)).collect();
        let (a, b) = all.split_at(cut.min(all.len()));
        prop_assert_eq!(User::fold(&all), User::fold_from(User::fold(a), b));
    }

    #[test]
    fn what_is_stored_is_read_back(event in any_event()) {
        let stored = event.encode();
        prop_assert_eq!(UserEvent::decode(stored.event_type, stored.schema, &stored.payload), Ok(event));
    }
}
