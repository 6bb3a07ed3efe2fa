//! Whoever reads a whole log can tell what came past the registry.

use super::*;

fn follow(store: &dyn EventStore) -> Vec<Result<(), UnnamedSchema>> {
    let mut named = NamedSchemas::default();
    let records = everything(store);
    records.iter().map(|record| named.follow(record)).collect()
}

#[test]
fn given_a_log_that_was_written_through_the_registry_then_every_schema_is_named() {
    let checked = registered(&memory());
    append(&checked, commit(1, 0, &[(2, 1), (1, 2)])).unwrap();
    append(&checked, commit(1, 2, &[(3, 1)])).unwrap();
    assert_eq!(follow(&checked), [Ok(()), Ok(()), Ok(()), Ok(())]);
}

#[test]
fn given_events_that_came_past_the_registry_then_each_is_told_and_what_follows_is_followed() {
    let store = memory();
    append(store.as_ref(), commit(1, 0, &[(1, 1)])).unwrap();
    append(&registered(&store), commit(1, 1, &[(1, 1)])).unwrap();
    append(store.as_ref(), commit(1, 2, &[(1, 1), (1, 99)])).unwrap();
    append(store.as_ref(), commit(1, 4, &[(1, 1)])).unwrap();
    let not_named = |schema| {
        Err(UnnamedSchema::NotNamed {
            event_type: EventType(1),
            schema: SchemaVersion(schema),
        })
    };
    assert_eq!(
        follow(store.as_ref()),
        [not_named(1), Ok(()), Ok(()), not_named(99), Ok(())]
    );
}

#[test]
fn given_an_entry_that_no_release_writes_then_it_is_told_by_its_version() {
    let log = entry_log(vec![entry(1, known(1, 1).encode()), entry(1, Vec::new())]);
    let version = StreamVersion::new(2);
    assert_eq!(
        follow(log.as_ref()),
        [Err(UnnamedSchema::Entry { version })]
    );
}
