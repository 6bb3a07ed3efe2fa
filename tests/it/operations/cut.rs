//! A log that is brought back only up to a position.

use std::ffi::OsStr;

use super::{back_up, chance, ended, history, run, scratch};

#[tokio::test]
async fn a_restore_that_ends_before_the_position_that_was_wanted_says_which_commit_that_lies_in() {
    let (folder, _) = history(&mut chance()).await;
    let backup = scratch();
    let backup = backup.path().join("backup");
    ended(back_up(folder.path(), &backup).await, 0);
    let (mut whole, mut cut) = (0, 0);
    for wanted in 1..=8_u64 {
        let into = scratch();
        let data = into.path().join("data");
        let position = wanted.to_string();
        let to = [&"restore", &"--from", &backup, &"--data", &data] as [&dyn AsRef<OsStr>; 5];
        let said = run(&[&to[..], &[&"--to-position", &position]].concat()).await;
        let said = ended(said, 0).stdout;
        let (_, head) = said
            .split_once("up to position ")
            .expect("it says where it ends");
        let (head, _) = head.split_once(',').expect("a number, then how fast");
        let head: u64 = head.parse().expect("it ends at a number");
        let within = format!(
            "restored: position {wanted} lies within the commit that begins at {}",
            head + 1
        );
        assert_eq!(said.contains(&within), head < wanted, "{said}");
        assert_eq!(said.contains("lies within"), head < wanted, "{said}");
        if head == wanted { whole += 1 } else { cut += 1 }
    }
    assert!(whole > 0 && cut > 0, "{whole} and {cut}");
}
