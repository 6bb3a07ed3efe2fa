//! Comparing the views, byte for byte, with a fresh fold of the log.
//!
//! Each view is compared as of its own checkpoint: that it is behind the log
//! is no fault, unless it cannot come any farther. The fresh fold of a short log
//! is made in memory, record by record; that of a long one in a scratch folder
//! beside the views, so that memory stays bounded, and gathered as a rebuild
//! gathers, since record by record ten million take half an hour.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eventstore::{EventStore, LogHistory, Position, Standing, Witness};

use crate::key::KeyRange;
use crate::parking::Parked;
use crate::projection::Halt;
use crate::rebuild::Advance;
use crate::slot::serving_tree;
use crate::view::View;
use crate::view_set::{PROJECTIONS, ViewSet};
use crate::view_store::{
    Checkpoint, Digest, Direction, Entry, Left, OpenedStore, ViewFolder, ViewStore, ViewStoreError,
    ViewTree,
};
use crate::views::ViewsOptions;

/// Longest log whose fresh fold is made in memory, records: some hundred MB of
/// views. In tests logs of both kinds are met.
const SHORT_LOG_RECORDS_MAX: u64 = if cfg!(test) { 20 } else { 200_000 };

/// Most findings that are listed; all are counted.
pub const FINDINGS_MAX: usize = 100;

/// Entries of a tree read at a time.
const ENTRIES_PER_READ: usize = 1_000;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// How many entries agreed.
    pub entries_agreeing: u64,
    /// How many views were compared, of all there are.
    pub views_compared: usize,
    /// How many of those hold all that the log has.
    pub views_at_head: usize,
    /// How many findings there are.
    pub findings_total: u64,
    /// The first of them, at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
}

/// Something that is not as a fresh fold of the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The view.
    pub view: &'static str,
    /// The entry's key, in hexadecimal; empty where the view as a whole is meant.
    pub key_hex: String,
    /// What differs.
    pub difference: Difference,
}

/// How a view differs from a fresh fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The fold has the entry, the view does not.
    Missing,
    /// The view has the entry, the fold does not.
    Unexpected,
    /// Both have it, with other values.
    Value {
        /// The view's, in hexadecimal.
        stored_hex: String,
        /// The fold's, in hexadecimal.
        expected_hex: String,
    },
    /// The view is of another log.
    OtherLog,
    /// The view has seen records that were given up when a new epoch began.
    Beyond {
        /// Where it is.
        seen: Position,
        /// The last position that was kept of what it has seen.
        kept_to: Position,
    },
    /// The view has seen more than the log holds.
    Ahead {
        /// Where it is.
        seen: Position,
        /// Where the log ends.
        head: Position,
    },
    /// The checkpoint's digest is not that of the entries it should hold.
    Digest,
    /// The view stands still before the end of the log, whatever it holds:
    /// a record there cannot be folded.
    Halted(Halt),
    /// The records of a stream wait in front of the view, whatever it holds:
    /// the first of them cannot be folded.
    Parked {
        /// The stream, as the log names it.
        stream: String,
        /// Where it waits, and why.
        parked: Box<Parked>,
    },
}

/// Why the views could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// They are damaged: they cannot be opened, or not be read to their end.
    #[error(transparent)]
    Damaged(ViewStoreError),
    /// They are in use, the log was not read, or the fold was not written.
    #[error("the views cannot be compared: {why}")]
    Failed {
        /// What happened, and what helps.
        why: String,
    },
}

impl VerifyError {
    fn failed(why: impl std::fmt::Display) -> Self {
        Self::Failed {
            why: why.to_string(),
        }
    }

    /// Of the views that are compared, not of the fold.
    fn of_views(error: ViewStoreError) -> Self {
        match error {
            ViewStoreError::InUse { .. } | ViewStoreError::NoRoom { .. } => Self::failed(error),
            ViewStoreError::Engine { .. }
            | ViewStoreError::Panicked { .. }
            | ViewStoreError::Stalled
            | ViewStoreError::Unreadable { .. } => Self::Damaged(error),
        }
    }
}

/// Compares all views in a folder with a fresh fold of the log. Changes nothing
/// in them. Nobody else may have the folder open.
///
/// # Errors
/// [`VerifyError`]: `Damaged`, if the views cannot be read at all, which is a
/// finding too; what differs in views that can is in the [`Verification`].
pub fn verify(
    folder: &Path,
    log: &dyn EventStore,
    options: ViewsOptions,
    progress: &mut dyn FnMut(Advance),
) -> Result<Verification, VerifyError> {
    let mut stored = ViewFolder::disk(folder, options.cache_bytes);
    let OpenedStore { store, left } = stored.open().map_err(VerifyError::of_views)?;
    let scratch = scratch_path(folder);
    let verification = if is_short(*log.head().borrow()) {
        let mut memory = ViewFolder::Memory(Arc::default());
        compare(&*store, &mut memory, log, progress)
    } else {
        remove(&scratch)?;
        let mut disk = ViewFolder::disk(&scratch, options.cache_bytes);
        let verification = compare(&*store, &mut disk, log, progress);
        let removed = remove(&scratch);
        verification.and_then(|verification| removed.map(|()| verification))
    };
    // Also where they could not be compared, for want of room perhaps: nothing was
    // changed in them.
    let is_damaged = matches!(verification, Err(VerifyError::Damaged(_)));
    if left == Left::InGoodOrder && !is_damaged {
        stored.mark_clean().map_err(VerifyError::failed)?;
    }
    verification
}

/// What the views in a folder have seen of which log, to tell what a journal
/// is missing. Changes nothing in them; nothing if there are none. Nobody else
/// may have the folder open.
///
/// # Errors
/// [`VerifyError`], if the views cannot be read.
pub fn witnesses(folder: &Path, options: ViewsOptions) -> Result<Vec<Witness>, VerifyError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut stored = ViewFolder::disk(folder, options.cache_bytes);
    let OpenedStore { store, left } = stored.open().map_err(VerifyError::of_views)?;
    let mut witnesses = Vec::new();
    for projection in PROJECTIONS {
        let serving = serving_tree(&*store, *projection).map_err(VerifyError::of_views)?;
        let Some((_, name)) = serving else {
            continue;
        };
        let tree = store.open_tree(&name);
        let checkpoint = tree.and_then(|tree| tree.checkpoint());
        let checkpoint = checkpoint.map_err(VerifyError::of_views)?;
        witnesses.extend(checkpoint.map(|checkpoint| Witness {
            name: format!("the view {}", projection.name()),
            identity: checkpoint.identity,
            position: checkpoint.position,
        }));
    }
    if left == Left::InGoodOrder {
        stored.mark_clean().map_err(VerifyError::failed)?;
    }
    Ok(witnesses)
}

fn scratch_path(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push("-verifying");
    folder.with_file_name(name)
}

fn remove(scratch: &Path) -> Result<(), VerifyError> {
    match std::fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(VerifyError::failed(
            format!("{}: {error}", scratch.display()),
        )),
        _ => Ok(()),
    }
}

/// Compares the trees in `store` with a fold into `fresh`.
pub(crate) fn compare(
    store: &dyn ViewStore,
    fresh: &mut ViewFolder,
    log: &dyn EventStore,
    progress: &mut dyn FnMut(Advance),
) -> Result<Verification, VerifyError> {
    let head = *log.head().borrow();
    let history = log.history();
    let mut verification = Verification::default();
    let mut trees = Vec::new();
    for projection in PROJECTIONS {
        let serving = serving_tree(store, *projection).map_err(VerifyError::of_views)?;
        // What another release has built this one builds anew.
        let Some((_, name)) = serving.filter(|(code, _)| code.version() == projection.version())
        else {
            continue;
        };
        let tree = store.open_tree(&name);
        let tree = tree.map_err(VerifyError::of_views)?;
        let checkpoint = tree.checkpoint().map_err(VerifyError::of_views)?;
        let position = judge(projection.name(), checkpoint, &history, head);
        match position {
            Ok(position) => {
                let digest = checkpoint.map_or_else(Digest::default, |c| c.digest);
                trees.push((projection.name(), tree, position, digest));
            }
            Err(finding) => verification.add(finding),
        }
    }
    let opened = fresh.open().map_err(VerifyError::failed)?;
    let fold = ViewSet::open(PROJECTIONS, opened, &history, head).map_err(VerifyError::failed)?;
    let last = |view: &View| {
        let found = trees.iter().find(|(name, ..)| *name == view.name());
        found.map_or(Position::START, |(_, _, position, _)| *position)
    };
    feed(&fold, log, last, progress)?;
    for (name, tree, position, digest) in &trees {
        let fresh = fold.views().into_iter().find(|view| view.name() == *name);
        let fresh = fresh.expect("both are made of all projections");
        // A fold that does not come as far as the view has nothing to compare.
        if fresh.position() >= *position {
            verification.compare_trees(name, &**tree, fresh.tree(), *digest)?;
            verification.views_compared += 1;
            verification.views_at_head += usize::from(*position == head);
        }
    }
    let to_the_end = |view: &View| {
        let is_compared = trees.iter().any(|(name, ..)| *name == view.name());
        if is_compared { head } else { Position::START }
    };
    feed(&fold, log, to_the_end, progress)?;
    for view in fold.views() {
        if let Some(halt) = view.halt() {
            verification.add(whole(view.name(), Difference::Halted(halt)));
        }
        for (stream, parked) in view.parked().streams() {
            let (stream, parked) = (stream.to_string(), Box::new(parked));
            verification.add(whole(view.name(), Difference::Parked { stream, parked }));
        }
    }
    Ok(verification)
}

fn is_short(head: Position) -> bool {
    head.get() <= SHORT_LOG_RECORDS_MAX
}

/// Folds the log into every view, each no farther than to its `last`.
fn feed(
    fold: &ViewSet,
    log: &dyn EventStore,
    last: impl Fn(&View) -> Position,
    progress: &mut dyn FnMut(Advance),
) -> Result<(), VerifyError> {
    let head = *log.head().borrow();
    let mut tell = || {
        let views = fold.views().into_iter();
        let folded = views.filter(|view| last(view) > Position::START);
        let position = folded.map(|view| view.worked_to()).min();
        let position = position.unwrap_or(head);
        progress(Advance { position, head });
    };
    if !is_short(head) {
        let fed = fold.feed_whole(log, &last, &mut tell);
        return fed.map_err(VerifyError::failed);
    }
    while fold
        .feed(log, &last)
        .map_err(VerifyError::failed)?
        .is_some()
    {
        tell();
    }
    Ok(())
}

/// A finding of a view as a whole.
fn whole(view: &'static str, difference: Difference) -> Finding {
    Finding {
        view,
        key_hex: String::new(),
        difference,
    }
}

/// The position up to which a view can be compared.
fn judge(
    view: &'static str,
    checkpoint: Option<Checkpoint>,
    history: &LogHistory,
    head: Position,
) -> Result<Position, Finding> {
    let whole = |difference| whole(view, difference);
    let Some(checkpoint) = checkpoint else {
        return Ok(Position::START);
    };
    let seen = checkpoint.position;
    match history.judge(checkpoint.identity, seen, head) {
        Standing::Valid => Ok(seen),
        Standing::OtherLog => Err(whole(Difference::OtherLog)),
        Standing::Beyond { kept_to } => Err(whole(Difference::Beyond { seen, kept_to })),
        Standing::Ahead => Err(whole(Difference::Ahead { seen, head })),
    }
}

impl Verification {
    /// Whether the views are exactly as a fresh fold has them.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.findings_total == 0
    }

    fn add(&mut self, finding: Finding) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Walks through both trees at once, in the order of their keys.
    fn compare_trees(
        &mut self,
        view: &'static str,
        stored: &dyn ViewTree,
        fresh: &dyn ViewTree,
        digest: Digest,
    ) -> Result<(), VerifyError> {
        let (mut stored, mut fresh) = (Entries::of(stored), Entries::of(fresh));
        let mut expected_digest = Digest::default();
        loop {
            let found = stored.peek().map_err(VerifyError::of_views)?;
            let expected = fresh.peek().map_err(VerifyError::failed)?;
            let difference = match (found, expected) {
                (None, None) => break,
                (Some(_), None) => Some(Difference::Unexpected),
                (None, Some(_)) => Some(Difference::Missing),
                (Some((a, _)), Some((b, _))) if a < b => Some(Difference::Unexpected),
                (Some((a, _)), Some((b, _))) if a > b => Some(Difference::Missing),
                (Some((_, a)), Some((_, b))) if a != b => Some(Difference::Value {
                    stored_hex: hex(a),
                    expected_hex: hex(b),
                }),
                (Some(_), Some(_)) => None,
            };
            let of_fold = difference != Some(Difference::Unexpected);
            let of_view = difference != Some(Difference::Missing);
            let key = if of_fold { expected } else { found };
            let key_hex = key.map(|(key, _)| hex(key)).unwrap_or_default();
            if let Some((key, value)) = expected.filter(|_| of_fold) {
                expected_digest.toggle(key, value);
            }
            match difference {
                None => self.entries_agreeing += 1,
                Some(difference) => self.add(Finding {
                    view,
                    key_hex,
                    difference,
                }),
            }
            if of_view {
                stored.advance();
            }
            if of_fold {
                fresh.advance();
            }
        }
        if digest != expected_digest {
            self.add(whole(view, Difference::Digest));
        }
        Ok(())
    }
}

/// The entries of a tree one after the other, a read at a time.
struct Entries<'t> {
    tree: &'t dyn ViewTree,
    rest: KeyRange,
    read: std::vec::IntoIter<Entry>,
    next: Option<Entry>,
}

impl<'t> Entries<'t> {
    fn of(tree: &'t dyn ViewTree) -> Self {
        Self {
            tree,
            rest: KeyRange::all(),
            read: Vec::new().into_iter(),
            next: None,
        }
    }

    fn peek(&mut self) -> Result<Option<&Entry>, ViewStoreError> {
        if self.next.is_none() {
            if self.read.len() == 0 {
                let read = self
                    .tree
                    .scan(&self.rest, Direction::Forward, ENTRIES_PER_READ);
                let read = read?;
                if let Some((last, _)) = read.last() {
                    self.rest = self.rest.after(last);
                }
                self.read = read.into_iter();
            }
            self.next = self.read.next();
        }
        Ok(self.next.as_ref())
    }

    fn advance(&mut self) {
        self.next = None;
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
