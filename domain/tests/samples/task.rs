//! Events of tasks.

use domain::id::DeliveryId;
use domain::stream::{Category, StreamName};
use domain::task::{TaskEvent, TaskId};
use uuid::Uuid;

const NAME: Uuid = Uuid::from_u128(0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e55);

pub(crate) fn samples() -> Vec<(&'static str, u16, TaskEvent)> {
    let delivery = StreamName::delivery(DeliveryId::from_uuid(NAME));
    let session = StreamName {
        category: Category::DroneSession,
        key: NAME,
    };
    vec![
        (
            "full",
            1,
            TaskEvent::TaskAcknowledged {
                task: TaskId::new(delivery, 7).unwrap(),
                note: "Müller has the package".parse().ok(),
            },
        ),
        (
            "minimal",
            1,
            TaskEvent::TaskAcknowledged {
                task: TaskId::new(session, 4_711).unwrap(),
                note: None,
            },
        ),
    ]
}
