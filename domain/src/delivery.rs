//! A delivery: one package on its way from a sender to a recipient.

mod event;
mod state;
mod command;
mod payload;

pub use command::{
    DeliveryCommand, DeliveryRejection, Ending, LoadVerdict, Nearness, Report, Reported, ReturnedTo,
};
pub(crate) use event::words;
pub use event::{
    Anomaly, Assignment, AttemptFailure, CancelReason, CancellationRefusal, DeliveryEvent, Failure,
    HubPlace, METADATA_ENTRIES_MAX, Milestone, OnCancelAfterPickup, OnUndeliverable, Order,
    Package, PackageFlag, Place, Plan, ReleaseEvidence, ReleaseMethod, ReturnReason, Size,
    UnassignReason,
};
pub use state::{
    ANOMALIES_MAX, ATTEMPTS_MAX, CarryStage, Custody, Delivery, FetchStage, Holder, Mission, Phase,
    Reached, Status,
};
