//! A question and its views: the one that answers, and the one that is being
//! built beside it, to take its place.
//!
//! ```text
//! delivery_status-v2        the first view of version 2
//! delivery_status-v2-3      the one of its third rebuild
//! note delivery_status      which of them answers, and which is being built
//! ```

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use eventstore::{LogHistory, Position};
use serde::{Deserialize, Serialize};

use crate::projection::Projection;
use crate::rebuild_notes::RebuildNotes;
use crate::stored::{from_bytes, to_bytes};
use crate::view::{View, ViewOpenError};
use crate::view_store::{Left, ViewStore, ViewStoreError};

/// Names a rebuild that somebody asked for: a UUID's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RebuildId(pub [u8; 16]);

/// A tree that holds one build of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Build {
    /// The layout of its entries.
    version: u32,
    /// How many were begun before it.
    generation: u32,
}

impl Build {
    const fn first(version: u32) -> Self {
        Self {
            version,
            generation: 0,
        }
    }

    /// What the tree of a view is called that was never built anew.
    #[cfg(test)]
    pub(crate) fn first_tree(projection: &dyn Projection) -> String {
        Self::first(projection.version()).tree_name(projection)
    }

    /// What its tree is called.
    pub(crate) fn tree_name(self, projection: &dyn Projection) -> String {
        let (name, version) = (projection.name(), self.version);
        match self.generation {
            0 => format!("{name}-v{version}"),
            generation => format!("{name}-v{version}-{generation}"),
        }
    }
}

/// What is noted of a question beside its trees, and moved as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    serving: Build,
    building: Option<NotedRebuild>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NotedRebuild {
    build: Build,
    /// Who asked for it; nobody where a new release needs it, or an audit does.
    id: Option<RebuildId>,
}

impl Note {
    /// Of a question that nothing is noted of yet.
    fn new(projection: &dyn Projection) -> Self {
        Self {
            serving: Build::first(projection.version()),
            building: None,
        }
    }

    fn read(
        store: &dyn ViewStore,
        projection: &dyn Projection,
    ) -> Result<Option<Self>, ViewStoreError> {
        let note = store.note(projection.name())?;
        note.map(|bytes| from_bytes(&bytes)).transpose()
    }

    fn write(
        &self,
        store: &dyn ViewStore,
        projection: &dyn Projection,
    ) -> Result<(), ViewStoreError> {
        store.set_note(projection.name(), &to_bytes(self))
    }
}

/// The code that can read and go on writing a build, and the name of its tree;
/// nothing where this release has no such code.
pub(crate) fn serving_tree(
    store: &dyn ViewStore,
    projection: &'static dyn Projection,
) -> Result<Option<(&'static dyn Projection, String)>, ViewStoreError> {
    let note = Note::read(store, projection)?;
    let build = note.unwrap_or_else(|| Note::new(projection)).serving;
    let code = code_of(projection, build);
    Ok(code.map(|code| (code, build.tree_name(projection))))
}

fn code_of(projection: &'static dyn Projection, build: Build) -> Option<&'static dyn Projection> {
    if build.version == projection.version() {
        return Some(projection);
    }
    let retired = projection.retired()?;
    (build.version == retired.version()).then_some(retired)
}

/// One question.
#[derive(Debug)]
pub(crate) struct Slot {
    projection: &'static dyn Projection,
    serving: RwLock<Arc<View>>,
    /// Changed by the thread that feeds the views alone. Not held while the store
    /// is at work, or a store that hangs would hold up whoever asks how far it is.
    rebuild: Mutex<Rebuilds>,
}

#[derive(Clone, Debug)]
struct Rebuilds {
    note: Note,
    building: Option<Arc<View>>,
}

/// A rebuild that is over.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The view that goes.
    pub(crate) replaced: Arc<View>,
    /// It said something else than the one that was built anew.
    pub(crate) has_drifted: bool,
}

/// Whether two views of the same records by the same code differ.
fn has_drifted(old: &View, new: &View) -> bool {
    let is_comparable = old.version() == new.version()
        && old.position() == new.position()
        && old.is_checked()
        // Code that was mended meanwhile folds what the old one could not.
        && old.parked().len() == 0
        && old.skipped() == 0;
    let has_drifted = is_comparable && old.checkpoint().digest != new.checkpoint().digest;
    if has_drifted {
        tracing::error!(
            view = old.name(),
            "the view that was replaced was not what the log says"
        );
    }
    has_drifted
}

/// What became of a rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RebuildStatus {
    /// It was asked for and has not begun.
    Waiting,
    /// It is under way.
    Running {
        /// The record up to which all is folded for the new view.
        position: Position,
    },
    /// The new view answers.
    Succeeded,
    /// It was given up: the old view goes on answering.
    Failed {
        /// Why.
        why: String,
    },
}

impl Slot {
    /// Opens the views of a question, or begins the one that answers it.
    ///
    /// Where it was built by an earlier version whose code this release still
    /// has, it goes on answering and the new version is built beside it. Where
    /// the code is gone it is begun anew.
    pub(crate) fn open(
        projection: &'static dyn Projection,
        store: &dyn ViewStore,
        left: Left,
        history: &LogHistory,
        head: Position,
    ) -> Result<Self, ViewOpenError> {
        let found = Note::read(store, projection)?;
        let mut note = found.unwrap_or_else(|| Note::new(projection));
        let code = code_of(projection, note.serving).unwrap_or_else(|| {
            tracing::info!(
                view = projection.name(),
                version = projection.version(),
                "the view is of a release whose layout this one cannot read: it is built anew"
            );
            note = Note {
                serving: Build::first(projection.version()),
                building: None,
            };
            projection
        });
        let outdated = |rebuild: &NotedRebuild| rebuild.build.version != projection.version();
        if note.building.as_ref().is_some_and(outdated) {
            note.building = None;
        }
        if note.serving.version != projection.version() && note.building.is_none() {
            tracing::info!(
                view = projection.name(),
                old = note.serving.version,
                new = projection.version(),
                "a new version of the view is built beside the old one, which serves until then"
            );
            note.building = Some(NotedRebuild {
                build: Build::first(projection.version()),
                id: None,
            });
        }
        let open = |code, build: Build| {
            View::open(
                code,
                build.tree_name(projection),
                store,
                left,
                history,
                head,
            )
        };
        let serving = open(code, note.serving)?;
        let building = note.building.map(|rebuild| open(projection, rebuild.build));
        let building = building.transpose()?.map(Arc::new);
        if Some(note) != found {
            note.write(store, projection)?;
        }
        Ok(Self {
            projection,
            serving: RwLock::new(Arc::new(serving)),
            rebuild: Mutex::new(Rebuilds { note, building }),
        })
    }

    /// The question of a store that is not open yet.
    pub(crate) fn unopened(projection: &'static dyn Projection, history: &LogHistory) -> Self {
        let note = Note::new(projection);
        Self {
            projection,
            serving: RwLock::new(Arc::new(View::unopened(projection, history))),
            rebuild: Mutex::new(Rebuilds {
                note,
                building: None,
            }),
        }
    }

    /// The code of its current version.
    pub(crate) fn projection(&self) -> &'static dyn Projection {
        self.projection
    }

    /// The view that answers.
    pub(crate) fn serving(&self) -> Arc<View> {
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&serving)
    }

    /// The view that is being built, if one is.
    pub(crate) fn building(&self) -> Option<Arc<View>> {
        self.rebuilds().building
    }

    /// The names of its trees.
    pub(crate) fn tree_names(&self) -> Vec<String> {
        let mut names = vec![self.serving().tree_name().to_owned()];
        names.extend(self.building().map(|view| view.tree_name().to_owned()));
        names
    }

    /// Begins to build a new view beside the one that answers. If one is being
    /// built already, that is the one.
    pub(crate) fn begin_rebuild(
        &self,
        id: Option<RebuildId>,
        store: &dyn ViewStore,
        history: &LogHistory,
    ) -> Result<(), ViewStoreError> {
        let Rebuilds { mut note, building } = self.rebuilds();
        if building.is_some() {
            if let Some(rebuild) = &mut note.building {
                // One that nobody asked for has no name yet.
                rebuild.id = rebuild.id.or(id);
            }
            note.write(store, self.projection)?;
            self.set_rebuilds(Rebuilds { note, building });
            return Ok(());
        }
        let (version, serving) = (self.projection.version(), note.serving);
        let mut build = Build {
            version,
            generation: serving.generation + 1,
        };
        // What is left of one that was given up is removed under its own name.
        let taken = store.tree_names()?;
        while taken.contains(&build.tree_name(self.projection)) {
            build.generation += 1;
        }
        let (name, generation) = (build.tree_name(self.projection), build.generation);
        let view = View::create(self.projection, name, store, history)?;
        note.building = Some(NotedRebuild { build, id });
        note.write(store, self.projection)?;
        // Whoever asked is told: a crash must not forget it.
        store.flush()?;
        tracing::info!(
            view = self.projection.name(),
            generation,
            "the view is built anew beside the one that serves"
        );
        let building = Some(Arc::new(view));
        self.set_rebuilds(Rebuilds { note, building });
        Ok(())
    }

    /// Lets the new view answer if it has come as far as the old one, which is
    /// then handed back. A new view that stands still is given up and handed
    /// back instead. How it ended is noted.
    pub(crate) fn settle(
        &self,
        store: &dyn ViewStore,
        notes: &RebuildNotes,
    ) -> Result<Option<Settled>, ViewStoreError> {
        let Some(new) = self.building() else {
            return Ok(None);
        };
        let old = self.serving();
        if let Some(halt) = new.halt() {
            // Where the old one stands still too there is nothing to go back to, and nothing lost.
            tracing::error!(view = self.projection.name(), error = %halt, "building the view anew is given up; the old one goes on serving");
            self.end(store, notes, Some(&halt.to_string()))?;
            return Ok(Some(Settled {
                replaced: new,
                has_drifted: false,
            }));
        }
        if !new.is_checked() || new.position() < old.position() {
            return Ok(None);
        }
        // What is noted must not outlive what it tells of.
        store.flush()?;
        self.end(store, notes, None)?;
        *self.serving.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        tracing::info!(view = self.projection.name(), position = %new.position(), "the view that was built anew serves now");
        Ok(Some(Settled {
            has_drifted: has_drifted(&old, &new),
            replaced: old,
        }))
    }

    /// Notes that the rebuild is over: the new view answers from now on, unless
    /// it was given up.
    fn end(
        &self,
        store: &dyn ViewStore,
        notes: &RebuildNotes,
        failure: Option<&str>,
    ) -> Result<(), ViewStoreError> {
        let Rebuilds { mut note, .. } = self.rebuilds();
        let Some(rebuild) = note.building.take() else {
            return Ok(());
        };
        if let Some(id) = rebuild.id {
            // First, so that a crash in between does not leave it unknown.
            notes.add(store, id, self.projection.name(), failure)?;
        }
        if failure.is_none() {
            note.serving = rebuild.build;
        }
        note.write(store, self.projection)?;
        self.set_rebuilds(Rebuilds {
            note,
            building: None,
        });
        Ok(())
    }

    /// Gives up the view that is being built, if one is, and hands it back.
    pub(crate) fn give_up(
        &self,
        store: &dyn ViewStore,
        notes: &RebuildNotes,
        why: &str,
    ) -> Result<Option<Arc<View>>, ViewStoreError> {
        let Some(new) = self.building() else {
            return Ok(None);
        };
        tracing::error!(
            view = self.projection.name(),
            why,
            "building the view anew is given up; the old one goes on serving"
        );
        self.end(store, notes, Some(why))?;
        Ok(Some(new))
    }

    /// The rebuild that somebody asked for and that is under way.
    pub(crate) fn rebuild_under_way(&self) -> Option<RebuildId> {
        self.rebuilds().note.building?.id
    }

    /// How far a rebuild of this view is; nothing if it is none, or over.
    pub(crate) fn rebuild_status(&self, id: RebuildId) -> Option<RebuildStatus> {
        let rebuilds = self.rebuilds();
        let is_it = |rebuild: &NotedRebuild| rebuild.id == Some(id);
        let _noted = rebuilds.note.building.filter(is_it)?;
        let position = rebuilds.building.as_ref()?.worked_to();
        Some(RebuildStatus::Running { position })
    }

    fn rebuilds(&self) -> Rebuilds {
        let rebuilds = self.rebuild.lock().unwrap_or_else(PoisonError::into_inner);
        rebuilds.clone()
    }

    fn set_rebuilds(&self, rebuilds: Rebuilds) {
        *self.rebuild.lock().unwrap_or_else(PoisonError::into_inner) = rebuilds;
    }
}
