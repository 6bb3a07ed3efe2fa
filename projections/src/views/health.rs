//! How the views are: how far, how old, what stands still, what is being mended.

use std::time::Duration;

use eventstore::Position;

use super::{QueryError, Views};
use crate::projection::Halt;
use crate::shared::ReaderState;
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
    /// of them has not reached. To a quarter of a second.
    pub lag: Duration,
    /// Whether they follow the log.
    pub reader: ReaderState,
    /// How often they were damaged and begun anew since they were opened.
    pub rebuilds: u32,
    /// How many deliveries were audited since then: folded anew, and compared
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
    /// How old what the views show is; see [`ViewsHealth::lag`]. Nothing while
    /// they have not caught up once.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        let has_caught_up = *self.shared.applied().borrow() >= self.shared.floor();
        has_caught_up.then(|| self.shared.lag())
    }

    /// How the views are.
    #[must_use]
    pub fn health(&self) -> ViewsHealth {
        let set = self.shared.set();
        let health = |view: &View| ViewHealth {
            name: view.name(),
            version: view.version(),
            position: view.position(),
            halted: view.halt(),
            checked: view.is_checked(),
            parked: view.parked().len(),
            // A view that cannot be read says so wherever it is asked.
            skipped: view.skipped().unwrap_or_default(),
            drifted: self.shared.audits().drifted(view.name()),
            rebuilding: set.rebuilding(view.name()),
        };
        ViewsHealth {
            head: *self.log.head().borrow(),
            applied: set.applied(),
            ready_at: self.shared.floor(),
            lag: self.shared.lag(),
            reader: self.shared.state(),
            rebuilds: self.shared.rebuilds(),
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
