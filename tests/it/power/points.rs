//! A power cut after every single call of a script that writes, names, cuts or syncs.
//!
//! The script runs once under a tracer, which tells all its calls; then once
//! for each of them, stopped right behind it. Calls of every thread are
//! counted for themselves, as the tracer does: where several threads make a
//! call so often, the first ones to do so are let go on.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use tests::{
    Chance, Copies, Ledger, PowerDisk, Progress, Traced, Workload, Workloads, note, tally,
};
use tokio::task::JoinSet;

use super::{any_cut, cuts, workloads};
use crate::scene::{number_from, scratch, seeded};

/// What is counted. Opening a file counts where it makes one.
const CALLS: &str = "pwrite64,write,fsync,fdatasync,sync_file_range,ftruncate,rename,renameat,\
     renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,fallocate,copy_file_range,openat";

/// Disks side by side.
const DISKS: usize = 3;

/// Points that one disk lives through.
const POINTS_A_DISK: u32 = 40;

/// Threads do not always share the work alike: a call that did not come is
/// waited for in so many runs of the script, and each ends with a cut all the same.
const TRIES_MAX: u32 = 3;

/// Large payloads, so that three segments are filled by few calls.
const PAYLOAD_BYTES_MAX: u64 = 20 * 1024;

/// One call of the script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    call: String,
    /// The thread made the call so often.
    count: u64,
    /// So many threads make it so often before.
    others: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_after_any_call_of_a_script_loses_nothing() {
    if cuts("power cuts at every call").is_none() {
        return;
    }
    let (seed, mut chance) = seeded();
    let script = workloads(chance.bits(), PAYLOAD_BYTES_MAX);
    let all = points(&script).await;
    let rounds = number_from("AIRPOST_POINTS_ROUNDS").unwrap_or(1);
    let rounds = usize::try_from(rounds).expect("a small number");
    let points: Arc<Vec<_>> = Arc::new(
        std::iter::repeat_n(&all, rounds)
            .flatten()
            .cloned()
            .collect(),
    );
    let progress = Arc::new(Progress::new("calls", points.len() as u64));
    let mut disks = JoinSet::new();
    for _ in 0..DISKS {
        let (points, progress) = (Arc::clone(&points), Arc::clone(&progress));
        disks.spawn(cut_and_look(
            script.clone(),
            points,
            progress,
            Chance::new(chance.bits()),
        ));
    }
    let stopped: u64 = disks.join_all().await.into_iter().sum();
    let (cut, of, seconds) = (points.len(), all.len(), progress.elapsed_s());
    assert!(
        stopped * 10 >= cut as u64 * 8,
        "only {stopped} of {cut} calls came"
    );
    tally(&format!(
        "power cuts at every call: {of} calls of the script, {cut} cuts, {stopped} stopped at, 0 lost, 0 journals unreadable; {seconds} s, AIRPOST_SEED={seed}"
    ));
}

/// All calls that the script makes.
async fn points(script: &Workloads) -> Vec<Point> {
    let folder = scratch();
    let traced = Traced {
        calls: CALLS.to_owned(),
        ..Traced::default()
    };
    let (said, trace) = script
        .script(folder.path(), Some(&traced))
        .traced_to_its_end()
        .await;
    assert_eq!(said.last().map(String::as_str), Some("ended"), "{said:?}");
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut threads: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    let mut points = Vec::new();
    for (thread, call, rest) in trace.lines().filter_map(call) {
        let count = counts.entry((thread, call)).or_default();
        *count += 1;
        let others = threads.entry((call, *count)).or_default();
        if call != "openat" || rest.contains("O_CREAT") {
            points.push(Point {
                call: call.to_owned(),
                count: *count,
                others: *others,
            });
        }
        *others += 1;
    }
    points
}

/// Thread, call and arguments of a line of the tracer's, if it begins a call.
fn call(line: &str) -> Option<(&str, &str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (call, rest) = rest.trim_start().split_once('(')?;
    let is_name = call
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((thread, call, rest))
}

/// Tries points as long as there are some; gives back at how many the script stopped.
async fn cut_and_look(
    script: Workloads,
    points: Arc<Vec<Point>>,
    progress: Arc<Progress>,
    mut chance: Chance,
) -> u64 {
    let mut disk = PowerDisk::new().await;
    let (mut stops, mut on_disk) = (0, 0);
    while let Some(number) = progress.take() {
        if on_disk == POINTS_A_DISK {
            disk.renew().await;
            on_disk = 0;
        }
        on_disk += 1;
        let number = usize::try_from(number).expect("there are few");
        let point = points.get(number).expect("it was counted");
        let mut stopped = false;
        for attempt in 0..TRIES_MAX {
            if stopped {
                break;
            }
            let folder = disk.path().join(format!("{on_disk}-{attempt}"));
            make_durable(&folder);
            let tried = stop_and_cut(&script, &mut disk, &folder, point, &mut chance).await;
            stopped = tried.unwrap_or_else(|why| {
                panic!("power cut after {point:?}, with {:?}: {why}", script.load())
            });
        }
        stops += u64::from(stopped);
        progress.end_one();
    }
    stops
}

/// The folder that the script begins in is there whatever happens.
fn make_durable(folder: &Path) {
    let made = std::fs::create_dir(folder).and_then(|()| {
        let parent = folder.parent().expect("it lies on the disk");
        File::open(parent)?.sync_all()
    });
    made.expect("a folder can be made on a new disk");
}

/// Runs the script up to a point, cuts the power, looks, cuts it again and looks again.
async fn stop_and_cut(
    script: &Workloads,
    disk: &mut PowerDisk,
    folder: &Path,
    point: &Point,
    chance: &mut Chance,
) -> Result<bool, String> {
    let Point {
        call,
        count,
        others,
    } = point;
    let traced = Traced {
        calls: call.clone(),
        injections: vec![format!("{call}:signal=STOP:when={count}")],
        ..Traced::default()
    };
    let mut playing = script.script(folder, Some(&traced));
    let stopped = reached(&mut playing, *others).await;
    disk.cut(any_cut(chance)).await;
    let mut ledger = Ledger::default();
    let said = playing.kill().await;
    note(&said, said.len(), &mut ledger)?;
    disk.restart().await;

    let showing = script.show(folder).await?;
    ledger.check(showing.shown())?;
    let (copies, said) = (showing.copies(), Copies::of(&said));
    if copies.backup < said.backup || copies.restored < said.restored {
        return Err(format!("lost: {said:?} were made, {copies:?} are there"));
    }
    disk.cut(any_cut(chance)).await;
    showing.kill().await;
    disk.restart().await;

    let showing = script.show(folder).await?;
    ledger.check(showing.shown())?;
    if showing.copies() != copies {
        return Err(format!("{copies:?} were there, now {:?}", showing.copies()));
    }
    showing.close().await.map(|_shown| stopped)
}

async fn reached(playing: &mut Workload, others: usize) -> bool {
    for _ in 0..others {
        if !playing.stopped().await {
            return false;
        }
        playing.go_on().await;
    }
    playing.stopped().await
}
