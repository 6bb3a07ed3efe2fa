//! A backup lies elsewhere than what it is a copy of.

use super::*;

#[test]
fn given_the_journal_s_own_folder_by_whatever_name_then_no_backup_is_put_there() {
    let data = TempDir::new().unwrap();
    let journal = data.path().join("journal");
    fill(&open(&journal, 400), 3);
    let link = data.path().join("link");
    std::os::unix::fs::symlink(&journal, &link).unwrap();
    let before = contents(&journal);
    for to in [
        journal.clone(),
        journal.join("backup"),
        journal.join("a/b"),
        journal.join("../journal"),
        data.path().join("not-there/../journal"),
        link.clone(),
        link.join("backup"),
        data.path().join("journal.restoring"),
        data.path().join("journal.importing"),
    ] {
        let refused = back_up(&journal, &to).unwrap_err();
        assert!(
            matches!(refused, BackupError::InJournal { .. }),
            "{}: {refused}",
            to.display()
        );
    }
    assert_eq!(contents(&journal), before);
    assert_eq!(names(data.path()).len(), 2, "nothing was made");
    back_up(&journal, &data.path().join("journal-backup")).unwrap();
}

#[test]
fn given_a_backup_that_is_gone_on_with_then_it_says_how_many_files_it_did_not_read() {
    let folder = journal_with(6, 400);
    let to = TempDir::new().unwrap();
    let first = back_up(folder.path(), to.path()).unwrap();
    assert_eq!(first.files_kept(), 0);
    let again = back_up(folder.path(), to.path()).unwrap();
    assert_eq!(again.files_kept(), again.manifest.files.len() as u64);
}

#[test]
fn given_a_backup_and_a_place_in_one_another_by_whatever_name_then_nothing_is_restored() {
    let folder = journal_with(6, 400);
    let data = TempDir::new().unwrap();
    let to = data.path().join("backup");
    back_up(folder.path(), &to).unwrap();
    let link = data.path().join("link");
    std::os::unix::fs::symlink(&to, &link).unwrap();
    let in_staging = data.path().join("journal.restoring/backup");
    back_up(folder.path(), &in_staging).unwrap();
    let in_journal = data.path().join("other/backup");
    back_up(folder.path(), &in_journal).unwrap();
    let journal = data.path().join("journal");
    let before = contents(&to);
    for (from, journal) in [
        (&to, &to),
        (&to, &to.join("journal")),
        (&to, &to.join("sub/journal")),
        (&to, &link.join("journal")),
        (&link, &to.join("journal")),
        (&in_staging, &journal),
        (&in_journal, &data.path().join("other")),
    ] {
        let refused = restore(from, journal, None, 0, &mut |_, _| ()).unwrap_err();
        assert!(matches!(refused, RestoreError::Nested { .. }), "{refused}");
    }
    assert_eq!(contents(&to), before);
    assert_eq!(names(&in_staging), names(&to), "its files are there");
    fs::remove_dir_all(data.path().join("journal.restoring")).unwrap();
    restore(&to, &journal, None, 0, &mut |_, _| ()).unwrap();
}

#[test]
fn given_a_journal_in_use_then_it_is_told_that_there_is_one_before_anything_is_locked() {
    let folder = journal_with(3, 400);
    let (to, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    back_up(folder.path(), to.path()).unwrap();
    let journal = data.path().join("journal");
    assert!(check_restore_place(to.path(), &journal).is_ok());
    assert_eq!(names(data.path()).len(), 0, "nothing was made");
    let _lock = crate::DataLock::acquire(data.path(), "serve").unwrap();
    let _in_use = open(&journal, 400);
    let refused = check_restore_place(to.path(), &journal).unwrap_err();
    assert!(
        matches!(refused, RestoreError::Occupied { .. }),
        "{refused}"
    );
    let refused = crate::ImportPlace::beside(&journal).unwrap_err();
    assert!(refused.to_string().contains("there is a journal already"));
}
