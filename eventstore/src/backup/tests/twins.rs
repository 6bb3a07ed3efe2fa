//! Two logs restored from one backup are told apart.

use super::*;
use crate::history::{Standing, epoch_after};
use crate::position::LogIdentity;

const S: i64 = 1_000_000;
/// Some day in 2026.
const NOW_S: u32 = 1_795_000_000;
const NOW_US: i64 = NOW_S as i64 * S;

/// What is restored at a time and then written to, in its own way.
struct Twin {
    journal: Journal,
    identity: LogIdentity,
    _folder: TempDir,
}

fn twin(from: &Path, now_us: i64, records: u32) -> Twin {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("journal");
    let restored = restore(from, &place, None, now_us, &mut |_, _| ()).unwrap();
    fill_on(&place, records);
    Twin {
        journal: open(&place, 1 << 20),
        identity: restored.identity,
        _folder: folder,
    }
}

impl Twin {
    fn judge(&self, noted: LogIdentity, position: u64) -> Standing {
        let head = *self.journal.head().borrow();
        let history = self.journal.history();
        history.judge(noted, Position::new(position), head)
    }
}

#[test]
fn given_two_restores_of_one_backup_then_neither_takes_what_was_noted_in_the_other() {
    let source = journal_with(6, 400);
    let backup = TempDir::new().unwrap();
    back_up(source.path(), backup.path()).unwrap();
    let earlier = twin(backup.path(), NOW_US, 3);
    let later = twin(backup.path(), NOW_US + S, 4);
    assert_eq!(earlier.identity.epoch, NOW_S);
    assert_eq!(later.identity.epoch, NOW_S + 1);
    for position in 7..=9 {
        // Both have a record there, and not the same one.
        let kept_to = Position::new(6);
        assert_eq!(
            later.judge(earlier.identity, position),
            Standing::Beyond { kept_to }
        );
        assert_eq!(earlier.judge(later.identity, position), Standing::Ahead);
        assert_eq!(later.judge(later.identity, position), Standing::Valid);
        assert_eq!(earlier.judge(earlier.identity, position), Standing::Valid);
    }
    // What came from the backup is the same in both.
    let of_the_source = LogIdentity {
        epoch: 1,
        ..later.identity
    };
    for twin in [&earlier, &later] {
        assert_eq!(twin.judge(of_the_source, 6), Standing::Valid);
    }
}

#[test]
fn given_a_restore_and_a_recovery_then_they_go_on_in_epochs_of_their_own_times() {
    let source = journal_with(6, 1 << 20);
    let backup = TempDir::new().unwrap();
    back_up(source.path(), backup.path()).unwrap();
    let segment = files(source.path(), ".seg").pop().unwrap();
    let end = crate::tests::given::block_offsets(&segment)[4];
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..end]).unwrap();
    let loss = recover_with_loss(source.path(), &[], NOW_US, &mut |_, _| ()).unwrap();
    assert_eq!(loss.next_epoch, NOW_S);
    assert_eq!(open(source.path(), 1 << 20).identity().epoch, NOW_S);
    let restored = twin(backup.path(), NOW_US + 5 * S, 0);
    assert_eq!(restored.identity.epoch, NOW_S + 5);
}

proptest! {
    #[test]
    fn an_epoch_is_later_than_the_one_before_and_of_its_second(before in 0..u32::MAX, now_us in any::<i64>()) {
        let next = epoch_after(before, now_us);
        prop_assert!(next > before);
        let is_of_its_time = i64::from(next) == now_us.div_euclid(S);
        prop_assert!(is_of_its_time || next == before + 1, "{}", next);
    }

    #[test]
    fn no_two_seconds_give_one_epoch_behind_an_earlier_time(
        before in 0..NOW_S, one in 0..500_000_000_i64, other in 0..500_000_000_i64,
    ) {
        prop_assume!(one != other);
        let epoch = |second: i64| epoch_after(before, NOW_US + second * S);
        prop_assert_ne!(epoch(one), epoch(other));
    }
}
