//! Views are built anew by the command, all or some, and whom it sends to the server.

use std::ffi::OsStr;
use std::path::Path;

use eventstore::DataLock;
use tests::Output;

use crate::scene::{airpost, list, new_user, scratch, seeded, text, verify};

async fn rebuild(data: &Path, views: &[&str]) -> Output {
    let named = views.iter().flat_map(|view| ["--view", view]);
    let named: Vec<_> = named.map(OsStr::new).collect();
    let all = ["rebuild".as_ref(), "--data".as_ref(), data.as_os_str()];
    airpost().run(all.into_iter().chain(named)).await
}

#[tokio::test]
async fn one_view_or_several_are_built_anew_while_nothing_runs() {
    let (folder, mut chance) = (scratch(), seeded().1);
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let user = new_user(&client, &mut chance).await;
    let before = client.read(&format!("/v1/users/{user}")).await;
    server.stop().await;
    for views in [&["user"][..], &["statistics", "delivery_history"]] {
        let built = rebuild(folder.path(), views).await;
        assert_eq!(built.code, Some(0), "{built:?}");
        for view in views {
            assert!(built.stdout.contains(view), "{}", built.stdout);
        }
        verify(folder.path()).await;
    }
    let server = airpost().serve(folder.path()).await;
    let after = server.client().read(&format!("/v1/users/{user}")).await;
    assert_eq!(before, after);
    server.stop().await;
}

#[tokio::test]
async fn a_view_that_there_is_not_is_refused_with_the_names_of_those_there_are() {
    let folder = scratch();
    let server = airpost().serve(folder.path()).await;
    let listed = server.client().read("/v1/projections").await;
    server.stop().await;
    let refused = rebuild(folder.path(), &["user", "users"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("'users'"), "{}", refused.stderr);
    for view in list(&listed, "/items") {
        let name = text(view, "/name");
        assert!(refused.stderr.contains(name), "{name}: {}", refused.stderr);
    }
    verify(folder.path()).await;
}

#[tokio::test]
async fn whoever_rebuilds_beside_a_running_server_is_told_how_to_ask_it() {
    let folder = scratch();
    let server = airpost().serve(folder.path()).await;
    let listed = server.client().read("/v1/projections").await;
    let all: Vec<&str> = list(&listed, "/items")
        .iter()
        .map(|view| text(view, "/name"))
        .collect();
    for (named, told) in [(&[][..], all), (&["fleet", "user"], vec!["user", "fleet"])] {
        let refused = rebuild(folder.path(), named).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        // A loop for the shell: its words, and what is done with each.
        let mut lines = refused.stderr.lines().map(str::trim);
        let command = lines.find_map(|line| line.strip_prefix("for view in "));
        let (words, done) = command.and_then(|it| it.split_once("; do ")).unwrap();
        assert_eq!(words.split(' ').collect::<Vec<_>>(), told);
        let path = done.strip_prefix("curl -X POST http://127.0.0.1:8080");
        let path = path.and_then(|path| path.strip_suffix("; done")).unwrap();
        for view in told {
            let path = path.replace("$view", view);
            let answer = server.client().post(&path).send().await.expect(202);
            let operation = answer.required_header("location").to_owned();
            let _known = server.client().read(&operation).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn whoever_comes_while_another_command_has_the_folder_is_told_which_and_does_half_of_nothing()
{
    let folder = scratch();
    airpost().serve(folder.path()).await.stop().await;
    let held = DataLock::acquire(folder.path(), "import").expect("nobody has it");
    let words = format!("held by process {} (import)", std::process::id());
    let checked = [
        "verify".as_ref(),
        "--data".as_ref(),
        folder.path().as_os_str(),
    ];
    let refused = [
        airpost().run(checked).await,
        rebuild(folder.path(), &[]).await,
    ];
    for refused in refused {
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(&words), "{}", refused.stderr);
        assert!(!refused.stderr.contains("curl"), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    drop(held);
    verify(folder.path()).await;
}
