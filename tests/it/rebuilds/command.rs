//! Views are built anew by the command, all or some, and whom it sends to the server.

use std::ffi::OsStr;
use std::path::Path;

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
    for (named, told) in [
        (&[][..], &["delivery_status"][..]),
        (&["fleet", "user"], &["user", "fleet"]),
    ] {
        let refused = rebuild(folder.path(), named).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let lines = refused.stderr.lines().map(str::trim);
        let paths =
            lines.filter_map(|line| line.strip_prefix("curl -X POST http://127.0.0.1:8080"));
        let paths: Vec<_> = paths.collect();
        let expected = told
            .iter()
            .map(|view| format!("/v1/projections/{view}/rebuild"));
        assert_eq!(paths, expected.collect::<Vec<_>>(), "{}", refused.stderr);
        for path in paths {
            let answer = server.client().post(path).send().await.expect(202);
            let operation = answer.required_header("location").to_owned();
            let _known = server.client().read(&operation).await;
        }
    }
    server.stop().await;
}
