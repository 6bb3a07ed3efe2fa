//! The log on a cluster, over real servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use uuid::Uuid;

use super::given::{self, Fixture, LOG_ID};
use super::servers::{shared_cluster, shared_server, wait_until};
use crate::jetstream::{LogOfStream, create};
use crate::store::EventStore;
use crate::{ClusterError, JetStreamOptions, JetStreamStore, NatsAccess};

/// A stream name that no other test uses.
pub(crate) fn options(servers: &str) -> JetStreamOptions {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    JetStreamOptions {
        heads_wait: Duration::from_millis(200),
        ..JetStreamOptions::new(NatsAccess::new(servers), format!("log-{number}"))
    }
}

pub(crate) fn on_one(servers: &str) -> JetStreamOptions {
    JetStreamOptions {
        single_replica: true,
        ..options(servers)
    }
}

/// Makes the stream, as soon as the servers know of each other.
pub(crate) fn make_stream(options: &JetStreamOptions, log_id: Uuid) {
    let _ = wait_until("a stream can be made", || {
        let log = LogOfStream::new(log_id);
        create(options, &log).map_err(|error| error.to_string())
    });
}

pub(crate) fn try_open(
    folder: &TempDir,
    options: &JetStreamOptions,
) -> Result<JetStreamStore, ClusterError> {
    JetStreamStore::open(folder.path(), given::options(1 << 20), options)
}

pub(crate) fn open(folder: &TempDir, options: &JetStreamOptions) -> JetStreamStore {
    try_open(folder, options).unwrap()
}

fn fixture(options: &JetStreamOptions) -> Fixture {
    make_stream(options, LOG_ID);
    let folder = TempDir::new().unwrap();
    let store = Arc::new(open(&folder, options));
    let close = {
        let store = Arc::clone(&store);
        Box::new(move || store.close())
    };
    Fixture::new(store as Arc<dyn EventStore>, close, Some(folder))
}

/// A log on one server.
pub(crate) fn jetstream() -> Fixture {
    fixture(&on_one(&shared_server().url()))
}

/// A log on three servers.
pub(crate) fn jetstream_of_three() -> Fixture {
    fixture(&options(&shared_cluster().urls()))
}
