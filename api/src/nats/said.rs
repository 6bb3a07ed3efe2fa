//! What NATS means by an error, wherever in the client's errors it lies.

use std::error::Error;

use async_nats::jetstream;
use async_nats::jetstream::context::{
    ConsumerInfoError, ConsumerInfoErrorKind, CreateStreamError, CreateStreamErrorKind,
    GetStreamError, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use eventstore::NatsTrouble;

/// What is behind an error, where `JetStream` said it and it is about its servers
/// rather than about what was asked.
pub(super) fn trouble(error: &(dyn Error + 'static)) -> Option<NatsTrouble> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(said) = said(error) {
            return NatsTrouble::of_code(said.error_code().0);
        }
        next = error.source();
    }
    None
}

/// What helps, or what does usually.
pub(super) fn advice_on(error: &(dyn Error + 'static), usual: &'static str) -> &'static str {
    trouble(error).map_or(usual, NatsTrouble::advice)
}

/// The server's own error. Some of the client's have it as what caused them, and some in their kind.
fn said(error: &(dyn Error + 'static)) -> Option<jetstream::Error> {
    let plain = error.downcast_ref::<jetstream::Error>().cloned();
    plain
        .or_else(|| of_stream(error))
        .or_else(|| of_making(error))
        .or_else(|| of_consumer(error))
        .or_else(|| of_making_a_consumer(error))
}

fn of_stream(error: &(dyn Error + 'static)) -> Option<jetstream::Error> {
    match error.downcast_ref::<GetStreamError>()?.kind() {
        GetStreamErrorKind::JetStream(said) => Some(said),
        GetStreamErrorKind::EmptyName
        | GetStreamErrorKind::Request
        | GetStreamErrorKind::InvalidStreamName => None,
    }
}

fn of_making(error: &(dyn Error + 'static)) -> Option<jetstream::Error> {
    match error.downcast_ref::<CreateStreamError>()?.kind() {
        CreateStreamErrorKind::JetStream(said) => Some(said),
        CreateStreamErrorKind::EmptyStreamName
        | CreateStreamErrorKind::InvalidStreamName
        | CreateStreamErrorKind::DomainAndExternalSet
        | CreateStreamErrorKind::JetStreamUnavailable
        | CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::NotFound
        | CreateStreamErrorKind::ResponseParse => None,
    }
}

fn of_consumer(error: &(dyn Error + 'static)) -> Option<jetstream::Error> {
    match error.downcast_ref::<ConsumerInfoError>()?.kind() {
        ConsumerInfoErrorKind::JetStream(said) => Some(said),
        ConsumerInfoErrorKind::InvalidName
        | ConsumerInfoErrorKind::Offline
        | ConsumerInfoErrorKind::NotFound
        | ConsumerInfoErrorKind::StreamNotFound
        | ConsumerInfoErrorKind::Request
        | ConsumerInfoErrorKind::TimedOut
        | ConsumerInfoErrorKind::NoResponders => None,
    }
}

fn of_making_a_consumer(error: &(dyn Error + 'static)) -> Option<jetstream::Error> {
    match error.downcast_ref::<ConsumerError>()?.kind() {
        ConsumerErrorKind::JetStream(said) => Some(said),
        ConsumerErrorKind::TimedOut
        | ConsumerErrorKind::Request
        | ConsumerErrorKind::InvalidConsumerType
        | ConsumerErrorKind::InvalidName
        | ConsumerErrorKind::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unavailable() -> jetstream::Error {
        let said = json!({
            "code": 503, "err_code": 10_008, "description": "JetStream system temporarily unavailable"
        });
        serde_json::from_value(said).unwrap()
    }

    #[test]
    fn servers_without_a_leader_are_known_in_whatever_the_client_makes_of_it() {
        let errors: [Box<dyn Error + 'static>; 5] = [
            Box::new(unavailable()),
            Box::new(GetStreamError::new(GetStreamErrorKind::JetStream(
                unavailable(),
            ))),
            Box::new(CreateStreamError::from(unavailable())),
            Box::new(ConsumerInfoError::from(unavailable())),
            Box::new(ConsumerError::new(ConsumerErrorKind::JetStream(
                unavailable(),
            ))),
        ];
        for error in errors {
            let found = trouble(error.as_ref());
            assert_eq!(found, Some(NatsTrouble::Leaderless), "{error}");
            assert!(advice_on(error.as_ref(), "delete it").contains("wait some seconds"));
        }
        let silent = GetStreamError::new(GetStreamErrorKind::Request);
        assert_eq!(advice_on(&silent, "see that it runs"), "see that it runs");
    }
}
