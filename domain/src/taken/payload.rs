//! How the event of a taken command is stored.
//!
//! **This struct is frozen.** Bytes written with it lie in logs for
//! ever: never change a field, its order or its type. A change is a new struct
//! with the next schema number, an upcast from this one, and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{TakenCommand, TakenCommandEvent};
use crate::codec::{InvalidField, first_schema, stored_events};
use crate::stream::{Category, StreamName};

#[derive(Serialize, Deserialize)]
struct CommandTakenV1 {
    request_hash: [u8; 32],
    shown_category: u16,
    shown_key: [u8; 16],
    version: u64,
}

first_schema!(CommandTakenV1);

stored_events! { TakenCommandEvent {
    901 CommandTaken CommandTakenV1
        { Self::CommandTaken(taken) => CommandTakenV1 {
            request_hash: taken.request_hash,
            shown_category: taken.shown.category.number(),
            shown_key: taken.shown.key.into_bytes(),
            version: taken.version,
        } }
        { p => Self::CommandTaken(p.taken()?) }
} }

impl CommandTakenV1 {
    fn taken(self) -> Result<TakenCommand, InvalidField> {
        let category = Category::from_number(self.shown_category);
        Ok(TakenCommand {
            request_hash: self.request_hash,
            shown: StreamName {
                category: category.ok_or(InvalidField("shown_category"))?,
                key: Uuid::from_bytes(self.shown_key),
            },
            version: self.version,
        })
    }
}
