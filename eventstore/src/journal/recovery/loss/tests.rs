//! A journal goes on without its end only for whoever accepts that.

use std::fs;
use std::path::Path;

use uuid::Uuid;

use super::*;
use crate::journal::verify;
use crate::store::EventStore;
use crate::tests::given::{
    LOG_ID, block_offsets, contents, copy_of, everything, files, fill, flip, journal_of,
    journal_with, open, version,
};

fn assess(folder: &Path, witnesses: &[Witness]) -> Result<Loss, RecoverError> {
    assess_loss(folder, witnesses, 0, &mut |_, _| ())
}

fn recover(folder: &Path) -> Loss {
    recover_with_loss(folder, &[], 0, &mut |_, _| ()).unwrap()
}

fn identity(epoch: u32) -> LogIdentity {
    let log_id = LOG_ID;
    LogIdentity { log_id, epoch }
}

fn view(epoch: u32, position: u64) -> Witness {
    Witness {
        name: "a view".to_owned(),
        identity: identity(epoch),
        position: Position::new(position),
    }
}

fn refuses_to_open(folder: &Path) {
    let options = crate::tests::given::options(1 << 20);
    let refused = crate::Journal::open(folder, options).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("see what airpost recover"), "{refused}");
    let report = verify(folder, &mut |_, _| ()).unwrap();
    let mut advice = report.findings.iter().map(|finding| finding.advice);
    assert!(
        advice.any(|advice| advice.contains("see what airpost recover")),
        "{report:?}"
    );
}

/// Neither opening nor checking does.
fn does_not_advise_a_recovery(folder: &Path) {
    fs::remove_file(files(folder, ".idx").remove(0)).unwrap();
    let options = crate::tests::given::options(1 << 20);
    let opened = crate::Journal::open(folder, options).unwrap_err();
    let report = verify(folder, &mut |_, _| ()).unwrap();
    assert!(!report.findings.is_empty());
    let advice = report.findings.iter().map(|finding| finding.advice);
    for said in advice.chain([opened.to_string().as_str()]) {
        assert!(said.contains("restore from a backup"), "{said}");
        assert!(!said.contains("see what airpost recover"), "{said}");
    }
}

/// Checks that the log goes on in epoch 2 behind so many records.
fn goes_on_behind(folder: &Path, kept: u64, whole: &[crate::Record]) {
    let journal = open(folder, 1 << 20);
    assert_eq!(journal.identity(), identity(2));
    let kept_records = usize::try_from(kept).unwrap();
    assert_eq!(everything(&journal), whole[..kept_records]);
    let expected = version(&journal, crate::tests::given::stream(1)).get();
    let commit = crate::tests::given::single(99, 1, expected);
    let appended = crate::tests::given::append(&journal, commit).unwrap();
    assert_eq!(appended.position(), Position::new(kept + 1));
    let history = journal.history();
    let head = Position::new(kept + 1);
    assert_eq!(
        history.judge(identity(1), Position::new(kept), head),
        Standing::Valid
    );
    let kept_to = Position::new(kept);
    assert_eq!(
        history.judge(identity(1), head, head),
        Standing::Beyond { kept_to }
    );
    journal.close();
    let report = verify(folder, &mut |_, _| ()).unwrap();
    assert_eq!(
        (report.findings, report.identity),
        (vec![], Some(identity(2)))
    );
}

#[test]
fn given_an_end_that_was_cut_off_it_says_what_is_missing_and_goes_on_once_that_is_accepted() {
    for segment_bytes in [1 << 20, 600] {
        let whole = journal_with(6, segment_bytes);
        let records = everything(&open(whole.path(), segment_bytes));
        let folder = copy_of(whole.path());
        let segment = files(folder.path(), ".seg").pop().unwrap();
        let offsets = block_offsets(&segment);
        let cut = offsets[offsets.len() - 2];
        let bytes = fs::read(&segment).unwrap();
        fs::write(&segment, &bytes[..cut]).unwrap();
        refuses_to_open(folder.path());

        let before = contents(folder.path());
        let loss = assess(folder.path(), &[view(1, 6), view(1, 3)]).unwrap();
        assert_eq!(
            (loss.head, loss.known_to(), loss.positions()),
            (Position::new(5), Position::new(6), 1)
        );
        assert_eq!(
            loss.witnesses.len(),
            2,
            "the head file and one view: {loss:?}"
        );
        assert_eq!(contents(folder.path()), before, "telling changes nothing");

        let recovered = recover(folder.path());
        assert_eq!((recovered.head.get(), recovered.next_epoch), (5, 2));
        goes_on_behind(folder.path(), 5, &records);
        assert!(!recover(folder.path()).is_any(), "once is enough");
    }
}

#[test]
fn given_damage_within_the_last_segment_its_bytes_are_kept_and_the_log_ends_before_it() {
    let whole = journal_of(8);
    let records = everything(&open(whole.path(), 1 << 20));
    for (block, is_head_lost) in [(3, false), (3, true), (7, false), (0, true)] {
        let folder = copy_of(whole.path());
        let segment = files(folder.path(), ".seg").pop().unwrap();
        let offset = block_offsets(&segment)[block];
        flip(&segment, offset + 20);
        if is_head_lost {
            fs::remove_file(folder.path().join("head")).unwrap();
        }
        refuses_to_open(folder.path());
        let damaged = fs::read(&segment).unwrap()[offset..].to_vec();

        let loss = recover(folder.path());
        assert_eq!(loss.head.get(), block as u64);
        assert_eq!(loss.known_to().get(), 8);
        assert_eq!(loss.damage.unwrap().offset, offset as u64);
        let kept = files(&folder.path().join("torn"), ".bytes");
        assert_eq!(fs::read(&kept[0]).unwrap(), damaged);
        goes_on_behind(folder.path(), block as u64, &records);
    }
}

#[test]
fn given_damage_in_a_sealed_segment_it_is_refused_and_nothing_is_changed() {
    let folder = journal_with(6, 300);
    let first = files(folder.path(), ".seg").remove(0);
    flip(&first, 100);
    // Something at the end besides does not make a recovery possible.
    let last = files(folder.path(), ".seg").pop().unwrap();
    fs::remove_file(last).unwrap();
    does_not_advise_a_recovery(folder.path());
    let before = contents(folder.path());
    let refused = recover_with_loss(folder.path(), &[view(1, 99)], 0, &mut |_, _| ()).unwrap_err();
    assert!(
        matches!(&refused, RecoverError::NotTheEnd(c) if c.file == first),
        "{refused}"
    );
    assert!(refused.to_string().contains("backup"));
    assert_eq!(contents(folder.path()), before);
}

#[test]
fn given_a_segment_of_the_end_that_is_gone_the_log_goes_on_behind_the_ones_that_are_left() {
    let folder = journal_with(6, 300);
    let records = everything(&open(folder.path(), 300));
    let mut segments = files(folder.path(), ".seg");
    let first = block_positions(&segments.pop().unwrap());
    fs::remove_file(files(folder.path(), ".seg").pop().unwrap()).unwrap();
    let loss = recover(folder.path());
    assert_eq!(loss.head.next(), first);
    goes_on_behind(folder.path(), loss.head.get(), &records);
}

fn block_positions(segment: &Path) -> Position {
    let name = segment.file_name().unwrap().to_str().unwrap();
    crate::journal::segment::position_of_name(name).unwrap()
}

#[test]
fn given_a_torn_last_write_or_a_sound_journal_there_is_nothing_to_accept() {
    let folder = journal_of(3);
    assert!(!assess(folder.path(), &[view(1, 3)]).unwrap().is_any());
    fs::remove_file(folder.path().join("head")).unwrap();
    let segment = files(folder.path(), ".seg").pop().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes.truncate(bytes.len() - 1);
    fs::write(&segment, &bytes).unwrap();
    let loss = recover(folder.path());
    assert!(!loss.is_any(), "{loss:?}");
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[test]
fn given_a_view_of_a_later_epoch_the_log_goes_on_behind_that_one() {
    let folder = journal_of(3);
    let other = Witness {
        identity: LogIdentity {
            log_id: Uuid::from_u128(1),
            epoch: 70,
        },
        ..view(1, 50)
    };
    let witnesses = [view(4, 2), other];
    let loss = recover_with_loss(folder.path(), &witnesses, 0, &mut |_, _| ()).unwrap();
    assert_eq!((loss.next_epoch, loss.witnesses.len()), (5, 1));
    let journal = open(folder.path(), 1 << 20);
    assert_eq!(journal.identity(), identity(5));
    fill(&journal, 0);
}

#[test]
fn given_an_interruption_between_any_two_steps_it_is_completed_by_doing_it_again() {
    let whole = journal_of(4);
    let segment = files(whole.path(), ".seg").pop().unwrap();
    let offsets = block_offsets(&segment);
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..offsets[3]]).unwrap();
    // The epoch's segment is there, the head file still tells of more.
    let folder = copy_of(whole.path());
    let head = fs::read(folder.path().join("head")).unwrap();
    recover(folder.path());
    fs::write(folder.path().join("head"), head).unwrap();
    assert!(!assess(folder.path(), &[]).unwrap().is_any());
    let journal = open(folder.path(), 1 << 20);
    assert_eq!(
        (journal.identity(), everything(&journal).len()),
        (identity(2), 3)
    );
}

#[test]
fn given_a_rotten_header_of_the_segment_that_began_an_epoch_it_is_not_taken_for_unfinished() {
    let whole = journal_of(3);
    let records = everything(&open(whole.path(), 1 << 20));
    let witnesses = [view(1, 5)];
    recover_with_loss(whole.path(), &witnesses, 0, &mut |_, _| ()).unwrap();
    fs::remove_file(whole.path().join("head")).unwrap();
    for byte in 0..64 {
        let folder = copy_of(whole.path());
        let segment = files(folder.path(), ".seg").pop().unwrap();
        assert_eq!(fs::read(&segment).unwrap().len(), 64);
        flip(&segment, byte);
        let rotten = fs::read(&segment).unwrap();
        let before = contents(folder.path());
        refuses_to_open(folder.path());
        let read = crate::JournalReader::open(folder.path());
        assert!(matches!(read, Err(OpenError::CorruptEnd(_))));
        assert_eq!(contents(folder.path()), before, "byte {byte}");

        let loss = recover(folder.path());
        let damage = loss.damage.as_ref().map(|damage| &damage.file);
        assert_eq!((damage, loss.damaged_bytes), (Some(&segment), 64));
        let kept = files(&folder.path().join("torn"), ".bytes");
        assert_eq!(fs::read(&kept[0]).unwrap(), rotten);
        goes_on_behind(folder.path(), 3, &records);
    }
}

#[test]
fn given_an_unfinished_segment_behind_a_missing_end_then_its_name_tells_of_the_end() {
    let folder = journal_of(3);
    fs::remove_file(folder.path().join("head")).unwrap();
    let next = folder.path().join(segment_name(Position::new(9)));
    fs::write(&next, [0; 7]).unwrap();
    refuses_to_open(folder.path());
    let loss = assess(folder.path(), &[]).unwrap();
    assert_eq!((loss.head.get(), loss.known_to().get()), (3, 8));
    recover(folder.path());
    assert!(!next.exists());
    // Right behind the end it is nothing but unfinished.
    let folder = journal_of(3);
    let next = folder.path().join(segment_name(Position::new(4)));
    fs::write(&next, [0; 64]).unwrap();
    assert!(!assess(folder.path(), &[]).unwrap().is_any());
    assert_eq!(everything(&open(folder.path(), 1 << 20)).len(), 3);
}
