//! A stream as others see it.

use async_nats::jetstream::stream::Info;
use async_nats::jetstream::{self, Context};

use crate::JetStreamOptions;

fn with<T, F: Future<Output = T>>(servers: &str, run: impl FnOnce(Context) -> F) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    let servers: Vec<_> = servers.split(',').map(str::to_owned).collect();
    runtime.block_on(async {
        let client = async_nats::connect(servers).await.unwrap();
        run(jetstream::new(client)).await
    })
}

pub(super) fn info(options: &JetStreamOptions) -> Info {
    with(&options.servers, |context| async move {
        let stream = context.get_stream(&options.stream).await.unwrap();
        stream.cached_info().clone()
    })
}

/// How many messages it holds.
pub(super) fn messages(options: &JetStreamOptions) -> u64 {
    info(options).state.messages
}
