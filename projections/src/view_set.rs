//! All views of one store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventstore::{EventStore, LogHistory, Page, Position};

use crate::dead_letters::DeadLetters;
use crate::deliveries::Deliveries;
use crate::delivery_history::DeliveryHistory;
use crate::delivery_status::DeliveryStatus;
use crate::feeding::{FeedError, Hungry, feed};
use crate::fleet::Fleet;
use crate::gathering::{Gatherer, feed_in_halves};
use crate::open_operations::OpenOperations;
use crate::parking::retry;
use crate::projection::Projection;
use crate::rebuild_notes::{EndedCounts, RebuildNotes};
use crate::slot::{RebuildId, RebuildStatus, Slot};
use crate::statistics::HourlyStatistics;
use crate::sweeping::Going;
use crate::tasks::Tasks;
use crate::user::User;
use crate::user_deliveries::UserDeliveries;
use crate::view::{View, ViewOpenError};
use crate::view_store::{MemoryViewStore, OpenedStore, ViewStore, ViewStoreError};
use crate::waiting_sessions::WaitingSessions;

/// How near a view that is being built is fed up to the one that it replaces at once.
const NEAR_POSITIONS: u64 = 1_000;

/// Some projections.
pub(crate) type Projections = &'static [&'static dyn Projection];

/// Every projection there is.
pub(crate) const PROJECTIONS: Projections = &[
    &DeliveryStatus,
    &DeliveryHistory,
    &User,
    &UserDeliveries,
    &Deliveries,
    &WaitingSessions,
    &Fleet,
    &HourlyStatistics,
    &DeadLetters,
    &Tasks,
    &OpenOperations,
];

/// All views.
#[derive(Debug)]
pub(crate) struct ViewSet {
    store: Arc<dyn ViewStore>,
    history: LogHistory,
    slots: Vec<Slot>,
    /// What became of rebuilds.
    notes: RebuildNotes,
    /// Feeds the views that are far behind.
    gatherer: Mutex<Gatherer>,
    /// Trees that nobody needs any more, or will not once their last reader is done.
    going: Mutex<Vec<Going>>,
}

impl ViewSet {
    /// Opens every view of a log that has this history and ends at `head`; trees of other
    /// projections and of other versions are removed by and by.
    pub(crate) fn open(
        projections: Projections,
        opened: OpenedStore,
        history: &LogHistory,
        head: Position,
    ) -> Result<Self, ViewOpenError> {
        let OpenedStore { store, left } = opened;
        let slots = projections
            .iter()
            .map(|projection| Slot::open(*projection, &*store, left, history, head))
            .collect::<Result<Vec<_>, _>>()?;
        let used: Vec<String> = slots.iter().flat_map(Slot::tree_names).collect();
        let mut going = Vec::new();
        for name in store.tree_names()? {
            if !used.contains(&name) {
                tracing::info!(
                    view = name,
                    "the view is not needed any more: it is removed"
                );
                going.push(Going::left(name, &*store, history.identity())?);
            }
        }
        Ok(Self {
            notes: RebuildNotes::read(&*store)?,
            store,
            history: history.clone(),
            slots,
            gatherer: Mutex::default(),
            going: Mutex::new(going),
        })
    }

    /// Views of a log with this history that show nothing: those of a store
    /// that is not open yet.
    pub(crate) fn unopened(projections: Projections, history: &LogHistory) -> Self {
        let slots = projections.iter();
        Self {
            store: Arc::<MemoryViewStore>::default(),
            history: history.clone(),
            slots: slots.map(|it| Slot::unopened(*it, history)).collect(),
            notes: RebuildNotes::default(),
            gatherer: Mutex::default(),
            going: Mutex::default(),
        }
    }

    /// The view that answers a question.
    pub(crate) fn view(&self, projection: &dyn Projection) -> Arc<View> {
        let slot = self.slot(projection.name());
        slot.expect("only what every set of views holds is asked for")
            .serving()
    }

    fn slot(&self, name: &str) -> Option<&Slot> {
        let mut slots = self.slots.iter();
        slots.find(|slot| slot.projection().name() == name)
    }

    /// Every view that answers.
    pub(crate) fn views(&self) -> Vec<Arc<View>> {
        self.slots.iter().map(Slot::serving).collect()
    }

    /// Every view that is being built beside one of them.
    pub(crate) fn building(&self) -> Vec<Arc<View>> {
        self.slots.iter().filter_map(Slot::building).collect()
    }

    fn all(&self) -> impl Iterator<Item = Arc<View>> {
        self.views().into_iter().chain(self.building())
    }

    /// The record up to which every view holds all, and shows it, as of a moment
    /// ago: it never waits.
    pub(crate) fn applied(&self) -> Position {
        let views = self.views().into_iter();
        let positions = views.map(|view| view.shown_to());
        positions.min().unwrap_or(Position::START)
    }

    /// The record up to which every view that does not stand still holds all,
    /// shown or not.
    pub(crate) fn fed(&self) -> Position {
        let views = self
            .views()
            .into_iter()
            .filter(|view| view.halt().is_none());
        let positions = views.map(|view| view.position());
        // Where all stand still nothing is left to be fed.
        positions.min().unwrap_or(Position::new(u64::MAX))
    }

    /// Holds some more entries, at most so many, against their view's checkpoint,
    /// where that is to be done; [`ViewSet::is_checked`] says when it is done.
    pub(crate) fn check_on(&self, entries_max: usize) -> Result<(), ViewStoreError> {
        let unchecked = self.all().find(|view| !view.is_checked());
        unchecked.map_or(Ok(()), |view| view.check_on(entries_max))
    }

    /// Whether all of them are shown.
    pub(crate) fn is_shown(&self) -> bool {
        self.views().iter().all(|view| view.is_shown())
    }

    /// Whether all of them are known to be in order.
    pub(crate) fn is_checked(&self) -> bool {
        self.all().all(|view| view.is_checked())
    }

    /// Hands everything to the disk.
    pub(crate) fn flush(&self) -> Result<(), ViewStoreError> {
        self.store.flush()
    }

    /// That their files still lie where they were opened.
    pub(crate) fn check_place(&self) -> Result<(), ViewStoreError> {
        self.store.check_place()
    }

    /// What all views take, bytes.
    pub(crate) fn size_bytes(&self) -> Result<u64, ViewStoreError> {
        self.store.size_bytes()
    }

    /// Feeds one page of the log to the views that answer, each no farther than
    /// to its `last`. `None` if they all are there, or stand still.
    pub(crate) fn feed(
        &self,
        log: &dyn EventStore,
        last: impl Fn(&View) -> Position,
    ) -> Result<Option<Page>, FeedError> {
        let views = self.views().into_iter();
        feed(
            log,
            views.map(|view| {
                let last = last(&view);
                (view, last)
            }),
        )
    }

    /// Feeds the views that answer, which are far behind; not beside
    /// [`ViewSet::build_on`]. `false` if they all are there, or stand still.
    pub(crate) fn feed_from_afar(
        &self,
        log: &dyn EventStore,
        last: Position,
    ) -> Result<bool, FeedError> {
        let views = self.views().into_iter().map(|view| (view, last));
        self.gather(log, &views.collect::<Vec<_>>())
    }

    /// Feeds the views that answer, each up to its `last`, while nothing else
    /// feeds any. Tells now and then that it went on.
    pub(crate) fn feed_whole(
        &self,
        log: &dyn EventStore,
        last: impl Fn(&View) -> Position,
        tell: &mut dyn FnMut(),
    ) -> Result<(), FeedError> {
        let views = self.views().into_iter().map(|view| {
            let last = last(&view);
            (view, last)
        });
        feed_in_halves(log, &*self.store, &views.collect::<Vec<_>>(), tell)
    }

    fn gather(&self, log: &dyn EventStore, views: &[Hungry]) -> Result<bool, FeedError> {
        let mut gatherer = self.gatherer.lock().unwrap_or_else(PoisonError::into_inner);
        gatherer.go_on(log, &*self.store, views)
    }

    /// Tries again to fold the streams that were parked. Tells with every page and
    /// every stream that it moves.
    pub(crate) fn retry_parked(
        &self,
        log: &dyn EventStore,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), FeedError> {
        for view in self.all().filter(|view| view.parked().len() > 0) {
            retry(&view, log, goes_on)?;
        }
        Ok(())
    }

    /// Begins to build a view anew beside the one that answers. Nothing happens
    /// where there is no such view.
    pub(crate) fn begin_rebuild(
        &self,
        name: &str,
        id: Option<RebuildId>,
    ) -> Result<(), ViewStoreError> {
        let slot = self.slot(name);
        slot.map_or(Ok(()), |slot| {
            slot.begin_rebuild(id, &*self.store, &self.history)
        })
    }

    /// Keeps that a rebuild of a view could not be begun, and why. It is written down
    /// by the views that [take over](Self::take_over) from these.
    pub(crate) fn note_not_begun(&self, id: RebuildId, name: &str, why: &str) {
        self.notes.add_unwritten(id, name, why);
    }

    /// Feeds one page of the log to the views that are being built, and lets
    /// those answer that have come as far as the ones they replace. Gives the
    /// replaced ones that did not say what the log says.
    pub(crate) fn build_on(&self, log: &dyn EventStore) -> Result<Vec<&'static str>, FeedError> {
        let building = self.slots.iter().filter_map(|slot| {
            let view = slot.building().filter(|view| view.is_checked())?;
            // A view that stands still is overtaken: what it could not fold the new one may.
            let last = slot.serving().position();
            Some((view, last))
        });
        let building: Vec<Hungry> = building.collect();
        self.gather(log, &building)?;
        // The last records are not gathered: they become more all the time, and
        // are few enough to be folded before there are others.
        let is_near = |(view, last): &Hungry| {
            let left = last.get().saturating_sub(view.position().get());
            left <= NEAR_POSITIONS && view.worked_to() == view.position()
        };
        let near: Vec<Hungry> = building.into_iter().filter(is_near).collect();
        while feed(log, near.iter().cloned())?.is_some() {}
        Ok(self.settle()?)
    }

    /// Builds on the views of these names that are being built, up to `last`.
    /// Says how far all of them are; nothing once they are there, or stand still.
    pub(crate) fn build_alone(
        &self,
        log: &dyn EventStore,
        names: &[&'static str],
        last: Position,
    ) -> Result<Option<Position>, FeedError> {
        let building = self.building_of(names).into_iter();
        let building: Vec<Hungry> = building.map(|view| (view, last)).collect();
        let goes_on = self.gather(log, &building)?;
        let reached = building.iter().map(|(view, _)| view.worked_to());
        Ok(goes_on.then(|| reached.min().unwrap_or(last)))
    }

    /// The views of these names that are being built beside those that answer.
    pub(crate) fn building_of(&self, names: &[&'static str]) -> Vec<Arc<View>> {
        let mut building = self.building();
        building.retain(|view| names.contains(&view.name()));
        building
    }

    /// Lets those views answer that have come as far as the ones they replace,
    /// and gives up those that stand still. Gives the replaced ones that did not
    /// say what the log says.
    pub(crate) fn settle(&self) -> Result<Vec<&'static str>, ViewStoreError> {
        let mut drifted = Vec::new();
        for slot in &self.slots {
            if let Some(settled) = slot.settle(&*self.store, &self.notes)? {
                let going = Going::of(settled.replaced, &*self.store)?;
                self.going().push(going);
                drifted.extend(settled.has_drifted.then(|| slot.projection().name()));
            }
        }
        self.sweep()?;
        Ok(drifted)
    }

    /// Removes some of what nobody needs any more, and nobody reads.
    fn sweep(&self) -> Result<(), ViewStoreError> {
        let mut going = self.going();
        let mut kept = Vec::with_capacity(going.len());
        for mut tree in going.drain(..) {
            if !tree.go_on(&*self.store)? {
                kept.push(tree);
            }
        }
        *going = kept;
        Ok(())
    }

    /// Removes all of it.
    pub(crate) fn sweep_whole(&self) -> Result<(), ViewStoreError> {
        while !self.going().iter().all(Going::is_read) {
            self.sweep()?;
        }
        Ok(())
    }

    /// The rebuild of a view that somebody asked for and that is under way.
    pub(crate) fn rebuild_under_way(&self, name: &str) -> Option<RebuildId> {
        self.slot(name)?.rebuild_under_way()
    }

    /// Where the view is that is being built beside this one, if one is.
    pub(crate) fn rebuilding(&self, name: &str) -> Option<Position> {
        Some(self.slot(name)?.building()?.worked_to())
    }

    /// Whether a view is being built, or one that is not needed any more is to be removed.
    pub(crate) fn has_work(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.any(|slot| slot.building().is_some()) || !self.going().is_empty()
    }

    /// What became of a rebuild; nothing if it is not known.
    pub(crate) fn rebuild_status(&self, id: RebuildId) -> Option<(&'static str, RebuildStatus)> {
        let mut slots = self.slots.iter();
        let running =
            slots.find_map(|slot| Some((slot.projection().name(), slot.rebuild_status(id)?)));
        running.or_else(|| {
            let (view, failure) = self.notes.find(id)?;
            let status = failure.map_or(RebuildStatus::Succeeded, |why| RebuildStatus::Failed {
                why,
            });
            Some((self.slot(&view)?.projection().name(), status))
        })
    }

    /// Takes over what became of rebuilds from views that are given up. Those
    /// that were under way there have failed, and this is why.
    pub(crate) fn take_over(&self, given_up: &Self, why: &str) -> Result<(), ViewStoreError> {
        self.notes.take_over(&*self.store, &given_up.notes)?;
        for slot in &given_up.slots {
            if let Some(id) = slot.rebuild_under_way() {
                let view = slot.projection().name();
                self.notes.add(&*self.store, id, view, Some(why))?;
            }
        }
        Ok(())
    }

    /// Gives up whatever is being built beside the views that answer.
    pub(crate) fn give_up_building(&self, why: &str) -> Result<(), ViewStoreError> {
        for slot in &self.slots {
            if let Some(view) = slot.give_up(&*self.store, &self.notes, why)? {
                let going = Going::of(view, &*self.store)?;
                self.going().push(going);
            }
        }
        self.sweep()
    }

    /// How many rebuilds of a view that somebody asked for have ended.
    pub(crate) fn rebuilds_ended(&self, name: &str) -> EndedCounts {
        self.notes.counts(name)
    }

    /// Whether a rebuild that is not known may have been known once.
    pub(crate) fn may_have_forgotten(&self, id: RebuildId) -> bool {
        self.notes.may_have_forgotten(id)
    }

    fn going(&self) -> MutexGuard<'_, Vec<Going>> {
        self.going.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
