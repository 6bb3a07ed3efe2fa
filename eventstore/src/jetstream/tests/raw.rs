//! A stream as others see it, and could spoil it.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DirectGetErrorKind, Info};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt;

use super::super::settings::{self, LogOfStream};
use crate::JetStreamOptions;
use crate::tests::given::LOG_ID;
use crate::tests::servers::wait_until;

fn with<T, F: Future<Output = T>>(servers: &str, run: impl FnOnce(Context) -> F) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    let servers: Vec<_> = servers.split(',').map(str::to_owned).collect();
    runtime.block_on(async {
        let client = async_nats::connect(servers).await.unwrap();
        run(jetstream::new(client)).await
    })
}

/// The settings of a stream as it should be.
pub(super) fn config(options: &JetStreamOptions) -> Config {
    settings::config(options, &LogOfStream::new(LOG_ID))
}

/// Makes a stream with any settings, once the servers take one.
pub(super) fn make(options: &JetStreamOptions, config: &Config) {
    wait_until("a stream can be made", || {
        with(&options.access.servers, |context| async move {
            let made = context.create_stream(config).await;
            made.map(|_| ()).map_err(|error| error.to_string())
        })
    });
}

pub(super) fn info(options: &JetStreamOptions) -> Info {
    try_info(options).unwrap()
}

/// The same, from servers that may be electing a leader.
pub(super) fn try_info(options: &JetStreamOptions) -> Result<Info, String> {
    with(&options.access.servers, |context| async move {
        let stream = context.get_stream(&options.stream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        Ok(stream.cached_info().clone())
    })
}

/// How many messages it holds.
pub(super) fn messages(options: &JetStreamOptions) -> u64 {
    info(options).state.messages
}

/// Puts a message into it that no node wrote.
pub(super) fn put(options: &JetStreamOptions, message: &[u8]) {
    let message = message.to_vec();
    with(&options.access.servers, |context| async move {
        let sent = context.publish(options.subject(), message.into()).await;
        sent.unwrap().await.unwrap();
    });
}

/// Says something that is not kept.
pub(super) fn say(subject: &str, options: &JetStreamOptions, message: &[u8]) {
    let (subject, message) = (subject.to_owned(), message.to_vec());
    with(&options.access.servers, |context| async move {
        let client = context.client();
        client.publish(subject, message.into()).await.unwrap();
        client.flush().await.unwrap();
    });
}

/// A message of it.
pub(super) fn get(options: &JetStreamOptions, sequence: u64) -> Vec<u8> {
    with(&options.access.servers, |context| async move {
        let stream = context.get_stream(&options.stream).await.unwrap();
        let message = stream.get_raw_message(sequence).await.unwrap();
        message.payload.to_vec()
    })
}

/// Has other settings.
pub(super) fn change(options: &JetStreamOptions, change: impl FnOnce(&mut Config)) {
    let mut config = info(options).config;
    change(&mut config);
    with(&options.access.servers, |context| async move {
        context.update_stream(config).await.unwrap();
    });
}

/// Returns once that many messages more of it were asked for.
pub(super) fn wait_for_reads(options: &JetStreamOptions, count: usize) {
    wait_for_asked(options, "$JS.API.DIRECT.GET", count);
}

/// Returns once its leader was asked for it so often more.
pub(super) fn wait_for_looks(options: &JetStreamOptions, count: usize) {
    wait_for_asked(options, "$JS.API.STREAM.INFO", count);
}

fn wait_for_asked(options: &JetStreamOptions, what: &str, count: usize) {
    let subject = format!("{what}.{}", options.stream);
    with(&options.access.servers, |context| async move {
        let asked = context.client().subscribe(subject).await.unwrap();
        let asked = asked.take(count).count();
        let limit = Duration::from_secs(40);
        assert_eq!(tokio::time::timeout(limit, asked).await, Ok(count));
    });
}

/// Whether the server that happens to be asked has not a message of it.
pub(super) fn is_lost_by_one(options: &JetStreamOptions, sequence: u64) -> bool {
    with(&options.access.servers, |context| async move {
        let stream = context.get_stream_no_info(&options.stream).await.unwrap();
        let read = stream.direct_get(sequence).await;
        read.is_err_and(|error| error.kind() == DirectGetErrorKind::NotFound)
    })
}

/// Has its leader give way to the server of that name, if the servers can.
pub(super) fn step_down(options: &JetStreamOptions, to: &str) {
    let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{}", options.stream);
    let asked = format!("{{\"placement\": {{\"preferred\": \"{to}\"}}}}");
    with(&options.access.servers, |context| async move {
        drop(context.client().request(subject, asked.into()).await);
    });
}

/// Deletes it.
pub(super) fn delete(options: &JetStreamOptions) {
    with(&options.access.servers, |context| async move {
        context.delete_stream(&options.stream).await.unwrap();
    });
}
