//! A registered package.

use domain::id::PackageId;
use domain::quantity::DimensionsMm;
use serde_json::{Value, json};

use super::delivery;
use crate::application::packages::RegisteredPackage;
use crate::forms::time;
use crate::http::conditional::EntityTag;

/// Grows when the bytes of a package change for the same events.
const VERSION: u16 = 1;

/// The address of a package.
pub(crate) fn path(id: PackageId) -> String {
    format!("/v1/packages/{id}")
}

/// The tag of a package: all of it comes from its own stream.
pub(crate) fn tag(registered: &RegisteredPackage) -> EntityTag {
    EntityTag::new(registered.sequence.get(), VERSION)
}

/// A package.
pub(crate) fn package(registered: &RegisteredPackage) -> Value {
    let package = &registered.package;
    let declared = package.declared();
    let holder = package.reserved_for();
    json!({
        "id": registered.id.to_string(),
        "tag": declared.tag.as_str(),
        "size": declared.size.word(),
        "mass_g": declared.mass.get(),
        "dimensions_mm": declared.dimensions.map(dimensions),
        "flags": declared.flags.iter().map(|flag| flag.word()).collect::<Vec<_>>(),
        "delivery_id": holder.map(|delivery| delivery.to_string()),
        "sequence": registered.sequence.get(),
        "created_at": time(package.registered_at()),
        "updated_at": time(package.changed_at()),
        "links": {
            "self": path(registered.id),
            "delivery": holder.map(delivery::path),
        },
    })
}

fn dimensions(dimensions: DimensionsMm) -> Value {
    let [length, width, height] = dimensions.get();
    json!({ "length": length, "width": width, "height": height })
}
