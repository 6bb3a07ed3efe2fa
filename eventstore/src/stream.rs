//! The name of a stream, and what an append expects of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::position::StreamVersion;

/// What kind of thing a stream tells about. The numbers belong to the caller;
/// the store only compares them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Category(u16);

impl Category {
    /// The category with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The category's number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// The name of one stream: a category and a key that is unique within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// The kind of thing.
    pub category: Category,
    /// Which one of its kind.
    pub key: Uuid,
}

impl StreamId {
    /// The stream of `key` in `category`.
    #[must_use]
    pub const fn new(category: Category, key: Uuid) -> Self {
        Self { category, key }
    }
}

/// `<category number>-<uuid>`; the crate that owns the categories knows their names.
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.category.get(), self.key)
    }
}

/// The version a commit expects one of its streams to have.
///
/// There is no "any": whoever appends has read the stream and decided on what
/// it read. `Exact(StreamVersion::EMPTY)` means the same as `NoStream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// The stream has no event yet.
    NoStream,
    /// The stream has exactly this version.
    Exact(StreamVersion),
}

impl Expected {
    /// The version that is expected, [`StreamVersion::EMPTY`] for `NoStream`.
    #[must_use]
    pub const fn version(self) -> StreamVersion {
        match self {
            Self::NoStream => StreamVersion::EMPTY,
            Self::Exact(version) => version,
        }
    }
}

impl From<StreamVersion> for Expected {
    fn from(version: StreamVersion) -> Self {
        if version == StreamVersion::EMPTY {
            Self::NoStream
        } else {
            Self::Exact(version)
        }
    }
}
