//! How the views are: how far, how old, what stands still, what is being mended.

use std::time::Duration;

use eventstore::Position;

use super::{QueryError, Views};
use crate::projection::Halt;
use crate::shared::{ReaderState, WriteHold};
use crate::view::View;

/// How the views are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewsHealth {
    /// Where the log ends.
    pub head: Position,
    /// The record up to which every view holds all.
    pub applied: Position,
    /// Where the log ended when the views were opened or begun anew: before
    /// every view is there, lists are not answered.
    pub ready_at: Position,
    /// How old what they show is: how long ago the log had what the farthest behind
    /// of those has not reached that do not stand still. To a quarter of a second.
    pub lag: Duration,
    /// Whether nothing should be appended for now; see [`Views::holds_writes`].
    pub holds_writes: Option<WriteHold>,
    /// Whether they follow the log.
    pub reader: ReaderState,
    /// How often they were damaged and begun anew since they were opened.
    pub begun_anew: u32,
    /// How many records were audited since then: their streams folded anew, and compared
    /// with what the views say.
    pub audited: u64,
    /// Each view.
    pub views: Vec<ViewHealth>,
}

/// How one view is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewHealth {
    /// What it is called.
    pub name: &'static str,
    /// The layout of its entries.
    pub version: u32,
    /// The record up to which it holds all.
    pub position: Position,
    /// How old what it shows is: how long ago the log had what it has not
    /// reached, as far as this process knows. To a quarter of a second, or
    /// roughly if it is long.
    pub lag: Duration,
    /// Why it stands still, if it does: a release that can fold the record is needed.
    pub halted: Option<Halt>,
    /// Whether its entries are known to be in order; until then they are checked
    /// in the background.
    pub checked: bool,
    /// Streams whose records wait because this release cannot fold one of them.
    pub parked: usize,
    /// Records that it has left out because this release cannot fold them.
    pub skipped: u64,
    /// How often it was found not to say what the log says.
    pub drifted: u64,
    /// Where the view is that is being built to take its place, if one is.
    pub rebuilding: Option<Position>,
    /// How many rebuilds of it that somebody asked for have succeeded since the
    /// process started.
    pub rebuilds_succeeded: u64,
    /// How many were given up.
    pub rebuilds_failed: u64,
}

impl ViewsHealth {
    /// Everything can be answered: all views have caught up once and follow on.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reader == ReaderState::Following
            && self.applied >= self.ready_at
            && self.views.iter().all(|view| view.halted.is_none())
    }
}

impl Views {
    /// Whether nothing should be appended to the log for now, and why.
    ///
    /// * Views that follow hold writes while one of them is more than five
    ///   seconds behind, whatever holds it up.
    /// * Views that are being built, at the beginning or after they were set
    ///   aside, are behind by nature. They hold writes only if in the last five
    ///   seconds they did not work off at least twice of what was appended:
    ///   without a hold they might never get there, and so it takes at most
    ///   twice as long as without any writes.
    /// * A view that stands still at a record that this release cannot fold
    ///   holds nothing: it would do so for ever. It is told by
    ///   [`ViewHealth::halted`], and all others go on.
    ///
    /// It is as of a quarter of a second ago, and ends at once when the views
    /// are where the log ends.
    #[must_use]
    pub fn holds_writes(&self) -> Option<WriteHold> {
        self.shared.held()
    }

    /// How the views are. It waits for nothing: what they are stored in may hang.
    #[must_use]
    pub fn health(&self) -> ViewsHealth {
        let set = self.shared.set();
        let head = *self.log.head().borrow();
        let health = |view: &View| ViewHealth {
            name: view.name(),
            version: view.version(),
            position: view.position(),
            lag: if view.position() >= head {
                Duration::ZERO
            } else {
                self.shared.lag_of(view.name())
            },
            halted: view.halt(),
            // Not what waits for a check that hangs.
            checked: view.is_right(),
            parked: view.parked().len(),
            skipped: view.skipped(),
            drifted: self.shared.audits().drifted(view.name()),
            rebuilding: set.rebuilding(view.name()),
            rebuilds_succeeded: set.rebuilds_ended(view.name()).succeeded,
            rebuilds_failed: set.rebuilds_ended(view.name()).failed,
        };
        ViewsHealth {
            head,
            applied: set.applied(),
            ready_at: self.shared.floor(),
            lag: self.shared.lag(),
            holds_writes: self.shared.held(),
            reader: self.shared.state(),
            begun_anew: self.shared.begun_anew(),
            audited: self.shared.audits().audited(),
            views: set.views().iter().map(|view| health(view)).collect(),
        }
    }

    /// What the views take, bytes, roughly.
    ///
    /// # Errors
    /// [`QueryError::Views`].
    pub fn size_bytes(&self) -> Result<u64, QueryError> {
        self.query(|set| Ok(set.size_bytes()?))
    }
}
