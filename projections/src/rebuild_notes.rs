//! What became of rebuilds that somebody asked for, noted beside the views.
//!
//! A ring of notes: the newest takes the place of the oldest. They lie where
//! the views lie, and are lost with them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::slot::RebuildId;
use crate::stored::{from_bytes, to_bytes};
use crate::view_store::{ViewStore, ViewStoreError};

/// How many are kept: one every minute and a half, all day long.
pub(crate) const ENDED_MAX: u64 = 1_000;

/// The longest reason that is kept, bytes: a note is small.
const WHY_BYTES_MAX: usize = 1_000;

/// A rebuild that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    /// How many ended before it.
    number: u64,
    id: RebuildId,
    view: String,
    /// Why nothing came of it, if nothing did.
    failure: Option<String>,
    /// When the youngest of those was asked for that are not kept any more: as
    /// their ids tell, ms since 1970.
    forgotten_to_ms: u64,
}

impl Ended {
    /// Whether there is room for another one beside it.
    const fn is_kept(&self, other: &Self) -> bool {
        other.number + ENDED_MAX > self.number
    }
}

/// How many ended since the process started, by how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndedCounts {
    /// The new view answers.
    pub(crate) succeeded: u64,
    /// It was given up.
    pub(crate) failed: u64,
}

/// Those that are kept. No lock is held while the store is at work, or a store
/// that hangs would hold up whoever asks.
#[derive(Debug, Default)]
pub(crate) struct RebuildNotes {
    kept: Mutex<VecDeque<Ended>>,
    /// By view.
    counts: Mutex<BTreeMap<String, EndedCounts>>,
}

fn note_name(number: u64) -> String {
    format!("ended-{}", number % ENDED_MAX)
}

impl RebuildNotes {
    /// Those that are noted beside the views. A note that cannot be read is left out.
    pub(crate) fn read(store: &dyn ViewStore) -> Result<Self, ViewStoreError> {
        let mut kept = Vec::new();
        for place in 0..ENDED_MAX {
            let Some(note) = store.note(&note_name(place))? else {
                break;
            };
            match from_bytes::<Ended>(&note) {
                Ok(ended) => kept.push(ended),
                Err(error) => {
                    tracing::warn!(%error, "what became of a rebuild is not known any more");
                }
            }
        }
        kept.sort_by_key(|ended| ended.number);
        Ok(Self {
            kept: Mutex::new(kept.into()),
            counts: Mutex::default(),
        })
    }

    /// Notes how one ended, and counts it. For one thread alone.
    pub(crate) fn add(
        &self,
        store: &dyn ViewStore,
        id: RebuildId,
        view: &str,
        failure: Option<&str>,
    ) -> Result<(), ViewStoreError> {
        let is_known = self.find(id).is_some();
        self.note(store, id, view, failure)?;
        if !is_known {
            self.count(view, failure);
        }
        Ok(())
    }

    /// Keeps that one failed before it was under way, and counts it, where the
    /// store cannot be asked to note it. For one thread alone.
    pub(crate) fn add_unwritten(&self, id: RebuildId, view: &str, why: &str) {
        if self.find(id).is_none() {
            self.keep(self.ended(id, view, Some(shortened(why).to_owned())));
            self.count(view, Some(why));
        }
    }

    fn count(&self, view: &str, failure: Option<&str>) {
        let mut counts = locked(&self.counts);
        let of_view = counts.entry(view.to_owned()).or_default();
        match failure {
            None => of_view.succeeded += 1,
            Some(_) => of_view.failed += 1,
        }
    }

    /// How many of a view have ended.
    pub(crate) fn counts(&self, view: &str) -> EndedCounts {
        locked(&self.counts).get(view).copied().unwrap_or_default()
    }

    /// Known already it is noted in its own place: a crash may have come between
    /// its end and what follows from that.
    fn note(
        &self,
        store: &dyn ViewStore,
        id: RebuildId,
        view: &str,
        failure: Option<&str>,
    ) -> Result<(), ViewStoreError> {
        let failure = failure.map(|why| shortened(why).to_owned());
        let ended = self.ended(id, view, failure);
        store.set_note(&note_name(ended.number), &to_bytes(&ended))?;
        self.keep(ended);
        Ok(())
    }

    fn keep(&self, ended: Ended) {
        let mut kept = self.kept();
        if let Some(known) = kept.iter_mut().find(|known| known.id == ended.id) {
            *known = ended;
            return;
        }
        while kept.pop_front_if(|oldest| !ended.is_kept(oldest)).is_some() {}
        kept.push_back(ended);
    }

    /// What is to be noted of an end, in the place of what is known of it.
    fn ended(&self, id: RebuildId, view: &str, failure: Option<String>) -> Ended {
        let kept = self.kept();
        if let Some(known) = kept.iter().find(|ended| ended.id == id) {
            return Ended {
                failure,
                ..known.clone()
            };
        }
        let last = kept.back();
        let ended = Ended {
            number: last.map_or(0, |last| last.number + 1),
            id,
            view: view.to_owned(),
            failure,
            forgotten_to_ms: last.map_or(0, |last| last.forgotten_to_ms),
        };
        let forgotten = kept.iter().take_while(|oldest| !ended.is_kept(oldest));
        let asked_ms = forgotten.filter_map(|oldest| asked_at_ms(oldest.id));
        Ended {
            forgotten_to_ms: asked_ms.fold(ended.forgotten_to_ms, u64::max),
            ..ended
        }
    }

    /// Notes all that others know of, of views that are given up.
    pub(crate) fn take_over(
        &self,
        store: &dyn ViewStore,
        others: &Self,
    ) -> Result<(), ViewStoreError> {
        let kept = others.kept().clone();
        for ended in &kept {
            self.note(store, ended.id, &ended.view, ended.failure.as_deref())?;
        }
        let counts = locked(&others.counts).clone();
        *locked(&self.counts) = counts;
        Ok(())
    }

    /// Of which view it was, and why nothing came of it, if nothing did; nothing
    /// if it is not known.
    pub(crate) fn find(&self, id: RebuildId) -> Option<(String, Option<String>)> {
        let kept = self.kept();
        let ended = kept.iter().rev().find(|ended| ended.id == id)?;
        Some((ended.view.clone(), ended.failure.clone()))
    }

    /// Whether one that is not known may have been known once.
    pub(crate) fn may_have_forgotten(&self, id: RebuildId) -> bool {
        let kept = self.kept();
        let forgotten_to_ms = kept.back().map_or(0, |last| last.forgotten_to_ms);
        asked_at_ms(id).is_some_and(|asked_ms| asked_ms <= forgotten_to_ms)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Ended>> {
        locked(&self.kept)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The moment that an id of version 7 (RFC 9562, 5.7) tells, ms since 1970.
fn asked_at_ms(id: RebuildId) -> Option<u64> {
    let bits = u128::from_be_bytes(id.0);
    let is_of_version_7 = (bits >> 76) & 0xF == 7;
    u64::try_from(bits >> 80).ok().filter(|_| is_of_version_7)
}

fn shortened(why: &str) -> &str {
    let end = why.floor_char_boundary(WHY_BYTES_MAX);
    why.get(..end).unwrap_or(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view_store::MemoryViewStore;

    fn id(asked_ms: u64) -> RebuildId {
        let bits = u128::from(asked_ms) << 80 | 0x7 << 76 | 0x2 << 62;
        RebuildId(bits.to_be_bytes())
    }

    #[test]
    fn as_many_as_there_is_room_for_are_kept_and_older_ones_are_known_to_be_gone() {
        let store = MemoryViewStore::default();
        let notes = RebuildNotes::read(&store).unwrap();
        for asked_ms in 1..=ENDED_MAX + 3 {
            assert_eq!(notes.find(id(asked_ms)), None);
            assert!(!notes.may_have_forgotten(id(asked_ms)));
            notes.add(&store, id(asked_ms), "user", None).unwrap();
        }
        for notes in [notes, RebuildNotes::read(&store).unwrap()] {
            let known = |asked_ms| notes.find(id(asked_ms)).is_some();
            assert_eq!([3, 4, ENDED_MAX + 3].map(known), [false, true, true]);
            let gone = |asked_ms| notes.may_have_forgotten(id(asked_ms));
            assert_eq!([1, 3, 4].map(gone), [true, true, false]);
            assert!(
                !notes.may_have_forgotten(RebuildId([0x41; 16])),
                "no id of ours"
            );
        }
    }

    #[test]
    fn each_end_counts_once_also_for_views_that_take_others_places() {
        let (store, notes) = (MemoryViewStore::default(), RebuildNotes::default());
        for (asked_ms, failure) in [
            (1, None),
            (2, Some("no room")),
            (2, Some("no room")),
            (3, None),
        ] {
            notes.add(&store, id(asked_ms), "user", failure).unwrap();
        }
        let (other_store, others) = (MemoryViewStore::default(), RebuildNotes::default());
        others.take_over(&other_store, &notes).unwrap();
        let counts = EndedCounts {
            succeeded: 2,
            failed: 1,
        };
        assert_eq!(others.counts("user"), counts);
        assert_eq!(others.counts("fleet"), EndedCounts::default());
        let after_a_restart = RebuildNotes::read(&store).unwrap();
        assert_eq!(after_a_restart.counts("user"), EndedCounts::default());
    }

    #[test]
    fn an_end_that_is_noted_again_takes_its_own_place() {
        let store = MemoryViewStore::default();
        let notes = RebuildNotes::read(&store).unwrap();
        notes
            .add(&store, id(1), "user", Some("é".repeat(900).as_str()))
            .unwrap();
        notes.add(&store, id(2), "fleet", None).unwrap();
        let (_, why) = notes.find(id(1)).unwrap();
        assert_eq!(why.map(|why| why.len()), Some(WHY_BYTES_MAX));
        notes.add(&store, id(1), "user", None).unwrap();
        let read = RebuildNotes::read(&store).unwrap();
        assert_eq!(read.find(id(1)), Some(("user".to_owned(), None)));
        assert_eq!(read.find(id(2)), Some(("fleet".to_owned(), None)));
        assert_eq!(store.note(&note_name(2)), Ok(None));
    }

    #[test]
    fn a_note_that_cannot_be_read_takes_no_other_with_it() {
        let store = MemoryViewStore::default();
        let notes = RebuildNotes::read(&store).unwrap();
        for asked_ms in 1..=3 {
            notes.add(&store, id(asked_ms), "user", None).unwrap();
        }
        store.set_note(&note_name(1), &[0xFF; 3]).unwrap();
        let read = RebuildNotes::read(&store).unwrap();
        assert_eq!(read.find(id(2)), None);
        assert!(read.find(id(1)).is_some() && read.find(id(3)).is_some());
    }
}
