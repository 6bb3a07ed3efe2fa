//! How events are handed to the server: one as a message by itself, several as
//! an atomic batch, of which the server keeps all or nothing.

use async_nats::Client;
use async_nats::header::{
    NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
    NATS_EXPECTED_LAST_SEQUENCE,
};
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;

use super::message::Outgoing;
use crate::environment::Environment;

/// The most events of a batch. A server takes 1,000, if not told otherwise.
pub(super) const BATCH_EVENTS_MAX: usize = 256;

/// The most bytes of their payloads: as much as a server takes as one message.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// The least events of a batch. A server without copies writes a batch down beside the stream first, and
/// syncs that: so many events are stored one by one as soon.
pub(super) const BATCH_EVENTS_MIN: usize = 64;

/// How many of the next events go out at once, by how many bytes each carries.
pub(super) fn batch_of(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fit = sizes.take(BATCH_EVENTS_MAX).take_while(|size| {
        bytes += size;
        bytes <= BATCH_BYTES_MAX
    });
    let fit = fit.count();
    if fit < BATCH_EVENTS_MIN { 1 } else { fit }
}

/// Hands events to the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    pub(super) client: &'a Client,
    pub(super) jetstream: &'a Context,
    pub(super) environment: &'a Environment,
    pub(super) stream: &'a str,
}

impl Sender<'_> {
    /// Has events stored right behind message `after` and nowhere else, all or none of them; the
    /// answer about the last one.
    ///
    /// # Errors
    /// What the server says, or that it says nothing in time.
    pub(super) async fn send(
        &self,
        events: impl ExactSizeIterator<Item = &Outgoing>,
        after: u64,
    ) -> Result<PublishAck, PublishError> {
        let (of, batch) = (events.len() as u64, self.environment.new_id().to_string());
        for (event, number) in events.zip(1..) {
            let mut headers = event.headers(self.stream, after + number);
            if number == 1 {
                headers.insert(NATS_EXPECTED_LAST_SEQUENCE, after.to_string());
            }
            if of > 1 {
                headers.insert(NATS_BATCH_ID, batch.as_str());
                headers.insert(NATS_BATCH_SEQUENCE, number.to_string());
            }
            let (subject, payload) = (event.subject.clone(), event.payload.clone());
            if number < of {
                // What is wrong with any is told with the last one.
                let sent = self.client.publish_with_headers(subject, headers, payload);
                let failed = |error| PublishError::with_source(PublishErrorKind::Other, error);
                sent.await.map_err(failed)?;
            } else {
                if of > 1 {
                    headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
                }
                let message = PublishMessage::build().payload(payload).headers(headers);
                return self.jetstream.send_publish(subject, message).await?.await;
            }
        }
        Err(PublishError::new(PublishErrorKind::Other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sizes: &[usize], of: usize) -> usize {
        batch_of(sizes.iter().copied().cycle().take(of))
    }

    #[test]
    fn a_backlog_goes_out_by_as_many_as_fit_and_a_few_go_one_by_one() {
        assert_eq!(batch(&[1_000], 1), 1);
        assert_eq!(batch(&[1_000], BATCH_EVENTS_MIN - 1), 1);
        assert_eq!(batch(&[1_000], BATCH_EVENTS_MIN), BATCH_EVENTS_MIN);
        assert_eq!(batch(&[1_000], 10 * BATCH_EVENTS_MAX), BATCH_EVENTS_MAX);
    }

    #[test]
    fn no_batch_has_more_bytes_than_a_message_may_have() {
        assert_eq!(batch(&[8 * 1024], BATCH_EVENTS_MAX), 128);
        assert_eq!(batch(&[8 * 1024, 8 * 1024 + 1], BATCH_EVENTS_MAX), 127);
        // The largest there are go by themselves.
        assert_eq!(batch(&[BATCH_BYTES_MAX / 2], BATCH_EVENTS_MAX), 1);
        assert_eq!(batch(&[2 * BATCH_BYTES_MAX], BATCH_EVENTS_MAX), 1);
    }
}
