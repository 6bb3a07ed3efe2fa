//! Several nodes on one log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;

use super::raw;
use crate::error::AppendError;
use crate::event::CommitId;
use crate::journal::JournalReader;
use crate::journal::block::Chain;
use crate::position::Position;
use crate::store::{EventStore, Outcome};
use crate::tests::clustered::{make_stream, on_one, open, options};
use crate::tests::given::{LOG_ID, append, everything, fill, part, single, stream, version};
use crate::tests::servers::{shared_cluster, shared_server, wait_until};
use crate::{JetStreamOptions, JetStreamStore};

/// A node: a store with a journal of its own.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) folder: TempDir,
    pub(super) store: Arc<JetStreamStore>,
}

impl Node {
    pub(super) fn joining(options: &JetStreamOptions) -> Self {
        Self::on(TempDir::new().unwrap(), options)
    }

    pub(super) fn on(folder: TempDir, options: &JetStreamOptions) -> Self {
        let store = Arc::new(open(&folder, options));
        Self { folder, store }
    }

    pub(super) fn head(&self) -> Position {
        *self.store.head().borrow()
    }

    pub(super) fn wait_for(&self, head: Position) {
        wait_until("a node has come so far", || {
            let own = self.head();
            if own >= head { Ok(()) } else { Err(own) }
        });
    }

    pub(super) fn leave(self) -> TempDir {
        self.store.close();
        self.folder
    }
}

/// Where a closed journal ends, and the chain there.
pub(super) fn end(folder: &TempDir) -> (Position, Chain) {
    let journal = JournalReader::open(folder.path()).unwrap();
    let last = journal.segments().len() - 1;
    (journal.head(), journal.end_of(last).1)
}

/// What was acknowledged to one writer: each commit and its position.
pub(super) type Acknowledged = Vec<(CommitId, Position)>;

/// Appends one commit after the other to a stream of its own, each until it is
/// acknowledged, with the same id, as long as it is to go on.
pub(super) fn write(
    store: &dyn EventStore,
    writer: u16,
    (goes_on, count): (&AtomicBool, &AtomicUsize),
) -> Acknowledged {
    let mut acknowledged = Vec::new();
    while goes_on.load(Ordering::Relaxed) {
        let number = acknowledged.len();
        let id = u32::from(writer) * 1_000_000 + u32::try_from(number).unwrap();
        let commit = single(id, writer, number as u64);
        let answer = loop {
            match append(store, commit.clone()) {
                Ok(answer) => break answer,
                Err(
                    AppendError::Indeterminate { .. }
                    | AppendError::Unavailable { .. }
                    | AppendError::Busy { .. },
                ) => {}
                Err(error) => panic!("writer {writer} at {number}: {error}"),
            }
        };
        acknowledged.push((commit.id, answer.position()));
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

/// Ends the writers, also if the test failed.
pub(super) struct StopAtEnd<'a>(pub(super) &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Every node has every acknowledged commit once, at its position, and nothing
/// else; and all journals are the same.
pub(super) fn assert_kept(nodes: Vec<Node>, acknowledged: &[Acknowledged]) {
    let count = acknowledged.iter().map(Vec::len).sum::<usize>();
    let head = Position::new(count as u64);
    for node in &nodes {
        node.wait_for(head);
        let records = everything(node.store.as_ref());
        assert_eq!(records.len(), count, "as many records as acknowledgements");
        for (id, position) in acknowledged.iter().flatten() {
            let at = usize::try_from(position.get()).unwrap() - 1;
            assert_eq!(records[at].commit_id, *id);
            assert_eq!(records[at].position, *position);
        }
    }
    let ends = nodes.into_iter().map(|node| end(&node.leave()));
    let ends: Vec<_> = ends.collect();
    assert!(
        ends.array_windows().all(|[one, other]| one == other),
        "{ends:?}"
    );
}

#[test]
fn what_one_node_wrote_the_other_shows_and_goes_on_behind() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let [one, other] = [Node::joining(&options), Node::joining(&options)];
    fill(one.store.as_ref(), 5);
    other.wait_for(Position::new(5));
    assert_eq!(
        everything(other.store.as_ref()),
        everything(one.store.as_ref())
    );
    let behind = append(other.store.as_ref(), single(9, 9, 0)).unwrap();
    assert_eq!(behind.position(), Position::new(6));
    one.wait_for(Position::new(6));
    assert_eq!(end(&one.leave()), end(&other.leave()));
}

#[test]
fn a_commit_is_judged_behind_what_others_wrote_before_it() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let [one, other] = [Node::joining(&options), Node::joining(&options)];
    let (one, other) = (one.store, other.store);
    append(one.as_ref(), single(1, 1, 0)).unwrap();
    let conflict = append(other.as_ref(), single(2, 1, 0));
    let actual = crate::StreamVersion::new(1);
    let stream = stream(1);
    assert_eq!(conflict, Err(AppendError::Conflict { stream, actual }));
    assert_eq!(version(other.as_ref(), stream), actual, "it can be seen");
    let again = append(other.as_ref(), single(1, 1, 0)).unwrap();
    assert_eq!(again.outcome, Outcome::Duplicate);
    assert_eq!(raw::messages(&options), 1, "neither wrote anything");
}

#[test]
fn of_writers_on_several_nodes_exactly_one_wins_each_version() {
    let options = options(&shared_cluster().urls());
    make_stream(&options, LOG_ID);
    let nodes = [
        Node::joining(&options),
        Node::joining(&options),
        Node::joining(&options),
    ];
    let won: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let race = |(number, node): (usize, &Node)| {
            let store = Arc::clone(&node.store);
            scope.spawn(move || {
                let mut won = Vec::new();
                for round in 0..40 {
                    let expected = version(store.as_ref(), stream(1)).get();
                    let id = u32::try_from(number * 1_000 + round).unwrap();
                    // Its own stream too, so that blocks of several commits are overtaken.
                    let own = u16::try_from(number + 10).unwrap();
                    let own = part(own, won.len() as u64, &[1]);
                    let parts = vec![part(1, expected, &[1]), own];
                    let commit = crate::tests::given::commit(id, parts);
                    match append(store.as_ref(), commit) {
                        Ok(_) => won.push(expected + 1),
                        Err(AppendError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                won
            })
        };
        let races: Vec<_> = nodes.iter().enumerate().map(race).collect();
        races.into_iter().map(|race| race.join().unwrap()).collect()
    });
    let mut versions: Vec<_> = won.into_iter().flatten().collect();
    versions.sort_unstable();
    let expected: Vec<_> = (1..=versions.len() as u64).collect();
    assert_eq!(versions, expected, "each version was won once");
    let head = Position::new(2 * versions.len() as u64);
    for node in &nodes {
        node.wait_for(head);
    }
    let ends = nodes.map(|node| end(&node.leave()));
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}

#[test]
fn many_writers_on_several_nodes_lose_and_double_nothing() {
    let options = options(&shared_cluster().urls());
    make_stream(&options, LOG_ID);
    let nodes: Vec<_> = (0..3).map(|_| Node::joining(&options)).collect();
    let (goes_on, count) = (AtomicBool::new(true), AtomicUsize::new(0));
    let acknowledged: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..12u16)
            .map(|writer| {
                let store = Arc::clone(&nodes[usize::from(writer) % 3].store);
                let (goes_on, count) = (&goes_on, &count);
                scope.spawn(move || write(store.as_ref(), writer, (goes_on, count)))
            })
            .collect();
        let _stop = StopAtEnd(&goes_on);
        wait_until("600 commits are acknowledged", || {
            let count = count.load(Ordering::Relaxed);
            if count >= 600 { Ok(()) } else { Err(count) }
        });
        goes_on.store(false, Ordering::Relaxed);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });
    assert_kept(nodes, &acknowledged);
}

#[test]
fn a_node_that_joins_or_was_away_comes_to_the_end_before_it_is_there() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let [one, away] = [Node::joining(&options), Node::joining(&options)];
    fill(one.store.as_ref(), 10);
    away.wait_for(Position::new(10));
    let away = away.leave();
    for id in 11..=80 {
        let number = u16::try_from(id + 100).unwrap();
        append(one.store.as_ref(), single(id, number, 0)).unwrap();
    }
    let [back, joined] = [Node::on(away, &options), Node::joining(&options)];
    for node in [&back, &joined] {
        assert_eq!(node.head(), Position::new(80));
        assert_eq!(node.store.identity(), one.store.identity());
        assert_eq!(
            everything(node.store.as_ref()),
            everything(one.store.as_ref())
        );
    }
    let ends = [one, back, joined].map(|node| end(&node.leave()));
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}

#[test]
fn while_a_log_is_fetched_it_is_told_how_far_that_is() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    fill(node.store.as_ref(), 40);
    let folder = TempDir::new().unwrap();
    let (sender, told) = std::sync::mpsc::channel();
    let tell = Box::new(move |done: Position, all: Position| {
        sender.send((done.get(), all.get())).unwrap();
    });
    let journal = crate::tests::given::options(1 << 20);
    let store = JetStreamStore::open_telling(folder.path(), journal, &options, tell).unwrap();
    let told: Vec<_> = told.try_iter().collect();
    let expected: Vec<_> = (1..=40).map(|done| (done, 40)).collect();
    assert_eq!(told, expected);
    append(&store, single(99, 99, 0)).unwrap();
    store.close();
}
