//! J3, J4 and J9 while the disk fails: nothing false is acknowledged.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::fault_disk::{Call, EIO, EMFILE, ENOSPC, EROFS, Effect, Fault, FaultDisk};
use super::given::{
    append, commit, everything, files, fill, open, options, part, single, stream, version, wait,
};
use crate::error::{AppendError, OpenError};
use crate::journal::{Journal, JournalOptions, verify};
use crate::store::Health;
use crate::store::{Appended, EventStore, Outcome};

struct Given {
    folder: TempDir,
    disk: FaultDisk,
    journal: Journal,
}

fn given(change: impl FnOnce(&mut JournalOptions)) -> Given {
    let folder = TempDir::new().unwrap();
    let disk = FaultDisk::default();
    let mut options = options(1 << 20);
    change(&mut options);
    let journal = Journal::open_on(Arc::new(disk.clone()), folder.path(), options).unwrap();
    fill(&journal, 3);
    disk.take_calls();
    Given {
        folder,
        disk,
        journal,
    }
}

fn once(call: Call, effect: Effect) -> Fault {
    Fault {
        call: Some(call),
        suffix: ".seg",
        after: 0,
        times: 1,
        effect,
    }
}

/// Appends again and again until it is taken; the helper's next round clears the way.
fn once_there_is_space(journal: &Journal) -> Appended {
    (0..5_000_000)
        .map(|_| append(journal, single(90, 9, 0)))
        .find(|answer| *answer != Err(AppendError::Full))
        .unwrap()
        .unwrap()
}

fn assert_read_only(given: &Given) {
    let refused = append(&given.journal, single(91, 9, 0));
    assert!(
        matches!(refused, Err(AppendError::Unavailable { .. })),
        "{refused:?}"
    );
    assert!(matches!(given.journal.health(), Health::ReadOnly { .. }));
    assert!(!given.journal.is_writable());
    assert_eq!(everything(&given.journal).len(), 3, "reads go on");
    assert_eq!(given.journal.head().borrow().get(), 3);
}

#[test]
fn given_a_sync_that_fails_the_group_is_indeterminate_and_the_journal_read_only_until_reopened() {
    let given = given(|_| ());
    given.disk.arm(once(Call::Sync, Effect::Fails(EIO)));
    let first = single(90, 9, 0);
    let commit_id = first.id;
    let answer = append(&given.journal, first.clone());
    assert_eq!(answer, Err(AppendError::Indeterminate { commit_id }));
    assert_read_only(&given);
    let syncs = given.disk.take_calls();
    let is_sync = |(call, path): &&(Call, std::path::PathBuf)| {
        *call == Call::Sync && path.extension().is_some()
    };
    assert_eq!(
        syncs.iter().filter(is_sync).count(),
        1,
        "a sync is never tried again"
    );
    given.journal.close();
    let journal = open(given.folder.path(), 1 << 20);
    let retried = append(&journal, first).unwrap();
    assert_eq!(retried.position().get(), 4);
    assert_eq!(everything(&journal).len(), 4);
}

#[test]
fn given_a_write_that_fails_on_the_device_the_journal_is_read_only_until_reopened() {
    for errno in [EIO, EROFS] {
        for effect in [Effect::Fails(errno), Effect::ShortThenFails(20, errno)] {
            let given = given(|_| ());
            given.disk.arm(once(Call::Write, effect));
            let answer = append(&given.journal, single(90, 9, 0));
            assert!(
                matches!(answer, Err(AppendError::Indeterminate { .. })),
                "{answer:?}"
            );
            assert_read_only(&given);
            given.journal.close();
            let journal = open(given.folder.path(), 1 << 20);
            assert_eq!(
                append(&journal, single(90, 9, 0)).unwrap().outcome,
                Outcome::Committed
            );
        }
    }
}

#[test]
fn given_a_full_disk_the_group_is_refused_cut_off_and_appends_resume_by_themselves() {
    for effect in [Effect::Fails(ENOSPC), Effect::ShortThenFails(20, ENOSPC)] {
        let given = given(|options| options.full_retry = Duration::from_millis(1));
        let segment = &files(given.folder.path(), ".seg")[0];
        let before = fs::read(segment).unwrap();
        given.disk.arm(once(Call::Write, effect));
        assert_eq!(
            append(&given.journal, single(90, 9, 0)),
            Err(AppendError::Full)
        );
        assert_eq!(fs::read(segment).unwrap(), before);
        assert_eq!(given.journal.health(), Health::Full);
        let resumed = once_there_is_space(&given.journal);
        assert_eq!(
            (resumed.outcome, resumed.position().get()),
            (Outcome::Committed, 4)
        );
        assert!(given.journal.is_writable());
    }
}

#[test]
fn given_a_full_disk_no_write_is_tried_before_the_time_has_come() {
    let given = given(|options| options.full_retry = Duration::from_hours(1));
    given.disk.arm(once(Call::Write, Effect::Fails(ENOSPC)));
    assert_eq!(
        append(&given.journal, single(90, 9, 0)),
        Err(AppendError::Full)
    );
    given.disk.take_calls();
    assert_eq!(
        append(&given.journal, single(90, 9, 0)),
        Err(AppendError::Full)
    );
    assert_eq!(given.disk.take_calls(), []);
    let known = append(&given.journal, single(1, 1, 0)).unwrap();
    assert_eq!(
        known.outcome,
        Outcome::Duplicate,
        "what needs no write is still answered"
    );
}

#[test]
fn given_a_full_disk_that_cannot_be_cut_either_the_journal_is_read_only() {
    let given = given(|_| ());
    given.disk.arm(Fault {
        call: None,
        times: 3,
        ..once(Call::Write, Effect::ShortThenFails(20, ENOSPC))
    });
    let answer = append(&given.journal, single(90, 9, 0));
    assert!(
        matches!(answer, Err(AppendError::Indeterminate { .. })),
        "{answer:?}"
    );
    given.disk.disarm();
    assert_read_only(&given);
    given.journal.close();
    assert_eq!(everything(&open(given.folder.path(), 1 << 20)).len(), 3);
}

#[test]
fn given_too_little_free_space_appends_are_refused_until_there_is_enough() {
    let given = given(|options| options.disk_free_bytes_min = 1_000);
    given.disk.set_free_bytes(Some(999));
    assert_eq!(
        append(&given.journal, single(90, 9, 0)),
        Err(AppendError::Full)
    );
    assert_eq!(given.disk.take_calls(), [], "nothing was written");
    assert_eq!(given.journal.health(), Health::Full);
    given.disk.set_free_bytes(Some(1_000));
    append(&given.journal, single(90, 9, 0)).unwrap();
    assert!(given.journal.is_writable());
}

#[test]
fn given_writes_that_take_a_byte_at_a_time_everything_is_written() {
    let given = given(|_| ());
    given.disk.arm(Fault {
        times: usize::MAX,
        ..once(Call::Write, Effect::Short(1))
    });
    append(
        &given.journal,
        commit(90, vec![part(9, 0, &[100, 3]), part(10, 0, &[5])]),
    )
    .unwrap();
    given.journal.close();
    let report = verify(given.folder.path(), &mut |_, _| ()).unwrap();
    assert_eq!((report.findings, report.head.get()), (vec![], 5));
}

#[test]
fn given_no_space_for_the_next_segment_appends_are_refused_and_resume() {
    refused_until_there_is_room(ENOSPC);
}

#[test]
fn given_no_file_handle_for_the_next_segment_appends_are_refused_and_resume() {
    refused_until_there_is_room(EMFILE);
}

fn refused_until_there_is_room(errno: i32) {
    let given = given(|options| {
        options.segment_bytes = 1;
        options.full_retry = Duration::from_millis(1);
    });
    given.disk.arm(Fault {
        times: 2,
        ..once(Call::Create, Effect::Fails(errno))
    });
    assert_eq!(
        append(&given.journal, single(90, 9, 0)),
        Err(AppendError::Full)
    );
    once_there_is_space(&given.journal);
    given.journal.close();
    let journal = open(given.folder.path(), 1);
    assert_eq!(everything(&journal).len(), 4);
}

#[test]
fn j3_given_a_sync_that_takes_long_nothing_of_the_group_is_visible() {
    let given = given(|_| ());
    let held = given.disk.hold(Call::Sync);
    let answer = given.journal.append(single(90, 9, 0));
    given.disk.until_somebody_waits();
    assert_eq!(given.journal.head().borrow().get(), 3);
    assert_eq!(everything(&given.journal).len(), 3);
    assert_eq!(version(&given.journal, stream(9)).get(), 0);
    drop(held);
    assert_eq!(wait(answer).unwrap().position().get(), 4);
    assert_eq!(version(&given.journal, stream(9)).get(), 1);
}

#[test]
fn given_many_callers_during_one_sync_the_next_block_holds_all_their_commits() {
    let given = given(|_| ());
    let held = given.disk.hold(Call::Sync);
    let first = given.journal.append(single(90, 9, 0));
    given.disk.until_somebody_waits();
    let rest: Vec<_> = (0..50)
        .map(|id| given.journal.append(single(100 + id, 9, u64::from(id) + 1)))
        .collect();
    given.disk.take_calls();
    drop(held);
    wait(first).unwrap();
    for (answer, position) in rest.into_iter().zip(5..) {
        assert_eq!(wait(answer).unwrap().position().get(), position);
    }
    let calls: Vec<_> = given
        .disk
        .take_calls()
        .into_iter()
        .map(|(call, _)| call)
        .collect();
    assert_eq!(calls, [Call::Write, Call::Sync]);
}

#[test]
fn given_a_conflict_with_what_is_not_durable_it_is_told_once_the_other_commit_can_be_seen() {
    let given = given(|_| ());
    let held = given.disk.hold(Call::Sync);
    let first = given.journal.append(single(90, 9, 0));
    given.disk.until_somebody_waits();
    let winner = given.journal.append(single(91, 8, 0));
    let loser = given.journal.append(single(92, 8, 0));
    let stale = given.journal.append(single(93, 1, 0));
    drop(held);
    wait(first).unwrap();
    assert!(matches!(wait(stale), Err(AppendError::Conflict { .. })));
    assert!(matches!(wait(loser), Err(AppendError::Conflict { .. })));
    assert_eq!(version(&given.journal, stream(8)).get(), 1);
    wait(winner).unwrap();
}

#[test]
fn given_a_sync_that_fails_a_commit_sent_again_meanwhile_is_not_said_to_be_absent() {
    let given = given(|_| ());
    let held = given.disk.hold(Call::Sync);
    let first = given.journal.append(single(90, 9, 0));
    given.disk.until_somebody_waits();
    let again = given.journal.append(single(90, 9, 0));
    let behind = given.journal.append(single(91, 8, 0));
    given.disk.arm(once(Call::Sync, Effect::Fails(EIO)));
    drop(held);
    let commit_id = super::given::commit_id(90);
    assert_eq!(wait(first), Err(AppendError::Indeterminate { commit_id }));
    assert_eq!(wait(again), Err(AppendError::Indeterminate { commit_id }));
    let behind = wait(behind);
    assert!(
        matches!(behind, Err(AppendError::Unavailable { .. })),
        "{behind:?}"
    );
}

#[test]
fn given_a_group_that_fails_whoever_conflicted_with_it_is_not_told_a_version_that_never_was() {
    let given = given(|_| ());
    let held = given.disk.hold(Call::Sync);
    let first = given.journal.append(single(90, 9, 0));
    given.disk.until_somebody_waits();
    let winner = given.journal.append(single(91, 8, 0));
    let twin = given.journal.append(single(91, 8, 0));
    let loser = given.journal.append(single(92, 8, 0));
    given.disk.arm(Fault {
        after: 1,
        ..once(Call::Sync, Effect::Fails(EIO))
    });
    drop(held);
    wait(first).unwrap();
    let commit_id = super::given::commit_id(91);
    assert_eq!(wait(winner), Err(AppendError::Indeterminate { commit_id }));
    assert_eq!(wait(twin), Err(AppendError::Indeterminate { commit_id }));
    let loser = wait(loser);
    assert!(
        matches!(loser, Err(AppendError::Unavailable { .. })),
        "{loser:?}"
    );
}

#[test]
fn given_a_full_queue_an_append_is_told_to_come_back() {
    let given = given(|options| options.queue_commits_max = 2);
    let held = given.disk.hold(Call::Sync);
    let first = given.journal.append(single(90, 9, 0));
    given.disk.until_somebody_waits();
    let waiting: Vec<_> = (0..2)
        .map(|id| given.journal.append(single(100 + id, 9, u64::from(id) + 1)))
        .collect();
    let busy = wait(given.journal.append(single(110, 10, 0)));
    assert!(matches!(busy, Err(AppendError::Busy { .. })), "{busy:?}");
    drop(held);
    wait(first).unwrap();
    for answer in waiting {
        wait(answer).unwrap();
    }
    append(&given.journal, single(110, 10, 0)).unwrap();
}

#[test]
fn given_a_queue_full_of_bytes_an_append_is_told_to_come_back() {
    let given = given(|options| options.queue_bytes_max = 1_000);
    let held = given.disk.hold(Call::Sync);
    let first = given.journal.append(single(90, 9, 0));
    given.disk.until_somebody_waits();
    let large = given
        .journal
        .append(commit(91, vec![part(10, 0, &[5_000])]));
    let busy = wait(given.journal.append(single(92, 11, 0)));
    assert!(matches!(busy, Err(AppendError::Busy { .. })), "{busy:?}");
    drop(held);
    wait(first).unwrap();
    wait(large).unwrap();
    append(&given.journal, single(92, 11, 0)).unwrap();
}

#[test]
fn given_a_close_what_was_accepted_is_written_and_answered() {
    let given = given(|_| ());
    let held = given.disk.hold(Call::Sync);
    let answers: Vec<_> = (0..20)
        .map(|id| given.journal.append(single(90 + id, 9, u64::from(id))))
        .collect();
    given.disk.until_somebody_waits();
    std::thread::scope(|scope| {
        scope.spawn(|| given.journal.close());
        drop(held);
    });
    for answer in answers {
        wait(answer).unwrap();
    }
    assert_eq!(given.journal.health(), Health::Closed);
    assert_eq!(everything(&open(given.folder.path(), 1 << 20)).len(), 23);
}

#[test]
fn given_a_moment_of_idleness_the_head_file_is_replaced() {
    let given = given(|options| options.head_idle = Duration::from_millis(1));
    append(&given.journal, single(90, 9, 0)).unwrap();
    given.disk.until_called(Call::Rename, "head");
}

#[test]
fn given_an_open_that_cannot_make_durable_what_it_would_show_it_fails() {
    for call in [Call::Write, Call::Sync, Call::SyncFolder] {
        let folder = super::given::journal_of(3);
        let disk = FaultDisk::default();
        disk.arm(Fault {
            suffix: "",
            ..once(call, Effect::Fails(EIO))
        });
        let opened = Journal::open_on(Arc::new(disk), folder.path(), options(1 << 20));
        assert!(matches!(opened, Err(OpenError::Io { .. })), "{call:?}");
    }
}

#[test]
fn given_a_new_folder_every_name_on_the_way_is_made_durable() {
    let folder = TempDir::new().unwrap();
    let disk = FaultDisk::default();
    let path = folder.path().join("data").join("journal");
    let journal = Journal::open_on(Arc::new(disk.clone()), &path, options(1 << 20)).unwrap();
    let segment = files(&path, ".seg").remove(0);
    let data = folder.path().join("data");
    let above = folder.path().parent().unwrap().to_owned();
    let expected = [
        (Call::SyncFolder, above),
        (Call::CreateFolder, data.clone()),
        (Call::SyncFolder, folder.path().to_owned()),
        (Call::CreateFolder, path.clone()),
        (Call::SyncFolder, data),
        (Call::Create, segment.clone()),
        (Call::Write, segment.clone()),
        (Call::Sync, segment),
        (Call::SyncFolder, path.clone()),
    ];
    assert_eq!(disk.take_calls(), expected);
    journal.close();
}
