//! What the registry has named, for whoever reads a log from its beginning.

use std::collections::HashSet;

use super::entry::SCHEMA_STREAM;
use super::{KnownSchema, Pair};
use crate::event::{EventType, Record, SchemaVersion};
use crate::position::StreamVersion;

/// The schemas that a log's registry has named, up to where its records were followed.
///
/// It does not ask whether this release knows them: that is for
/// [`RegisteredStore::open`](super::RegisteredStore::open).
#[derive(Clone, Debug, Default)]
pub struct NamedSchemas {
    pairs: HashSet<Pair>,
}

/// A record that no [`RegisteredStore`](super::RegisteredStore) has appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnnamedSchema {
    /// An event of a schema that the registry does not name before it.
    #[error(
        "event type {}, schema {} is not named in the log's registry of schemas before it: no release writes that; take another copy of the log",
        .event_type.0, .schema.0
    )]
    NotNamed {
        /// The type.
        event_type: EventType,
        /// The schema.
        schema: SchemaVersion,
    },
    /// An entry of the registry that this release does not understand.
    #[error(
        "entry {version} of the log's registry of schemas cannot be read: run the release that wrote it, or a later one, or take another copy of the log"
    )]
    Entry {
        /// The entry.
        version: StreamVersion,
    },
}

impl NamedSchemas {
    /// Takes the next record of the log. All of them are to be taken, from the first on.
    ///
    /// # Errors
    /// [`UnnamedSchema`], of the first event that does not fit; the ones after
    /// it can be taken nevertheless.
    pub fn follow(&mut self, record: &Record) -> Result<(), UnnamedSchema> {
        for (version, event) in record.versioned() {
            if record.stream == SCHEMA_STREAM {
                let entry =
                    KnownSchema::decode(event).map_err(|_| UnnamedSchema::Entry { version })?;
                self.pairs.insert((entry.event_type, entry.schema));
                continue;
            }
            let (event_type, schema) = (event.event_type, event.schema);
            if !self.pairs.contains(&(event_type, schema)) {
                return Err(UnnamedSchema::NotNamed { event_type, schema });
            }
        }
        Ok(())
    }
}
