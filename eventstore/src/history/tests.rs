//! The laws of epochs.

use proptest::prelude::*;

use super::*;

const LOG_ID: Uuid = Uuid::from_u128(7);

fn identity(epoch: u32) -> LogIdentity {
    let log_id = LOG_ID;
    LogIdentity { log_id, epoch }
}

/// A life of a log: in turn so many records are appended, and the log goes on
/// in a new epoch with so many of its last records given up.
fn lives() -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::vec((0..20_u64, 0..10_u64), 0..8)
}

/// An identity, and the records that the log held when it was noted.
type Token = (LogIdentity, Vec<u64>);

/// Plays a life. Every record is a number of its own, so that it is known
/// which token still names what it named; tokens are taken at every head.
fn play(lives: &[(u64, u64)]) -> (LogHistory, Vec<u64>, Vec<Token>) {
    let (mut records, mut next, mut epoch) = (Vec::new(), 0, 1);
    let mut segments = vec![(identity(epoch), Position::new(1))];
    let mut tokens = Vec::new();
    for (appended, lost) in lives {
        for _ in 0..*appended {
            records.push(next);
            next += 1;
            tokens.push((identity(epoch), records.clone()));
        }
        let kept = records
            .len()
            .saturating_sub(usize::try_from(*lost).unwrap());
        records.truncate(kept);
        epoch += 1;
        let first = Position::new(records.len() as u64 + 1);
        // A segment without a record gives way to the one that begins there.
        segments.retain(|(_, begins)| *begins < first);
        segments.push((identity(epoch), first));
    }
    (LogHistory::of_segments(segments).unwrap(), records, tokens)
}

proptest! {
    #[test]
    fn a_token_is_valid_only_if_the_log_still_holds_what_it_held_then(lives in lives()) {
        let (history, records, tokens) = play(&lives);
        let head = Position::new(records.len() as u64);
        for (noted, then) in tokens {
            let position = Position::new(then.len() as u64);
            let holds = records.starts_with(&then);
            match history.judge(noted, position, head) {
                Standing::Valid => prop_assert!(holds, "{:?} {}", noted, position),
                Standing::Beyond { kept_to } => {
                    prop_assert!(kept_to < position && kept_to <= head);
                    let kept = usize::try_from(kept_to.get()).unwrap();
                    // What was kept of that epoch is what the token's log began with.
                    prop_assert_eq!(&records[..kept.min(records.len())], &then[..kept]);
                }
                other @ (Standing::OtherLog | Standing::Ahead) => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn of_the_current_epoch_all_up_to_the_head_is_valid_and_nothing_behind_it(
        lives in lives(), behind in 1..100_u64,
    ) {
        let (history, records, _) = play(&lives);
        let (now, head) = (history.identity(), Position::new(records.len() as u64));
        prop_assert_eq!(history.judge(now, head, head), Standing::Valid);
        prop_assert_eq!(history.judge(now, head.plus(behind), head), Standing::Ahead);
        let later = LogIdentity { epoch: now.epoch + 1, ..now };
        prop_assert_eq!(history.judge(later, Position::START, head), Standing::Ahead);
    }

    #[test]
    fn nothing_of_another_log_is_valid(lives in lives(), epoch in 0..9_u32, position in 0..200_u64) {
        let (history, records, _) = play(&lives);
        let noted = LogIdentity { log_id: Uuid::from_u128(8), epoch };
        let head = Position::new(records.len() as u64);
        prop_assert_eq!(history.judge(noted, Position::new(position), head), Standing::OtherLog);
    }
}

#[test]
fn given_an_epoch_that_was_given_up_in_part_it_says_up_to_where_it_was_kept() {
    let history = LogHistory::of_segments([
        (identity(1), Position::new(1)),
        (identity(1), Position::new(50)),
        (identity(3), Position::new(101)),
    ])
    .unwrap();
    let head = Position::new(150);
    let kept_to = Position::new(100);
    for (epoch, position, standing) in [
        (1, 100, Standing::Valid),
        (1, 101, Standing::Beyond { kept_to }),
        (2, 100, Standing::Valid),
        (2, 101, Standing::Beyond { kept_to }),
        (3, 150, Standing::Valid),
        (3, 151, Standing::Ahead),
    ] {
        let judged = history.judge(identity(epoch), Position::new(position), head);
        assert_eq!(judged, standing, "epoch {epoch}, position {position}");
    }
    assert_eq!(history.epochs().len(), 2);
}
