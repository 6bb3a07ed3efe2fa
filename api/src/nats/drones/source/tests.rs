//! What is asked of a stream that is there.

use async_nats::jetstream::stream::{Source, SubjectTransform};

use super::*;

fn wanted(copies: u32) -> Wanted {
    let options = NatsOptions {
        nats_copies: Some(copies),
        ..NatsOptions::default()
    };
    let log = LogIdentity {
        log_id: Uuid::nil(),
        epoch: 2,
    };
    Wanted::new(&options, log, Duration::from_secs(2))
}

#[test]
fn a_stream_that_is_made_here_will_do() {
    let wanted = wanted(3);
    assert_eq!(
        Wanted::complaints(wanted.copies, &wanted.stream()),
        Vec::<String>::new()
    );
}

#[test]
fn one_that_sees_more_will_do_too_and_one_without_limits_whatever_it_would_drop() {
    let wanted = wanted(1);
    for subject in WIDER {
        let other = Config {
            subjects: vec!["x".to_owned(), subject.to_owned()],
            discard: DiscardPolicy::Old,
            max_bytes: -1,
            max_messages: -1,
            max_messages_per_subject: -1,
            max_age: Duration::ZERO,
            ..wanted.stream()
        };
        assert_eq!(
            Wanted::complaints(wanted.copies, &other),
            Vec::<String>::new(),
            "{subject}"
        );
    }
}

#[test]
fn what_would_be_better_about_one_that_will_do_is_said() {
    let wanted = wanted(1);
    assert_eq!(advice(&wanted.stream()), Vec::<&str>::new());
    let open = Config {
        max_age: Duration::from_hours(1),
        max_message_size: -1,
        max_bytes: -1,
        ..wanted.stream()
    };
    assert_eq!(
        Wanted::complaints(wanted.copies, &open),
        Vec::<String>::new()
    );
    let advice = advice(&open);
    assert_eq!(advice.len(), 2, "{advice:?}");
    assert!(advice[0].contains("--max-msg-size") && advice[1].contains("--max-bytes"));
}

#[test]
fn each_thing_that_has_to_be_changed_is_named() {
    type Change = fn(&mut Config);
    let wanted = wanted(3);
    let changes: [(Change, &str); 15] = [
        (
            |it| it.subjects = vec!["drone.v1.pgh.>".to_owned()],
            SUBJECTS,
        ),
        (|it| it.storage = StorageType::Memory, "in memory"),
        (|it| it.retention = RetentionPolicy::WorkQueue, "retention"),
        (|it| it.retention = RetentionPolicy::Interest, "retention"),
        (
            |it| (it.discard, it.max_messages) = (DiscardPolicy::Old, 9),
            "--discard new",
        ),
        (
            |it| it.max_messages_per_subject = 1,
            "--max-msgs-per-subject",
        ),
        (
            |it| it.duplicate_window = Duration::from_mins(2),
            "--dupe-window",
        ),
        (|it| it.num_replicas = 1, "--replicas"),
        (|it| it.no_ack = true, "no_ack"),
        (|it| it.allow_rollup = true, "allow_rollup_hdrs"),
        (
            |it| it.sources = Some(vec![Source::default()]),
            "other streams",
        ),
        (|it| it.mirror = Some(Source::default()), "other streams"),
        (
            |it| {
                it.subject_transform = Some(SubjectTransform {
                    source: "drone.v1.a.>".to_owned(),
                    destination: "drone.v1.b.>".to_owned(),
                });
            },
            "subject transform",
        ),
        (|it| it.sealed = true, "sealed"),
        (|it| it.max_age = Duration::from_mins(59), "--max-age"),
    ];
    for (change, words) in changes {
        let mut unfit = wanted.stream();
        change(&mut unfit);
        let complaints = Wanted::complaints(wanted.copies, &unfit);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains(words), "{complaints:?}");
    }
}

#[test]
fn the_consumer_is_the_logs_own_unless_it_is_named() {
    let own = wanted(1).consumer;
    assert_eq!(own, "airpost-00000000-0000-0000-0000-000000000000-2");
    let options = NatsOptions {
        nats_drone_consumer: Some("staging".to_owned()),
        ..NatsOptions::default()
    };
    let log = LogIdentity {
        log_id: Uuid::nil(),
        epoch: 2,
    };
    let named = Wanted::new(&options, log, Duration::from_secs(2));
    assert_eq!(named.consumer().durable_name.as_deref(), Some("staging"));
}
