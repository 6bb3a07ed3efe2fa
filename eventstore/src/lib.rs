//! Where facts are kept: an append-only, durable log of commits over streams.
//!
//! The store knows bytes, streams, versions and positions. It knows no drones
//! and never interprets a payload.

// The words.
pub mod limits;
mod position;
mod stream;
mod event;
mod error;
mod history;

// The contract, and what leaves most of it to another store.
mod store;
mod layer;

// Which schemas the log holds, written down in it.
mod registry;

// A record's bytes, and which commits are admitted.
mod record;

// The executable specification.
mod memory;

// On disk: the calls of the file system, the files, where streams lie in them.
mod disk;
mod journal;
mod index;

// What follows the log.
mod subscription;

// States that were folded once.
mod snapshot;

// Copies of it elsewhere, and logs that come from elsewhere.
mod backup;
mod import;

// On a cluster: where a block is in the log once a majority has it.
mod jetstream;

pub use backup::{
    BackedUp, BackupCheck, BackupError, BackupFile, BackupManifest, RestoreError, Restored,
    StagedRestore, backup, check_backup_place, check_restore_place, restore, stage_restore,
    verify_backup,
};
pub use error::{AppendError, Corruption, OpenError, ReadError};
pub use event::{
    Commit, CommitId, Event, EventType, Label, LabelTooLong, Part, Record, SchemaVersion, event_id,
};
pub use history::{EpochStart, LogHistory, Standing};
pub use import::{ImportPlace, ImportPlaceError, unfinished_beside};
pub use jetstream::{
    AccessError, ClusterCopy, ClusterCounts, ClusterError, ClusterFigures, ClusterServer,
    ClusterStatus, ConnectionTelling, FolderPlace, Fork, Hearing, JetStreamOptions, JetStreamStore,
    Leaver, LeftCluster, MissingStream, NatsAccess, NatsCertificate, NatsTrouble, NatsVersion,
    OnFetch, OnPublish, PublishOccasion, PublishedJournal, abandon_cluster, cluster_status,
    create_stream, fork_of, leave_cluster, publish_journal,
};
pub use journal::{
    DataLock, Finding, Journal, JournalOptions, JournalReader, LockHolder, Loss, RecoverError,
    VerifyReport, VisitRecord, Witness, assess_loss, log_id_in, recover_with_loss, verify,
};
pub use layer::StoreLayer;
pub use memory::MemoryEventStore;
pub use position::{LogIdentity, Position, StreamVersion};
pub use record::CommitPlace;
pub use registry::{
    KnownSchema, Mismatch, NamedSchemas, RegisteredStore, RegistryError, SCHEMA_CATEGORY,
    SCHEMA_STREAM, SchemaFingerprint, UnnamedSchema, UnreadableSchema,
};
pub use snapshot::{
    CodeFingerprint, DiscardReason, Snapshot, SnapshotError, SnapshotLimits, SnapshotLookup,
    SnapshotStore,
};
pub use store::{
    Appended, AppendedPart, Appending, Budget, EventStore, Filter, Health, OutageKind, Outcome,
    Page, StreamPage,
};
pub use stream::{Category, Expected, StreamId};
pub use subscription::Subscription;

// One contract over every implementation, and what the journal survives.
#[cfg(test)]
mod tests;
