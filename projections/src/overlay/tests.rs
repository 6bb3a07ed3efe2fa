//! Laws of the writes on top of a view.

use eventstore::{LogIdentity, Position};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::view_store::{Batch, Checkpoint, Digest, MemoryViewStore, ViewStore};

type Writes = Vec<(u8, Option<u8>)>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
struct Tally(u8);

impl Row for Tally {
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// What a projection does to a key.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u8),
    PutRow(u8),
    /// Adds to the row, or begins it.
    Add(u8),
    /// Looks at the row and leaves it as it is.
    Leave,
    Remove,
}

fn steps() -> impl Strategy<Value = Vec<(u8, Step)>> {
    let step = prop_oneof![
        any::<u8>().prop_map(Step::Put),
        any::<u8>().prop_map(Step::PutRow),
        any::<u8>().prop_map(Step::Add),
        Just(Step::Leave),
        Just(Step::Remove),
    ];
    proptest::collection::vec((0..16_u8, step), 0..40)
}

fn take(overlay: &mut Overlay<'_>, number: u8, step: Step) {
    let key = key(number);
    match step {
        Step::Put(value) => overlay.put(key, vec![value]),
        Step::PutRow(value) => overlay.put_row(key, Tally(value)),
        Step::Add(more) => {
            let added = overlay.change(key, |row: &mut Option<Tally>| {
                let row = row.get_or_insert(Tally(0));
                row.0 = row.0.wrapping_add(more);
                Some(())
            });
            added.unwrap();
        }
        Step::Leave => {
            let left = overlay.change(key, |_: &mut Option<Tally>| None::<()>);
            left.unwrap();
        }
        Step::Remove => overlay.remove(key),
    }
}

/// The same with nothing but a value.
fn value_after(value: Option<u8>, step: Step) -> Option<u8> {
    match step {
        Step::Put(value) | Step::PutRow(value) => Some(value),
        Step::Add(more) => Some(value.unwrap_or(0).wrapping_add(more)),
        Step::Leave => value,
        Step::Remove => None,
    }
}

fn key(number: u8) -> Key {
    Key::row().number(u32::from(number))
}

fn tree(writes: impl IntoIterator<Item = (u8, Option<u8>)>) -> std::sync::Arc<dyn ViewTree> {
    let tree = MemoryViewStore::default().open_tree("numbers").unwrap();
    let writes = writes
        .into_iter()
        .map(|(number, value)| (key(number).into_bytes(), value.map(|value| vec![value])));
    let checkpoint = Checkpoint {
        is_amid_stash: false,
        identity: LogIdentity {
            log_id: Uuid::nil(),
            epoch: 1,
        },
        position: Position::START,
        digest: Digest::default(),
    };
    tree.apply(&Batch {
        writes: writes.collect(),
        checkpoint,
    })
    .unwrap();
    tree
}

proptest! {
    /// Law: a row that stays decoded is its bytes, for whoever reads and for
    /// what is written in the end, however rows and bytes are mixed.
    #[test]
    fn a_row_that_stays_decoded_is_its_bytes(
        below in proptest::collection::vec((0..16_u8, any::<Option<u8>>()), 0..16),
        steps in steps(),
        gathers: bool,
    ) {
        let view = tree(below.clone());
        let mut overlay = if gathers {
            Overlay::gathering(Arc::clone(&view))
        } else {
            Overlay::new(&*view)
        };
        let mut values: std::collections::BTreeMap<u8, Option<u8>> = below.into_iter().collect();
        let before = values.clone();
        for (number, step) in steps {
            take(&mut overlay, number, step);
            let value = values.entry(number).or_default();
            *value = value_after(*value, step);
            prop_assert_eq!(overlay.get(&key(number)).unwrap(), value.map(|it| vec![it]));
            prop_assert_eq!(overlay.row(&key(number)).unwrap(), value.map(Tally));
        }
        let cells = overlay.cells.borrow();
        let counted = cells.iter().map(|(key, cell)| cell.bytes(key.len()));
        prop_assert_eq!(overlay.bytes(), counted.sum::<usize>());
        drop(cells);
        let all = overlay.scan(&KeyRange::all(), Direction::Forward, 100).unwrap();
        let entry = |(number, value): (&u8, &Option<u8>)| {
            value.map(|value| (key(*number).into_bytes(), vec![value]))
        };
        prop_assert_eq!(all, values.iter().filter_map(entry).collect::<Vec<_>>());
        for (written, new, known) in overlay.into_writes() {
            let number = (0..16).find(|number| key(*number).as_bytes() == written).unwrap();
            prop_assert_eq!(new, values[&number].map(|it| vec![it]));
            if let Some(known) = known {
                let was = before.get(&number).copied().flatten();
                prop_assert_eq!(known, was.map(|it| vec![it]));
            }
        }
    }

    /// Law: reading through an overlay is reading after its writes were applied.
    #[test]
    fn an_overlay_reads_as_if_its_writes_were_applied(
        below in any::<Writes>(),
        above in any::<Writes>(),
        from: u8,
        limit in 0_usize..20,
        forward: bool,
    ) {
        let view = tree(below.clone());
        let mut overlay = Overlay::new(&*view);
        for (number, value) in &above {
            match value {
                Some(value) => overlay.put(key(*number), vec![*value]),
                None => overlay.remove(key(*number)),
            }
        }
        let applied = tree(below.into_iter().chain(above));
        let direction = if forward { Direction::Forward } else { Direction::Backward };
        let range = KeyRange::all().after(&key(from).into_bytes());
        prop_assert_eq!(
            overlay.scan(&range, direction, limit),
            applied.scan(&range, direction, limit)
        );
        prop_assert_eq!(overlay.get(&key(from)), applied.get(&key(from).into_bytes()));
    }
}
