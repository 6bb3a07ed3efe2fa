//! A journal that rolls thousands of times under callers who share nothing but the journal.

use tests::{Ledger, Load, Workloads, note};

use crate::scene::{scratch_in_memory, seeded};

/// Who write at once, each on streams of their own.
const CALLERS: u16 = 8;

/// Acknowledgements that are waited for: some three thousand rolls.
const ACKNOWLEDGED: usize = 20_000;

/// Large, so that segments are full soon.
const PAYLOAD_BYTES_MAX: u64 = 16 * 1024;

/// The version of a stream was once looked up between a roll and the moment
/// at which older versions were forgotten: a caller alone on its streams was
/// told of a conflict with nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_alone_on_its_streams_is_never_refused_while_segments_roll() {
    let (folder, (_seed, mut chance)) = (scratch_in_memory(), seeded());
    let load = Load {
        seed: chance.bits(),
        payload_bytes_max: PAYLOAD_BYTES_MAX,
    };
    let workloads = Workloads::new(env!("CARGO_BIN_EXE_journal-workload"), load);

    let mut writing = workloads.random(folder.path(), CALLERS, None);
    writing.said_after(ACKNOWLEDGED).await;
    let said = writing.kill().await;

    let refused = said.iter().find(|line| line.starts_with("refused"));
    assert_eq!(refused, None, "with {load:?}");
    let mut ledger = Ledger::default();
    let noted = note(&said, said.len(), &mut ledger);
    noted.unwrap_or_else(|why| panic!("{why}, with {load:?}"));
    let shown = match workloads.show(folder.path()).await {
        Ok(showing) => showing.close().await,
        Err(why) => Err(why),
    };
    let checked = shown.and_then(|shown| ledger.check(&shown));
    checked.unwrap_or_else(|why| panic!("{why}, with {load:?}"));
}
