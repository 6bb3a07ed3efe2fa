//! The frozen payloads of the events of refused messages.
//!
//! FROZEN: these bytes are in logs. Never change a struct here; a change is a
//! new struct with the next schema, an upcast and a golden file.

use serde::{Deserialize, Serialize};

use super::{Explanation, MessageForm, RefusalEvent, Refused, RefusedMessage};
use crate::codec::{InvalidField, at, checked, first_schema, number_of, stored_events, word_of};
use crate::text::Comment;

#[derive(Debug, Serialize, Deserialize)]
struct MessageRefusedV1 {
    number: u64,
    digest: [u8; 16],
    why: u8,
    explanation: String,
    subject: String,
    form: u8,
    headers: Vec<HeaderV1>,
    data: Vec<u8>,
    size_bytes: u64,
    received_at_us: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeaderV1 {
    name: String,
    value: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct FurtherRefusedV1 {
    count: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct RefusalLiftedV1 {
    number: u64,
}

first_schema!(MessageRefusedV1, FurtherRefusedV1, RefusalLiftedV1);

impl MessageRefusedV1 {
    fn of(number: u64, message: &RefusedMessage) -> Self {
        let headers = message.headers.iter().cloned();
        Self {
            number,
            digest: message.digest,
            why: number_of(Refused::ALL, &message.why),
            explanation: message.explanation.to_string(),
            subject: message.subject.to_string(),
            form: number_of(MessageForm::ALL, &message.form),
            headers: headers
                .map(|(name, value)| HeaderV1 { name, value })
                .collect(),
            data: message.data.clone(),
            size_bytes: message.size_bytes,
            received_at_us: message.received_at.micros(),
        }
    }

    fn value(self) -> Result<RefusedMessage, InvalidField> {
        let headers = self.headers.into_iter();
        Ok(RefusedMessage {
            digest: self.digest,
            why: word_of("why", Refused::ALL, self.why)?,
            explanation: checked("explanation", Explanation::new(self.explanation))?,
            subject: checked("subject", Comment::new(self.subject))?,
            form: word_of("form", MessageForm::ALL, self.form)?,
            headers: headers.map(|header| (header.name, header.value)).collect(),
            data: self.data,
            size_bytes: self.size_bytes,
            received_at: at("received_at_us", self.received_at_us)?,
        })
    }
}

stored_events!(RefusalEvent {
    421 MessageRefused MessageRefusedV1
    { Self::MessageRefused { number, message } => MessageRefusedV1::of(*number, message) }
    { stored => RefusalEvent::MessageRefused {
        number: stored.number,
        message: Box::new(stored.value()?),
    } }

    422 FurtherRefused FurtherRefusedV1
    { Self::FurtherRefused { count } => FurtherRefusedV1 { count: *count } }
    { stored => RefusalEvent::FurtherRefused { count: stored.count } }

    423 RefusalLifted RefusalLiftedV1
    { Self::RefusalLifted { number } => RefusalLiftedV1 { number: *number } }
    { stored => RefusalEvent::RefusalLifted { number: stored.number } }
});
