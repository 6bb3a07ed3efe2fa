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
