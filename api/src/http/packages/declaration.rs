//! What is declared of a package, and how it is changed, read from a client's words.

use domain::delivery::{PackageFlag, Size};
use domain::id::Tag;
use domain::package::Declaration;
use domain::quantity::{DimensionsMm, MassG};

use crate::http::fields::{Fields, Member, Patch, integer, known, list, object, parsed};
use crate::http::problem::{Fault, Faults};

/// The names of what is declared.
pub(in crate::http) const NAMES: [&str; 5] = ["tag", "size", "mass_g", "dimensions_mm", "flags"];

/// The sides of a package, in the order of its dimensions.
const SIDES: [&str; 3] = ["length", "width", "height"];

/// All that is declared of a package.
pub(in crate::http) fn read(fields: &mut Fields<'_>) -> Option<Declaration> {
    read_and_weigh(fields).0
}

/// The same, and its mass, also where something else of it is wrong.
pub(in crate::http) fn read_and_weigh(
    fields: &mut Fields<'_>,
) -> (Option<Declaration>, Option<MassG>) {
    let tag = fields.required("tag", parsed(str::parse::<Tag>));
    let size = fields.required("size", known(Size::ALL, Size::word));
    let mass = fields.required("mass_g", read_mass);
    let dimensions = fields.optional("dimensions_mm", object(read_dimensions));
    let flags = fields.optional("flags", read_flags);
    let declared = tag
        .zip(size)
        .zip(mass)
        .map(|((tag, size), mass)| Declaration {
            tag,
            size,
            mass,
            dimensions,
            flags: flags.unwrap_or_default(),
        });
    (declared, mass)
}

fn read_mass(member: &Member<'_>) -> Option<MassG> {
    MassG::new(integer(1..=MassG::MAX)(member)?).ok()
}

fn read_side(member: &Member<'_>) -> Option<u32> {
    integer(1..=DimensionsMm::MAX)(member)
}

fn read_dimensions(fields: &mut Fields<'_>) -> Option<DimensionsMm> {
    let [length, width, height] = SIDES.map(|side| fields.required(side, read_side));
    DimensionsMm::new([length?, width?, height?]).ok()
}

fn read_flags(member: &Member<'_>) -> Option<Vec<PackageFlag>> {
    let flag = known(PackageFlag::ALL, PackageFlag::word);
    list(PackageFlag::ALL.len(), flag)(member)
}

/// A merge patch of a package.
#[derive(Debug)]
pub(super) struct DeclarationPatch {
    tag: Option<Tag>,
    size: Option<Size>,
    mass: Option<MassG>,
    dimensions: Patch<[Option<u32>; 3]>,
    flags: Patch<Vec<PackageFlag>>,
}

/// A patch, read beside what was declared when it was seen.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
pub(super) fn read_patch(fields: &mut Fields<'_>, was: &Declaration) -> Option<DeclarationPatch> {
    let has_sides = was.dimensions.is_some();
    Some(DeclarationPatch {
        tag: fields.replaced("tag", parsed(str::parse::<Tag>)),
        size: fields.replaced("size", known(Size::ALL, Size::word)),
        mass: fields.replaced("mass_g", read_mass),
        dimensions: fields.patched(
            "dimensions_mm",
            object(|sides| Some(read_sides(sides, has_sides))),
        ),
        flags: fields.patched("flags", read_flags),
    })
}

/// Sides that are left out stay as they were, where there were any.
fn read_sides(fields: &mut Fields<'_>, has_sides: bool) -> [Option<u32>; 3] {
    SIDES.map(|side| {
        if has_sides {
            fields.replaced(side, read_side)
        } else {
            fields.required(side, read_side)
        }
    })
}

impl DeclarationPatch {
    /// What becomes of a declaration.
    ///
    /// # Errors
    /// The faults that only show beside it as it was.
    pub(super) fn apply(&self, was: &Declaration) -> Result<Declaration, Faults> {
        let flags = self.flags.clone().apply(Some(was.flags.clone()));
        Ok(Declaration {
            tag: self.tag.clone().unwrap_or_else(|| was.tag.clone()),
            size: self.size.unwrap_or(was.size),
            mass: self.mass.unwrap_or(was.mass),
            dimensions: match self.dimensions {
                Patch::Keep => was.dimensions,
                Patch::Clear => None,
                Patch::Set(sides) => Some(resized(sides, was.dimensions)?),
            },
            flags: flags.unwrap_or_default(),
        })
    }
}

fn resized(sides: [Option<u32>; 3], was: Option<DimensionsMm>) -> Result<DimensionsMm, Faults> {
    let was = was.map_or([None; 3], |was| was.get().map(Some));
    let missing: Vec<_> = SIDES
        .into_iter()
        .zip(sides.into_iter().zip(was))
        .filter(|(_, (side, was))| side.or(*was).is_none())
        .map(|(name, _)| {
            let pointer = format!("/dimensions_mm/{name}");
            let detail = "there are no dimensions yet, so all three are needed";
            Fault::new(pointer, "required", detail)
        })
        .collect();
    let [length, width, height] = sides;
    let [length_was, width_was, height_was] = was;
    match (
        length.or(length_was),
        width.or(width_was),
        height.or(height_was),
    ) {
        // Each was in range when it was read.
        (Some(length), Some(width), Some(height)) => DimensionsMm::new([length, width, height])
            .map_err(|error| Fault::new("/dimensions_mm", "range", error.to_string()).into()),
        _ => Err(missing.into_iter().collect()),
    }
}
