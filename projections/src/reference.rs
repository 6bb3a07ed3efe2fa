//! What the speed of a rebuild is compared with: its two halves, each without
//! the other. For benches.

use std::path::Path;

use eventstore::{EventStore, Position};

use crate::gathering::Gatherer;
use crate::key::KeyRange;
use crate::view::View;
use crate::view_set::PROJECTIONS;
use crate::view_store::{BATCH_KEYS, Batch, Checkpoint, Direction, Left, ViewFolder};
use crate::views::ViewsOptions;

/// Entries that are read before they are written.
const ENTRIES_PER_READ: usize = 20_000;

/// Folds the log through every projection and keeps nothing of it: what a
/// rebuild takes with an engine that takes no time.
///
/// # Errors
/// Whatever was in the way, in words.
pub fn fold_alone(log: &dyn EventStore) -> Result<(), String> {
    let (history, head) = (log.history(), *log.head().borrow());
    let views = PROJECTIONS.iter();
    let views = views.map(|projection| (View::unopened(*projection, &history).into(), head));
    let views: Vec<_> = views.collect();
    let mut gatherer = Gatherer::default();
    while gatherer
        .gather_only(log, &views)
        .map_err(|error| error.to_string())?
    {}
    Ok(())
}

/// Copies every entry of some views into an empty folder with the engine alone:
/// in the order of their keys, in batches of 100. Says how many there were.
/// Only what is called by `timed` is writing.
///
/// Nobody else may have either folder open.
///
/// # Errors
/// Whatever was in the way, in words.
pub fn copy_entries(
    from: &Path,
    to: &Path,
    options: ViewsOptions,
    timed: &mut dyn FnMut(&mut dyn FnMut()),
) -> Result<u64, String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let mut from = ViewFolder::disk(from, options.cache_bytes);
    let opened = from.open().map_err(|error| words(&error))?;
    let source = opened.store;
    let mut to = ViewFolder::disk(to, options.cache_bytes);
    let target = to.open().map_err(|error| words(&error))?.store;
    let mut entries_total = 0;
    for name in source.tree_names().map_err(|error| words(&error))? {
        let tree = source.open_tree(&name).map_err(|error| words(&error))?;
        let copy = target.open_tree(&name).map_err(|error| words(&error))?;
        let checkpoint = tree.checkpoint().map_err(|error| words(&error))?;
        let Some(checkpoint) = checkpoint else {
            continue;
        };
        let mut range = KeyRange::all();
        loop {
            let entries = tree.scan(&range, Direction::Forward, ENTRIES_PER_READ);
            let entries = entries.map_err(|error| words(&error))?;
            let Some((last, _)) = entries.last() else {
                break;
            };
            range = range.after(last);
            entries_total += entries.len() as u64;
            let batches: Vec<Batch> = entries
                .chunks(BATCH_KEYS)
                .map(|entries| Batch {
                    writes: entries
                        .iter()
                        .map(|(key, value)| (key.clone(), Some(value.clone())))
                        .collect(),
                    checkpoint: Checkpoint {
                        position: Position::START,
                        ..checkpoint
                    },
                })
                .collect();
            let mut written = Ok(());
            timed(&mut || {
                written = batches.iter().try_for_each(|batch| copy.apply(batch));
            });
            written.map_err(|error| words(&error))?;
        }
    }
    let mut flushed = Ok(());
    timed(&mut || flushed = target.flush());
    flushed.map_err(|error| words(&error))?;
    drop(source);
    if opened.left == Left::InGoodOrder {
        from.mark_clean().map_err(|error| words(&error))?;
    }
    Ok(entries_total)
}
