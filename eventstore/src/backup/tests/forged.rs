//! A manifest whose own hash is right may still say what no backup says.

use super::*;
use crate::position::LogIdentity;

/// A backup whose manifest was rewritten, hash and all.
fn forged(change: impl FnOnce(&mut BackupManifest)) -> TempDir {
    let folder = journal_with(6, 400);
    let to = TempDir::new().unwrap();
    let mut manifest = back_up(folder.path(), to.path()).unwrap().manifest;
    assert!(manifest.files.len() > 2, "{manifest:?}");
    change(&mut manifest);
    let bytes = manifest::encode(&manifest);
    fs::write(to.path().join("manifest.json"), bytes).unwrap();
    to
}

/// Neither a check nor a restore takes it, and both name the manifest.
#[track_caller]
fn is_refused(backup: &TempDir) {
    let name = "manifest.json";
    let refused = restored(backup.path(), None).unwrap_err().to_string();
    assert!(refused.contains(name), "{refused}");
    match verify_backup(backup.path(), &mut |_, _| ()) {
        Err(refused) => assert!(refused.to_string().contains(name), "{refused}"),
        Ok(check) => {
            let found = &check.report.findings;
            let named = found
                .iter()
                .any(|found| found.corruption.file.ends_with(name));
            assert!(named, "{found:?}");
        }
    }
}

fn last(manifest: &mut BackupManifest) -> &mut BackupFile {
    manifest.files.last_mut().unwrap()
}

#[test]
fn given_a_manifest_with_a_number_at_its_limit_then_it_is_refused_by_name() {
    is_refused(&forged(|manifest| manifest.files[0].bytes = u64::MAX));
    is_refused(&forged(|manifest| {
        for file in &mut manifest.files {
            file.bytes = u64::MAX / 2;
        }
    }));
    is_refused(&forged(|manifest| manifest.head = Position::new(u64::MAX)));
    is_refused(&forged(|manifest| {
        manifest.head = Position::new(u64::MAX);
        let file = last(manifest);
        file.last = Position::new(u64::MAX);
        file.name = backup_name(file.first, file.last);
    }));
    is_refused(&forged(|manifest| manifest.epoch = u32::MAX));
    is_refused(&forged(|manifest| {
        manifest.epoch = u32::MAX;
        last(manifest).epoch = u32::MAX;
    }));
}

#[test]
fn given_a_manifest_of_another_end_than_its_copies_then_it_is_refused_by_name() {
    for epoch in [0, 7] {
        is_refused(&forged(|manifest| manifest.epoch = epoch));
        is_refused(&forged(|manifest| {
            manifest.epoch = epoch;
            last(manifest).epoch = epoch;
        }));
    }
    let other = "0".repeat(32);
    is_refused(&forged(|manifest| manifest.chain.clone_from(&other)));
    is_refused(&forged(|manifest| {
        manifest.chain.clone_from(&other);
        last(manifest).chain.clone_from(&other);
    }));
    is_refused(&forged(|manifest| manifest.log_id = Uuid::from_u128(9)));
    is_refused(&forged(|manifest| manifest.head = Position::new(5)));
}

#[test]
fn given_a_file_with_another_epoch_then_a_restore_that_ends_with_it_is_refused() {
    let backup = forged(|manifest| {
        for file in manifest.files.iter_mut().skip(1) {
            file.epoch = 3;
        }
        manifest.epoch = 3;
    });
    is_refused(&backup);
    let refused = restored(backup.path(), Some(3)).unwrap_err().to_string();
    assert!(refused.contains("manifest.json"), "{refused}");
}

#[test]
fn given_a_journal_whose_epochs_are_used_up_then_no_backup_of_it_is_begun_that_cannot_be_read() {
    let to = TempDir::new().unwrap();
    let log_id = Uuid::from_u128(1);
    let epoch = u32::MAX;
    let mut manifest = BackupManifest::new(LogIdentity { log_id, epoch }, 0);
    let (first, last) = (Position::new(1), Position::START);
    manifest.push(BackupFile {
        name: backup_name(first, last),
        bytes: 0,
        blake3: String::new(),
        first,
        last,
        epoch,
        chain: manifest.chain.clone(),
    });
    let refused = manifest::write(&RealDisk, to.path(), &manifest).unwrap_err();
    assert!(refused.to_string().contains("epoch"), "{refused}");
    assert_eq!(names(to.path()), Vec::<String>::new());
}
