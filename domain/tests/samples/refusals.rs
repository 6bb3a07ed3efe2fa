//! Events of refused messages.

use domain::refusals::{Explanation, MessageForm, RefusalEvent, Refused, RefusedMessage};
use domain::text::Comment;

fn message(is_full: bool) -> RefusalEvent {
    let headers = [
        ("ce-id", "M100-07:0192f2c1:f9"),
        ("Content-Type", "application/json"),
    ];
    let headers = headers.into_iter().filter(|_| is_full);
    RefusalEvent::MessageRefused {
        number: if is_full { 300 } else { 1 },
        message: Box::new(RefusedMessage {
            digest: std::array::from_fn(|n| u8::try_from(n).unwrap()),
            why: if is_full {
                Refused::NumberTaken
            } else {
                Refused::Malformed
            },
            explanation: Explanation::new("/data/seq: expected an integer").unwrap(),
            subject: Comment::new("drone.v1.pgh.M100-07.departed").unwrap(),
            form: if is_full {
                MessageForm::Binary
            } else {
                MessageForm::Structured
            },
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            data: if is_full {
                br#"{"leg":"pickup"}"#.to_vec()
            } else {
                vec![]
            },
            size_bytes: if is_full { 70_000 } else { 0 },
            received_at: "2026-10-24T15:04:05.300001Z".parse().unwrap(),
        }),
    }
}

pub(crate) fn samples() -> Vec<(&'static str, u16, RefusalEvent)> {
    vec![
        ("full", 1, message(true)),
        ("minimal", 1, message(false)),
        ("full", 1, RefusalEvent::FurtherRefused { count: u64::MAX }),
        ("full", 1, RefusalEvent::RefusalLifted { number: 300 }),
    ]
}
