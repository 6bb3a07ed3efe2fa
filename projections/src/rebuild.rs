//! Building views anew from the log, all of them or some, while no service runs on them.

use std::path::Path;

use eventstore::{EventStore, Position};

use crate::opening::{OpenError, open_undamaged, open_views};
use crate::projection::Halt;
use crate::view_set::{PROJECTIONS, ViewSet};
use crate::view_store::{ViewFolder, ViewStoreError};
use crate::views::ViewsOptions;

/// Entries of a half-built view that are checked at a time.
const CHECKED_AT_ONCE: usize = 1_000;

/// The names of all views, each once, in the order in which they are listed.
#[must_use]
pub fn view_names() -> Vec<&'static str> {
    PROJECTIONS.iter().map(|it| it.name()).collect()
}

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
    /// The views are damaged, so that one of them cannot be built beside the
    /// others. Nothing was changed.
    #[error("{0}; build all of them anew, or start the service, which sets them aside")]
    Damaged(ViewStoreError),
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
    let set = open_views(PROJECTIONS, &mut folder, &log.history(), head)?;
    build(&set, log, head, progress)?;
    let flushed = set.flush().map_err(|error| failed(&error));
    flushed?;
    drop(set);
    // The engine notes where everything lies whenever it is opened, and reads
    // all that was written since then: now, so that the next start need not.
    let reopened = open_views(PROJECTIONS, &mut folder, &log.history(), head)?;
    drop(reopened);
    folder.mark_clean().map_err(|error| failed(&error))?;
    Ok(head)
}

/// Builds the views of these names from the log, up to where that ends now,
/// beside those that are there, and puts each into its place. Nothing of the
/// other views changes. A rebuild that a service had begun of one of them is
/// gone on with, and ended. Tells `progress` after every page.
///
/// Names that no view has are passed over: [`view_names`] has those there are.
/// Nobody else may have the folder open. Interrupted, what was begun is gone on
/// with at the next start, or by the same call.
///
/// # Errors
/// [`RebuildError`]. The views that were there are as they were; where one could
/// not be built to its end the others that were asked for are in their places.
pub fn rebuild_some(
    folder: &Path,
    names: &[&'static str],
    log: &dyn EventStore,
    options: ViewsOptions,
    progress: &mut dyn FnMut(Advance),
) -> Result<Position, RebuildError> {
    let mut folder = ViewFolder::disk(folder, options.cache_bytes);
    let head = *log.head().borrow();
    let set = open_undamaged(PROJECTIONS, &mut folder, &log.history(), head)?;
    // What was not checked now is checked at the next start.
    let was_in_order = set.is_checked();
    let built = build_beside(&set, names, log, head, progress);
    let flushed = set.flush();
    drop(set);
    built?;
    flushed.map_err(|error| failed(&error))?;
    // As after building all of them.
    drop(open_undamaged(
        PROJECTIONS,
        &mut folder,
        &log.history(),
        head,
    )?);
    if was_in_order {
        folder.mark_clean().map_err(|error| failed(&error))?;
    }
    Ok(head)
}

/// Builds views of these names up to `head` and puts them into their places.
pub(crate) fn build_beside(
    set: &ViewSet,
    names: &[&'static str],
    log: &dyn EventStore,
    head: Position,
    progress: &mut dyn FnMut(Advance),
) -> Result<(), RebuildError> {
    for name in names {
        let begun = set.begin_rebuild(name, None);
        begun.map_err(|error| failed(&error))?;
    }
    for view in set.building_of(names) {
        // One that an earlier process has left half-built.
        while !view.is_checked() {
            let checked = view.check_on(CHECKED_AT_ONCE);
            checked.map_err(RebuildError::Damaged)?;
        }
    }
    while let Some(position) = set
        .build_alone(log, names, head)
        .map_err(|error| failed(&error))?
    {
        progress(Advance { position, head });
    }
    let halted = set.building_of(names).into_iter().find_map(|view| {
        let halt = view.halt()?;
        let view = view.name();
        Some(RebuildError::Halted { view, halt })
    });
    let settled = set.settle().and_then(|_drifted| set.sweep_whole());
    settled.map_err(|error| failed(&error))?;
    halted.map_or(Ok(()), Err)
}

/// Feeds views until all are at `head`.
pub(crate) fn build(
    set: &ViewSet,
    log: &dyn EventStore,
    head: Position,
    progress: &mut dyn FnMut(Advance),
) -> Result<(), RebuildError> {
    let fed = set.feed_whole(log, |_| head, &mut || {
        let views = set.views().into_iter();
        let position = views.map(|view| view.worked_to()).min().unwrap_or(head);
        progress(Advance { position, head });
    });
    fed.map_err(|error| failed(&error))?;
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
