//! Which events this release reads and writes, as the log's registry wants to know it.

use domain::codec::shapes;
use eventstore::{EventType, KnownSchema, SchemaFingerprint, SchemaVersion};

/// Every event type in every schema that can be read, with a hash of its
/// payload's shape: BLAKE3, the first 16 bytes. FROZEN: logs hold these hashes.
#[must_use]
pub fn known_schemas() -> Vec<KnownSchema> {
    let shapes = shapes().into_iter();
    shapes
        .map(|shape| KnownSchema {
            event_type: EventType(shape.event_type),
            schema: SchemaVersion(shape.schema),
            fingerprint: fingerprint(&shape.text),
        })
        .collect()
}

fn fingerprint(shape: &str) -> SchemaFingerprint {
    let mut first = [0; 16];
    blake3::hash(shape.as_bytes())
        .as_bytes()
        .iter()
        .zip(&mut first)
        .for_each(|(byte, place)| *place = *byte);
    SchemaFingerprint(first)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eventstore::{Budget, StreamVersion};
    use eventstore::{EventStore, MemoryEventStore, RegisteredStore, SCHEMA_STREAM};
    use uuid::Uuid;

    use super::*;
    use crate::application::tests::{application_on, booked};

    #[test]
    fn the_fingerprint_of_a_shape_is_the_same_for_ever() {
        let fingerprint = fingerprint("GapPassedV1 { up_to: u64 }");
        let hex = fingerprint.0.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex, "c58c644e9ad2956ddbac26cc56927365");
    }

    #[tokio::test]
    async fn given_a_release_with_another_layout_of_one_event_when_it_starts_then_it_is_named() {
        let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new(Uuid::nil()));
        let checked = RegisteredStore::open(Arc::clone(&store), known_schemas()).unwrap();
        booked(&application_on(Arc::new(checked)), 1).await;
        let page = store.read_stream(SCHEMA_STREAM, StreamVersion::EMPTY, Budget::PAGE);
        // The user and the claim on the address; then the delivery.
        assert_eq!(page.unwrap().records.len(), 2);

        let mut other = known_schemas();
        for schema in &mut other {
            if schema.event_type == EventType(102) {
                schema.fingerprint = SchemaFingerprint([0; 16]);
            }
        }
        let refused = RegisteredStore::open(Arc::clone(&store), other).unwrap_err();
        assert!(
            refused.to_string().contains("event type 102 in schema 1"),
            "{refused}"
        );
        RegisteredStore::open(store, known_schemas()).unwrap();
    }
}
