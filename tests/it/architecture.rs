//! The architecture, enforced: each house rule that can be read off the sources is a test.
//!
//! Nothing is built and nothing is run here. A rule is a function from one
//! file to its violations; beside each stands a test that plants a violation
//! and sees it flagged.

mod source;
mod manifest;
mod rules;
mod routes;

use std::fs;

use manifest::{
    Manifest, missing_lints, missing_settings, private_versions, unwanted_dependencies,
};
use rules::{AXUM, CLOCKS_AND_IDS, Home, NATS, SLED};
use source::{CRATES, Source, Violation, read, root, workspace};

#[track_caller]
fn assert_none(violations: &[Violation]) {
    let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[track_caller]
fn assert_everywhere(rule: impl Fn(&Source) -> Vec<Violation>) {
    assert_none(&workspace().iter().flat_map(rule).collect::<Vec<_>>());
}

#[track_caller]
fn assert_at_home(home: &Home) {
    assert_everywhere(|source| rules::strangers(source, home));
}

fn manifest_of(crate_name: &str) -> Manifest {
    let path = format!("{crate_name}/Cargo.toml");
    Manifest::new(&path, &read(&root().join(&path)))
}

#[test]
fn dependencies_point_from_the_tests_down_to_the_domain() {
    let unwanted = |name: &&str| unwanted_dependencies(name, &manifest_of(name));
    assert_none(&CRATES.iter().flat_map(unwanted).collect::<Vec<_>>());
}

#[test]
fn every_version_is_the_workspaces() {
    let private = |name: &&str| private_versions(&manifest_of(name));
    assert_none(&CRATES.iter().flat_map(private).collect::<Vec<_>>());
}

#[test]
fn every_member_takes_the_workspaces_lints() {
    assert_none(
        &CRATES
            .iter()
            .flat_map(|name| missing_lints(&manifest_of(name)))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn the_compiler_and_clippy_enforce_what_these_tests_leave_to_them() {
    let file = |path: &str| Manifest::new(path, &read(&root().join(path)));
    assert_none(&missing_settings(
        &file("Cargo.toml"),
        &file(".clippy.toml"),
    ));
}

#[test]
fn sled_stays_behind_the_view_stores_seam() {
    assert_at_home(&SLED);
}

#[test]
fn nats_stays_in_the_jetstream_store_and_in_its_door_of_the_ingest() {
    assert_at_home(&NATS);
}

#[test]
fn axum_stays_in_the_http_edge() {
    assert_at_home(&AXUM);
}

#[test]
fn clocks_are_read_and_ids_are_made_in_the_environment_only() {
    assert_everywhere(|source| {
        CLOCKS_AND_IDS
            .iter()
            .flat_map(|home| rules::strangers(source, home))
            .collect()
    });
}

#[test]
fn the_domain_is_pure() {
    assert_everywhere(rules::impurities);
}

#[test]
fn what_the_domain_stores_contains_no_floats() {
    assert_everywhere(rules::stored_floats);
}

#[test]
fn every_file_begins_by_saying_what_it_is_for() {
    assert_everywhere(rules::missing_purpose);
}

#[test]
fn no_file_is_longer_than_the_limit() {
    assert_everywhere(rules::too_long);
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    assert_everywhere(rules::banned_name);
}

#[test]
fn nothing_is_left_unfinished_or_silenced() {
    assert_everywhere(rules::unfinished);
}

#[test]
fn no_test_waits_for_time_to_pass() {
    assert_everywhere(rules::sleeping_tests);
}

#[test]
fn nothing_outside_transact_appends_to_the_log() {
    assert_everywhere(rules::stray_appends);
}

#[test]
fn all_that_can_be_asked_is_listed_in_the_readme() {
    let readme = read(&root().join("README.md"));
    let list = routes::list_in(&readme);
    assert_everywhere(|source| routes::unnamed(source, list));
}

#[test]
fn there_is_no_unsafe_code() {
    assert_everywhere(rules::unsafe_code);
}

#[test]
fn the_top_level_holds_the_five_crates_and_nothing_else() {
    let ignored = read(&root().join(".gitignore"));
    let ignored: Vec<_> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let strangers: Vec<_> = fs::read_dir(root())
        .expect("the checkout can be listed")
        .map(|entry| {
            entry
                .expect("the checkout can be listed")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.starts_with('.') && !ignored.contains(&name.as_str()))
        .filter(|name| !CRATES.contains(&name.as_str()))
        .filter(|name| !["Cargo.toml", "Cargo.lock", "README.md"].contains(&name.as_str()))
        .map(|name| {
            Violation::new(
                &name,
                1,
                "the top level is fixed: this belongs into one of the crates",
            )
        })
        .collect();
    assert_none(&strangers);
}

#[test]
fn the_workspace_and_every_crate_have_a_readme() {
    let missing: Vec<_> = [".", "domain", "eventstore", "projections", "api", "tests"]
        .into_iter()
        .filter(|folder| !root().join(folder).join("README.md").is_file())
        .map(|folder| Violation::new(&format!("{folder}/README.md"), 1, "it is missing"))
        .collect();
    assert_none(&missing);
}
