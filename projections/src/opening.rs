//! How the views of a log are opened: as they are, or set aside and begun anew
//! where they are damaged; and when they must not be touched.

use eventstore::{LogHistory, Position};

use crate::rebuild::RebuildError;
use crate::view::ViewOpenError;
use crate::view_set::{Projections, ViewSet};
use crate::view_store::{ViewFolder, ViewStoreError, takes_no_writes};

/// Why the views could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The views have seen records that the log does not have any more.
    /// Acknowledged events are missing. Nothing was changed.
    #[error(
        "view {view} has seen position {seen}, but the log ends at {head}: acknowledged events are missing; restore the journal from a backup, or see what airpost recover says about going on without"
    )]
    Regressed {
        /// The view that is farthest ahead, or one of them.
        view: &'static str,
        /// Where it is.
        seen: Position,
        /// Where the log ends.
        head: Position,
    },
    /// They are damaged and could not be set aside.
    #[error(
        "{damage}, but setting them aside failed: {source}; remove the views' folder, and start the service if it does not run"
    )]
    NotSetAside {
        /// What is wrong with them.
        damage: ViewStoreError,
        /// Why they are still there.
        source: std::io::Error,
    },
    /// They are in use, or not even new ones can be written.
    #[error("the views cannot be used: {0}; check the disk and the views' folder")]
    Unusable(ViewStoreError),
    /// The disk takes no writes; nothing is wrong with the views. [`Views::open`]
    /// waits for room instead of failing with it.
    ///
    /// [`Views::open`]: crate::Views::open
    #[error(transparent)]
    NoRoom(ViewStoreError),
    /// The thread that feeds the views could not be started.
    #[error("starting the views failed: {0}")]
    NotStarted(std::io::Error),
}

/// Opens the views in a folder. Where they prove to be damaged they are set
/// aside, saying so, and new ones are begun.
pub(crate) fn open_views(
    projections: Projections,
    folder: &mut ViewFolder,
    history: &LogHistory,
    head: Position,
) -> Result<ViewSet, OpenError> {
    match try_open(projections, folder, history, head) {
        Ok(set) => return Ok(set),
        Err(ViewOpenError::Damaged(
            error @ (ViewStoreError::InUse { .. } | ViewStoreError::NoRoom { .. }),
        )) => return Err(unusable(error)),
        Err(ViewOpenError::Damaged(damage)) => set_aside(folder, &damage)?,
        Err(ViewOpenError::Ahead { view, seen }) => {
            return Err(OpenError::Regressed { view, seen, head });
        }
    }
    match try_open(projections, folder, history, head) {
        Ok(set) => Ok(set),
        Err(ViewOpenError::Damaged(error)) => Err(unusable(error)),
        Err(ViewOpenError::Ahead { view, seen }) => Err(OpenError::Regressed { view, seen, head }),
    }
}

/// Sets damaged views aside, saying so.
pub(crate) fn set_aside(folder: &mut ViewFolder, damage: &ViewStoreError) -> Result<(), OpenError> {
    let kept = folder.set_aside().map_err(|source| {
        if takes_no_writes(&source) {
            OpenError::NoRoom(ViewStoreError::NoRoom {
                doing: "setting aside",
                why: source.to_string(),
            })
        } else {
            let damage = damage.clone();
            OpenError::NotSetAside { damage, source }
        }
    })?;
    let kept = kept.map(|path| path.display().to_string());
    tracing::warn!(%damage, kept, "the views are damaged: they are set aside and built anew from the log");
    Ok(())
}

/// Of views that cannot be used, and why they are not set aside.
pub(crate) fn unusable(error: ViewStoreError) -> OpenError {
    match error {
        ViewStoreError::NoRoom { .. } => OpenError::NoRoom(error),
        ViewStoreError::Engine { .. }
        | ViewStoreError::InUse { .. }
        | ViewStoreError::Panicked { .. }
        | ViewStoreError::Stalled
        | ViewStoreError::Unreadable { .. } => OpenError::Unusable(error),
    }
}

/// Opens the views in a folder if they are not damaged; otherwise they stay as they are.
pub(crate) fn open_undamaged(
    projections: Projections,
    folder: &mut ViewFolder,
    history: &LogHistory,
    head: Position,
) -> Result<ViewSet, RebuildError> {
    let opened = try_open(projections, folder, history, head);
    opened.map_err(|error| match error {
        ViewOpenError::Damaged(
            error @ (ViewStoreError::InUse { .. } | ViewStoreError::NoRoom { .. }),
        ) => unusable(error).into(),
        ViewOpenError::Damaged(damage) => RebuildError::Damaged(damage),
        ViewOpenError::Ahead { view, seen } => OpenError::Regressed { view, seen, head }.into(),
    })
}

fn try_open(
    projections: Projections,
    folder: &mut ViewFolder,
    history: &LogHistory,
    head: Position,
) -> Result<ViewSet, ViewOpenError> {
    ViewSet::open(projections, folder.open()?, history, head)
}
