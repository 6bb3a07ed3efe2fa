//! The event of a taken command.

use domain::stream::{Category, StreamName};
use domain::taken::{TakenCommand, TakenCommandEvent};
use uuid::Uuid;

pub(crate) fn samples() -> Vec<(&'static str, u16, TakenCommandEvent)> {
    let taken = TakenCommand {
        request_hash: std::array::from_fn(|n| u8::try_from(n).unwrap()),
        shown: StreamName {
            category: Category::Delivery,
            key: Uuid::from_u128(0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e55),
        },
        version: 300,
    };
    vec![("full", 1, TakenCommandEvent::CommandTaken(taken))]
}
