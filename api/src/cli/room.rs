//! What is said when the disk is full.

use std::io;

use anyhow::Error;

use crate::transfer::ImportError;

/// Says of an error that comes of a full disk what is left behind, and what
/// to do; any other error stays as it is.
pub(super) fn without_room(error: Error, left: impl FnOnce() -> String) -> Error {
    if !is_full(&error) {
        return error;
    }
    let left = left();
    error.context(format!(
        "the disk is full: {left}; free some space and give the same command again"
    ))
}

fn is_full(error: &Error) -> bool {
    error.chain().any(|cause| {
        let of_system = cause.downcast_ref().map(io::Error::kind);
        let of_import = cause.downcast_ref::<ImportError>();
        matches!(
            of_system,
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        ) || matches!(of_import, Some(ImportError::Full { .. }))
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn given_a_full_disk_however_deep_it_is_told_and_other_errors_are_left_alone() {
        let told = |kind: io::ErrorKind| {
            let failed = Err::<(), _>(io::Error::from(kind));
            let error = failed.context("writing").context("all of it").unwrap_err();
            without_room(error, || "half of it is there".to_owned()).to_string()
        };
        assert_eq!(
            told(io::ErrorKind::StorageFull),
            "the disk is full: half of it is there; free some space and give the same command again"
        );
        assert_eq!(told(io::ErrorKind::NotFound), "all of it");
    }
}
