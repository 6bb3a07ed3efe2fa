//! Many writers on one log, each a node of its own, at streams of all of them.

use std::collections::BTreeMap;

use super::nodes::{Node, end};
use crate::error::AppendError;
use crate::event::{Commit, CommitId};
use crate::position::Position;
use crate::store::{Appended, EventStore, Outcome};
use crate::tests::clustered::{make_stream, options};
use crate::tests::given::{LOG_ID, append, commit, everything, part, stream, version};
use crate::tests::servers::shared_cluster;

const NODES: usize = 10;
/// What each node gets into the log.
const COMMITS: usize = 25;
/// Streams that all of them write.
const CONTENDED: u16 = 3;

/// Appends until it is known what became of it.
fn append_surely(store: &dyn EventStore, commit: &Commit) -> Result<Appended, AppendError> {
    loop {
        match append(store, commit.clone()) {
            Err(
                AppendError::Indeterminate { .. }
                | AppendError::Unavailable { .. }
                | AppendError::Busy { .. },
            ) => {}
            known => return known,
        }
    }
}

/// What one node got into the log: each commit, and the version that it won of
/// which contended stream.
fn race(node: &Node, number: u16) -> Vec<(CommitId, u16, u64)> {
    let store = node.store.as_ref();
    let mut won = Vec::with_capacity(COMMITS);
    let mut attempts = 0;
    while won.len() < COMMITS {
        attempts += 1;
        let contended = u16::try_from(attempts % usize::from(CONTENDED)).unwrap();
        let expected = version(store, stream(contended)).get();
        let id = u32::from(number) * 1_000_000 + u32::try_from(attempts).unwrap();
        // Its own stream too, whose versions count what it got in.
        let own = part(100 + number, won.len() as u64, &[1]);
        let commit = commit(id, vec![part(contended, expected, &[1]), own]);
        match append_surely(store, &commit) {
            Ok(_) => won.push((commit.id, contended, expected + 1)),
            Err(AppendError::Conflict { .. }) => continue,
            Err(error) => panic!("node {number}: {error}"),
        }
        // Sent again, from whatever node, it is the same commit.
        if won.len().is_multiple_of(10) {
            let again = append_surely(store, &commit).unwrap();
            assert_eq!(again.outcome, Outcome::Duplicate);
        }
    }
    won
}

#[test]
fn ten_nodes_that_race_get_every_commit_in_once_and_every_version_won_once() {
    let options = options(&shared_cluster().urls());
    make_stream(&options, LOG_ID);
    let nodes: Vec<_> = (0..NODES).map(|_| Node::joining(&options)).collect();
    let won: Vec<_> = std::thread::scope(|scope| {
        let racing = nodes
            .iter()
            .zip(0..)
            .map(|(node, number)| scope.spawn(move || race(node, number)));
        let racing: Vec<_> = racing.collect();
        racing
            .into_iter()
            .flat_map(|node| node.join().unwrap())
            .collect()
    });
    let mut versions = BTreeMap::<u16, Vec<u64>>::new();
    for (_, contended, version) in &won {
        versions.entry(*contended).or_default().push(*version);
    }
    for (contended, mut versions) in versions {
        versions.sort_unstable();
        let expected: Vec<_> = (1..=versions.len() as u64).collect();
        assert_eq!(
            versions, expected,
            "of stream {contended} each was won once"
        );
    }
    let head = Position::new(2 * won.len() as u64);
    let overtaken = nodes
        .iter()
        .map(|node| node.store.figures().counts().overtaken);
    assert!(overtaken.sum::<u64>() > 0, "they did not race");
    let mut acknowledged: Vec<_> = won.iter().map(|(id, ..)| id.0).collect();
    acknowledged.sort_unstable();
    for node in &nodes {
        node.wait_for(head);
        assert_eq!(node.head(), head, "nothing else is in the log");
        let records = everything(node.store.as_ref());
        let mut there: Vec<_> = records
            .chunks(2)
            .map(|records| {
                assert_eq!(records[0].commit_id, records[1].commit_id);
                records[0].commit_id.0
            })
            .collect();
        there.sort_unstable();
        assert_eq!(there, acknowledged, "every commit is there, and once");
    }
    let ends: Vec<_> = nodes.into_iter().map(|node| end(&node.leave())).collect();
    assert!(
        ends.array_windows().all(|[one, other]| one == other),
        "{ends:?}"
    );
}
