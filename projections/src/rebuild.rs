//! Building all views anew from the log, while no service runs on them.

use std::path::Path;

use eventstore::{EventStore, Position};

use crate::opening::{OpenError, open_views};
use crate::projection::Halt;
use crate::view_set::{PROJECTIONS, ViewSet};
use crate::view_store::ViewFolder;
use crate::views::ViewsOptions;

/// How far a rebuild or a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The record that was reached.
    pub position: Position,
    /// The record to reach.
    pub head: Position,
}

/// Why the views were not built to the end. What is built already is kept: the
/// service, or the next rebuild, goes on or begins anew.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The old views could not be removed.
    #[error("removing the old views failed: {0}")]
    NotRemoved(std::io::Error),
    /// The new views could not be begun.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log was not read, or the views were not written.
    #[error("building the views failed: {why}")]
    Failed {
        /// What happened, and what helps.
        why: String,
    },
    /// A record could not be folded.
    #[error("view {view} stands still: {halt}")]
    Halted {
        /// Its name.
        view: &'static str,
        /// Why.
        halt: Halt,
    },
}

/// Removes the views in a folder and builds them from the log, up to where that
/// ends now. Tells `progress` after every page.
///
/// Nobody else may have the folder open. Nothing is served meanwhile; the
/// memory it takes is bounded by the engine's cache and one gathering.
///
/// # Errors
/// [`RebuildError`].
pub fn rebuild(
    folder: &Path,
    log: &dyn EventStore,
    options: ViewsOptions,
    progress: &mut dyn FnMut(Advance),
) -> Result<Position, RebuildError> {
    let mut folder = ViewFolder::disk(folder, options.cache_bytes);
    folder.clear().map_err(RebuildError::NotRemoved)?;
    let head = *log.head().borrow();
    let set = open_views(PROJECTIONS, &mut folder, &log.history(), head, None)?;
    build(&set, log, head, progress)?;
    let flushed = set.flush().map_err(|error| failed(&error));
    flushed?;
    drop(set);
    // The engine notes where everything lies whenever it is opened, and reads
    // all that was written since then: now, so that the next start need not.
    let reopened = open_views(PROJECTIONS, &mut folder, &log.history(), head, None)?;
    drop(reopened);
    folder.mark_clean().map_err(|error| failed(&error))?;
    Ok(head)
}

/// Feeds views until all are at `head`.
pub(crate) fn build(
    set: &ViewSet,
    log: &dyn EventStore,
    head: Position,
    progress: &mut dyn FnMut(Advance),
) -> Result<(), RebuildError> {
    while set
        .feed_from_afar(log, head)
        .map_err(|error| failed(&error))?
    {
        let views = set.views().into_iter();
        let position = views.map(|view| view.position()).min().unwrap_or(head);
        progress(Advance { position, head });
    }
    for view in set.views() {
        if let Some(halt) = view.halt() {
            let view = view.name();
            return Err(RebuildError::Halted { view, halt });
        }
    }
    Ok(())
}

fn failed(error: &dyn std::error::Error) -> RebuildError {
    RebuildError::Failed {
        why: error.to_string(),
    }
}
