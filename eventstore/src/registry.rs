//! Which schemas a log holds, written down in the log itself.
//!
//! A stream of the store's own names every (event type, schema) that any event
//! of the log has, with a fingerprint of what its bytes look like. A release
//! that would read any of them otherwise, or not at all, finds out before it
//! reads a single event, and refuses to start.

mod entry;
mod named;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

pub use entry::{KnownSchema, SCHEMA_CATEGORY, SCHEMA_STREAM, SchemaFingerprint};
pub use named::{NamedSchemas, UnnamedSchema};

use crate::error::{AppendError, ReadError};
use crate::event::{Commit, Event, EventType, Record, SchemaVersion};
use crate::layer::StoreLayer;
use crate::position::StreamVersion;
use crate::store::{Appending, Budget, EventStore};
use entry::{EntryError, registration};

/// How often a registration is tried anew when another one came first. Within
/// one process there is only one at a time; over several each round registers some.
const TRIES_MAX: u32 = 10;

/// An event type and one of its schemas.
type Pair = (EventType, SchemaVersion);

/// An [`EventStore`] that holds only events that this release can read.
///
/// * It opens only if every schema that the log names is known here, with the
///   same fingerprint.
/// * Before the first event of a schema is appended, the schema is registered,
///   in a commit of its own; a commit of several new schemas registers them together.
/// * An event of a schema that is not known here is refused, and so is a commit
///   to the registry's own stream.
///
/// Everything else is the store's own answer: an append of schemas that are
/// registered costs one look-up per event more, and reads pass through. They
/// show the registry's records too, in [`SCHEMA_CATEGORY`].
///
/// It does not know of events that were written past it, by the store beneath.
/// An append that has to register first begins when its answer is polled, and
/// dropping the answer before that takes it back.
#[derive(Clone, Debug)]
pub struct RegisteredStore(Arc<Inner>);

struct Inner {
    store: Arc<dyn EventStore>,
    known: HashMap<Pair, Known>,
    /// The version that the registry's stream is known to have. Who holds it registers.
    version: Mutex<StreamVersion>,
}

/// A schema that this release reads and writes.
struct Known {
    fingerprint: SchemaFingerprint,
    /// The log names it.
    is_registered: AtomicBool,
}

/// Why a log cannot be used by this release. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The log holds events that this release would read otherwise, or not at all.
    #[error("the log holds events that this release cannot read: {}; run the release that wrote them, or a later one", listed(.0))]
    Unreadable(Vec<UnreadableSchema>),
    /// The registry itself was written by a later release.
    #[error(
        "the log's registry of schemas has format {found}, this release reads {supported}: run the release that wrote it, or a later one"
    )]
    Format {
        /// Its format.
        found: u16,
        /// Ours.
        supported: u16,
    },
    /// An entry of the registry is not what any release writes.
    #[error(
        "entry {version} of the log's registry of schemas is malformed: verify the log and restore it from a backup"
    )]
    Malformed {
        /// The entry.
        version: StreamVersion,
    },
    /// This release's own list names a schema twice.
    #[error("event type {}, schema {} is declared twice: this release is broken, run another one", .event_type.0, .schema.0)]
    DeclaredTwice {
        /// The type.
        event_type: EventType,
        /// The schema.
        schema: SchemaVersion,
    },
    /// The registry was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A schema in the log, and why this release cannot read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadableSchema {
    /// The event type.
    pub event_type: EventType,
    /// The schema.
    pub schema: SchemaVersion,
    /// What does not fit.
    pub why: Mismatch,
}

/// How a schema in the log and this release differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// No schema of this event type is known here.
    UnknownType,
    /// The type is known, this schema of it is not.
    UnknownSchema,
    /// It is known with another layout.
    OtherLayout,
}

impl fmt::Display for UnreadableSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Mismatch::UnknownType => "the type is unknown",
            Mismatch::UnknownSchema => "the schema is unknown",
            Mismatch::OtherLayout => "its layout is another one here",
        };
        let (event_type, schema) = (self.event_type.0, self.schema.0);
        write!(f, "event type {event_type} in schema {schema} ({why})")
    }
}

fn listed(schemas: &[UnreadableSchema]) -> String {
    let schemas: Vec<_> = schemas.iter().map(ToString::to_string).collect();
    schemas.join(", ")
}

impl RegisteredStore {
    /// Opens a store for a release that knows these schemas. Reads the registry
    /// and nothing else; writes nothing.
    ///
    /// # Errors
    /// [`RegistryError`]; above all `Unreadable`, which names every schema that
    /// the log has and this release cannot read.
    pub fn open(
        store: Arc<dyn EventStore>,
        known: impl IntoIterator<Item = KnownSchema>,
    ) -> Result<Self, RegistryError> {
        let mut inner = Inner {
            store,
            known: HashMap::new(),
            version: Mutex::new(StreamVersion::EMPTY),
        };
        for KnownSchema {
            event_type,
            schema,
            fingerprint,
        } in known
        {
            match inner.known.entry((event_type, schema)) {
                Entry::Occupied(_) => {
                    return Err(RegistryError::DeclaredTwice { event_type, schema });
                }
                Entry::Vacant(vacant) => vacant.insert(Known {
                    fingerprint,
                    is_registered: AtomicBool::new(false),
                }),
            };
        }
        let version = inner.fold(StreamVersion::EMPTY)?;
        inner.version = Mutex::new(version);
        Ok(Self(Arc::new(inner)))
    }
}

impl Inner {
    /// Takes in the registry's entries after a version; gives the version reached.
    fn fold(&self, after: StreamVersion) -> Result<StreamVersion, RegistryError> {
        let mut unreadable = Vec::new();
        let mut read_to = after;
        loop {
            let page = self
                .store
                .read_stream(SCHEMA_STREAM, read_to, Budget::PAGE)?;
            for (version, event) in page.records.iter().flat_map(Record::versioned) {
                if version > after {
                    unreadable.extend(self.take(version, event)?);
                }
            }
            let ended = page.read_to >= page.version || page.read_to == read_to;
            read_to = page.read_to;
            if ended {
                break;
            }
        }
        if unreadable.is_empty() {
            return Ok(read_to);
        }
        unreadable.sort_by_key(|schema| (schema.event_type, schema.schema));
        unreadable.dedup();
        Err(RegistryError::Unreadable(unreadable))
    }

    /// Takes in one entry; gives it back if this release cannot read what it names.
    fn take(
        &self,
        version: StreamVersion,
        event: &Event,
    ) -> Result<Option<UnreadableSchema>, RegistryError> {
        let entry = KnownSchema::decode(event).map_err(|error| match error {
            EntryError::Format { found, supported } => RegistryError::Format { found, supported },
            EntryError::Malformed => RegistryError::Malformed { version },
        })?;
        let (event_type, schema) = (entry.event_type, entry.schema);
        let why = match self.known.get(&(event_type, schema)) {
            Some(known) if known.fingerprint == entry.fingerprint => {
                known.is_registered.store(true, Ordering::Release);
                return Ok(None);
            }
            Some(_) => Mismatch::OtherLayout,
            None if self.known.keys().any(|(known, _)| *known == event_type) => {
                Mismatch::UnknownSchema
            }
            None => Mismatch::UnknownType,
        };
        Ok(Some(UnreadableSchema {
            event_type,
            schema,
            why,
        }))
    }

    /// Whether a commit may be appended at all, and whether the log names its schemas.
    fn judge(&self, commit: &Commit) -> Result<bool, AppendError> {
        let mut are_registered = true;
        for part in &commit.parts {
            if part.stream.category == SCHEMA_CATEGORY {
                return Err(AppendError::Malformed {
                    why: "its category is the store's own",
                });
            }
            for event in &part.events {
                let (event_type, schema) = (event.event_type, event.schema);
                let known = self
                    .known
                    .get(&(event_type, schema))
                    .ok_or(AppendError::UnknownSchema { event_type, schema })?;
                are_registered &= known.is_registered.load(Ordering::Acquire);
            }
        }
        Ok(are_registered)
    }

    /// The commit's schemas that the log does not name, sorted, once each.
    fn unregistered(&self, commit: &Commit) -> Vec<KnownSchema> {
        let events = commit.parts.iter().flat_map(|part| &part.events);
        let mut pairs: Vec<Pair> = events
            .map(|event| (event.event_type, event.schema))
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        let unregistered = pairs.into_iter().filter_map(|pair| {
            let known = self.known.get(&pair)?;
            let (event_type, schema) = pair;
            (!known.is_registered.load(Ordering::Acquire)).then_some(KnownSchema {
                event_type,
                schema,
                fingerprint: known.fingerprint,
            })
        });
        unregistered.collect()
    }

    /// Makes the log name every schema of a commit.
    async fn register(&self, commit: &Commit) -> Result<(), AppendError> {
        let mut version = self.version.lock().await;
        for _ in 0..TRIES_MAX {
            let schemas = self.unregistered(commit);
            if schemas.is_empty() {
                return Ok(());
            }
            let registration = registration(&schemas, *version, commit);
            match self.store.append(registration).await {
                // Read back, so that what counts is what the log says, not what was meant.
                Ok(_) | Err(AppendError::Conflict { .. }) => {
                    *version = self.fold(*version).map_err(unavailable)?;
                }
                // The registration's fate is open; the commit itself was certainly not written.
                Err(error @ AppendError::Indeterminate { .. }) => return Err(unavailable(error)),
                Err(error) => return Err(error),
            }
        }
        Err(unavailable(
            "other processes register schemas without end: see what else writes to this log",
        ))
    }
}

/// The commit's schemas could not be registered, so nothing of it was written.
fn unavailable(why: impl fmt::Display) -> AppendError {
    AppendError::Unavailable {
        why: format!("its schemas could not be registered: {why}"),
    }
}

impl StoreLayer for RegisteredStore {
    fn beneath(&self) -> &dyn EventStore {
        &*self.0.store
    }

    fn on_append(&self, commit: Commit) -> Appending {
        match self.0.judge(&commit) {
            Err(error) => Box::pin(std::future::ready(Err(error))),
            Ok(true) => self.0.store.append(commit),
            Ok(false) => {
                let inner = Arc::clone(&self.0);
                Box::pin(async move {
                    inner.register(&commit).await?;
                    inner.store.append(commit).await
                })
            }
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredStore")
            .field("store", &self.store)
            .field("schemas", &self.known.len())
            .finish_non_exhaustive()
    }
}
