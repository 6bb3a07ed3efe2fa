//! A store in front of another.

use std::fmt;

use tokio::sync::watch;

use crate::error::ReadError;
use crate::event::Commit;
use crate::history::LogHistory;
use crate::position::{LogIdentity, Position, StreamVersion};
use crate::store::{Appending, Budget, EventStore, Filter, Health, Page, StreamPage};
use crate::stream::StreamId;

/// An [`EventStore`] that does some things in its own way and leaves the rest to the store
/// beneath it: whoever implements this says only what is different.
///
/// Each method stands for the one of [`EventStore`] that it is named after, whose contract and
/// errors are its own. Nothing else is guaranteed: a layer that keeps less than the contract, as
/// a test may want it, makes a store that keeps less.
pub trait StoreLayer: Send + Sync + fmt::Debug {
    /// The store that does what this layer leaves alone.
    fn beneath(&self) -> &dyn EventStore;

    /// [`EventStore::append`].
    fn on_append(&self, commit: Commit) -> Appending {
        self.beneath().append(commit)
    }

    /// [`EventStore::read_stream`].
    ///
    /// # Errors
    /// [`ReadError`].
    fn on_read_stream(
        &self,
        stream: StreamId,
        after: StreamVersion,
        budget: Budget,
    ) -> Result<StreamPage, ReadError> {
        self.beneath().read_stream(stream, after, budget)
    }

    /// [`EventStore::read_all`].
    ///
    /// # Errors
    /// [`ReadError`].
    fn on_read_all(
        &self,
        after: Position,
        filter: &Filter,
        budget: Budget,
    ) -> Result<Page, ReadError> {
        self.beneath().read_all(after, filter, budget)
    }

    /// [`EventStore::identity`], the last epoch of the history.
    fn on_identity(&self) -> LogIdentity {
        self.beneath().identity()
    }

    /// [`EventStore::history`].
    fn on_history(&self) -> LogHistory {
        self.beneath().history()
    }

    /// [`EventStore::health`].
    fn on_health(&self) -> Health {
        self.beneath().health()
    }

    /// [`EventStore::is_shared`].
    fn on_is_shared(&self) -> bool {
        self.beneath().is_shared()
    }
}

impl<L: StoreLayer> EventStore for L {
    fn append(&self, commit: Commit) -> Appending {
        self.on_append(commit)
    }

    fn read_stream(
        &self,
        stream: StreamId,
        after: StreamVersion,
        budget: Budget,
    ) -> Result<StreamPage, ReadError> {
        self.on_read_stream(stream, after, budget)
    }

    fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        budget: Budget,
    ) -> Result<Page, ReadError> {
        self.on_read_all(after, filter, budget)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.beneath().head()
    }

    fn identity(&self) -> LogIdentity {
        self.on_identity()
    }

    fn history(&self) -> LogHistory {
        self.on_history()
    }

    fn health(&self) -> Health {
        self.on_health()
    }

    fn is_shared(&self) -> bool {
        self.on_is_shared()
    }
}
