//! Messages that were refused, and what becomes of them.

use domain::decider::Decider as _;
use domain::refusals::{
    Explanation, MessageForm, RefusalCommand, RefusalHour, Refusals, Refused, RefusedMessage,
};
use domain::stream::StreamName;
use domain::text::Comment;
use proptest::prelude::*;

use super::Service;
use crate::test_log::{Appending, at};

/// How many hours there are.
pub(crate) const HOURS: i64 = 2;

/// What becomes of an hour's refused messages.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RefusalStep {
    Refuse(u8),
    Count(u64),
    Lift(u64),
}

pub(super) fn refusal_step() -> impl Strategy<Value = RefusalStep> {
    prop_oneof![
        3 => (0..12_u8).prop_map(RefusalStep::Refuse),
        1 => (1..9_u64).prop_map(RefusalStep::Count),
        2 => (1..9_u64).prop_map(RefusalStep::Lift),
    ]
}

/// The stream of an hour.
pub(crate) fn hour_stream(number: i64) -> StreamName {
    StreamName::refusals(RefusalHour::of(at(number * 3_600)))
}

/// A message that was refused.
pub(crate) fn refused(digest: u8) -> Box<RefusedMessage> {
    Box::new(RefusedMessage {
        digest: [digest; 16],
        why: Refused::Malformed,
        explanation: Explanation::new("/data: missing").unwrap(),
        subject: Comment::new("drone.v1.pgh.M100-07.departed").unwrap(),
        form: MessageForm::Structured,
        headers: Vec::new(),
        data: b"{}".to_vec(),
        size_bytes: 2,
        received_at: at(1),
    })
}

impl Service {
    pub(super) fn step_refusals(&mut self, hour: i64, step: RefusalStep) {
        let now = self.log.clock();
        let command = match step {
            RefusalStep::Refuse(digest) => RefusalCommand::Refuse {
                message: refused(digest),
            },
            RefusalStep::Count(count) => RefusalCommand::Count { count, now },
            RefusalStep::Lift(number) => RefusalCommand::Lift { number, now },
        };
        let state = self.refusals.entry(hour).or_default();
        let decided = Refusals::decide(&command, state).unwrap_or_default();
        *state = Refusals::fold_from(std::mem::take(state), &decided);
        let part = Appending::new(hour_stream(hour), None, decided);
        self.log.append(vec![part]);
    }
}
