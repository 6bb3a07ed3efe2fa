//! What each crate says it needs: the dependency direction, read from the `Cargo.toml` files.

use super::source::{CRATES, Violation};

/// One `key = value` line of a manifest and the table it stands in.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) table: String,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) line: usize,
}

/// A `Cargo.toml`: its path below the workspace's root, and its entries.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) path: String,
    pub(crate) entries: Vec<Entry>,
}

/// A crate that a manifest depends on.
#[derive(Debug)]
struct Dependency<'a> {
    name: &'a str,
    only_for_tests: bool,
    value: &'a str,
    line: usize,
}

impl Manifest {
    /// Reads the subset of TOML that manifests are written in here: tables, and one entry a line.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (mut table, mut entries) = (String::new(), Vec::new());
        for (line, row) in (1..).zip(text.lines().map(str::trim)) {
            if let Some(header) = row.strip_prefix('[') {
                header
                    .trim_matches(['[', ']'])
                    .trim()
                    .clone_into(&mut table);
            } else if let Some((key, value)) = row.split_once('=').filter(|_| !row.starts_with('#'))
            {
                let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
                entries.push(Entry {
                    table: table.clone(),
                    key,
                    value,
                    line,
                });
            }
        }
        Self {
            path: path.to_owned(),
            entries,
        }
    }

    /// The value of `key` in `table`.
    pub(crate) fn value(&self, table: &str, key: &str) -> Option<&str> {
        let mut entries = self.entries.iter();
        entries
            .find(|entry| entry.table == table && entry.key == key)
            .map(|entry| entry.value.as_str())
    }

    fn dependencies(&self) -> Vec<Dependency<'_>> {
        let dependency = |entry: &'_ Entry| -> Option<(usize, bool)> {
            let at = entry.table.find("dependencies")?;
            Some((at, entry.table.contains("dev-dependencies")))
        };
        self.entries
            .iter()
            .filter_map(|entry| {
                let (at, only_for_tests) = dependency(entry)?;
                // `[dependencies.name]` names it in the table, `name.workspace = true` in the key.
                let in_table = entry
                    .table
                    .split_at(at)
                    .1
                    .split_once('.')
                    .map(|(_, name)| name);
                let in_key = entry.key.split('.').next().unwrap_or_default();
                let name = in_table.unwrap_or(in_key).trim_matches('"');
                Some(Dependency {
                    name,
                    only_for_tests,
                    value: &entry.value,
                    line: entry.line,
                })
            })
            .collect()
    }
}

/// What one crate may depend on.
struct Allowance {
    crate_name: &'static str,
    may_use: Use,
    /// What its own tests may use besides.
    tests_may_use: &'static [&'static str],
}

enum Use {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

const ALLOWANCES: [Allowance; 5] = [
    Allowance {
        crate_name: "domain",
        may_use: Use::Only(&["serde", "postcard", "uuid", "chrono", "thiserror"]),
        tests_may_use: &["proptest"],
    },
    Allowance {
        crate_name: "eventstore",
        may_use: Use::Only(&[
            "serde",
            "postcard",
            "uuid",
            "chrono",
            "thiserror",
            "tokio",
            "tracing",
            "crc32fast",
            "blake3",
            "async-nats",
            // What async-nats hears is a stream of messages, which only this crate can read.
            "futures-util",
            // What the standard library lacks: how much room the disk has.
            "rustix",
            // The manifest of a backup: read by people and by other programs.
            "serde_json",
        ]),
        // The service's own allocator, so that what is measured is what users run.
        tests_may_use: &["proptest", "tempfile", "mimalloc"],
    },
    Allowance {
        crate_name: "projections",
        may_use: Use::Only(&[
            "domain",
            "eventstore",
            "sled",
            "serde",
            // Byte strings at once instead of byte by byte.
            "serde_bytes",
            // Every key is looked up several times while the log is folded.
            "foldhash",
            // The digest of a view: whatever is written goes through it.
            "xxhash-rust",
            "postcard",
            "thiserror",
            "tokio",
            "tracing",
        ]),
        tests_may_use: &["proptest", "tempfile", "uuid"],
    },
    Allowance {
        crate_name: "api",
        may_use: Use::AllBut(&["sled", "tests"]),
        tests_may_use: &[],
    },
    Allowance {
        crate_name: "tests",
        may_use: Use::AllBut(&["sled"]),
        tests_may_use: &[],
    },
];

/// Dependencies that point against `tests → api → projections → {domain, eventstore}`
/// or that the crate's place in the picture does not allow.
pub(crate) fn unwanted_dependencies(crate_name: &str, manifest: &Manifest) -> Vec<Violation> {
    let allowance = ALLOWANCES
        .iter()
        .find(|allowance| allowance.crate_name == crate_name);
    let allowance = allowance.unwrap_or_else(|| panic!("{crate_name} has no row in ALLOWANCES"));
    let allowed = |dependency: &Dependency<'_>| {
        let allowed = match allowance.may_use {
            Use::Only(names) => names.contains(&dependency.name),
            Use::AllBut(names) => !names.contains(&dependency.name),
        };
        allowed || (dependency.only_for_tests && allowance.tests_may_use.contains(&dependency.name))
    };
    let unwanted = manifest
        .dependencies()
        .into_iter()
        .filter(|dependency| !allowed(dependency));
    unwanted
        .map(|dependency| {
            let reason = format!("{crate_name} must not depend on {}", dependency.name);
            Violation::new(&manifest.path, dependency.line, reason)
        })
        .collect()
}

/// Dependencies whose version is not the workspace's, or that hide behind another name.
pub(crate) fn private_versions(manifest: &Manifest) -> Vec<Violation> {
    let mut violations = Vec::new();
    for dependency in manifest.dependencies() {
        let entry = manifest
            .entries
            .iter()
            .find(|entry| entry.line == dependency.line);
        let shared = dependency.value.contains("workspace = true")
            || entry.is_some_and(|entry| entry.key.ends_with(".workspace"))
            || entry.is_some_and(|entry| entry.key == "workspace" || entry.key == "features");
        if !shared {
            let reason = format!(
                "the version of {} belongs in [workspace.dependencies]",
                dependency.name
            );
            violations.push(Violation::new(&manifest.path, dependency.line, reason));
        }
        if dependency.value.contains("package =")
            || entry.is_some_and(|entry| entry.key == "package")
        {
            let reason = format!(
                "{} hides another crate's name from these rules",
                dependency.name
            );
            violations.push(Violation::new(&manifest.path, dependency.line, reason));
        }
    }
    violations
}

/// A member that does not take the workspace's lints has none.
pub(crate) fn missing_lints(manifest: &Manifest) -> Vec<Violation> {
    if manifest.value("lints", "workspace") == Some("true") {
        return Vec::new();
    }
    vec![Violation::new(
        &manifest.path,
        1,
        "every member needs `[lints] workspace = true`",
    )]
}

/// Settings of the workspace that the other rules rely on.
pub(crate) fn missing_settings(root: &Manifest, clippy: &Manifest) -> Vec<Violation> {
    let members = CRATES.map(|name| format!("\"{name}\"")).join(", ");
    let wanted = [
        (root, "workspace", "members", format!("[{members}]")),
        (root, "workspace", "default-members", "[\"api\"]".to_owned()),
        (
            root,
            "workspace.lints.rust",
            "unsafe_code",
            "\"forbid\"".to_owned(),
        ),
        (
            root,
            "workspace.lints.rust",
            "missing_docs",
            "\"deny\"".to_owned(),
        ),
        (
            root,
            "workspace.lints.clippy",
            "too_many_lines",
            "\"deny\"".to_owned(),
        ),
        (
            root,
            "workspace.lints.clippy",
            "unwrap_used",
            "\"deny\"".to_owned(),
        ),
        (
            root,
            "workspace.lints.clippy",
            "disallowed_methods",
            "\"deny\"".to_owned(),
        ),
        (
            root,
            "workspace.lints.clippy",
            "allow_attributes",
            "\"deny\"".to_owned(),
        ),
        (clippy, "", "too-many-lines-threshold", "70".to_owned()),
    ];
    let missing = wanted
        .into_iter()
        .filter(|(file, table, key, value)| file.value(table, key) != Some(value.as_str()));
    missing
        .map(|(file, table, key, value)| {
            Violation::new(
                &file.path,
                1,
                format!("[{table}] must say `{key} = {value}`"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        Manifest::new("x/Cargo.toml", text)
    }

    fn lines(violations: &[Violation]) -> Vec<usize> {
        violations.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_planted_dependency_is_flagged_however_it_is_spelled() {
        let planted = manifest(
            "[dependencies]\nserde.workspace = true\ntokio.workspace = true\nsled = \"0.34\"\n\n\
             [dependencies.axum]\nworkspace = true\n\n[target.'cfg(unix)'.dependencies]\neventstore = { path = \"x\" }\n",
        );
        assert_eq!(
            lines(&unwanted_dependencies("domain", &planted)),
            [3, 4, 7, 10]
        );
    }

    #[test]
    fn the_two_lowest_crates_do_not_know_each_other() {
        let store = manifest("[dependencies]\ndomain.workspace = true\n");
        let domain = manifest("[dev-dependencies]\neventstore.workspace = true\n");
        assert_eq!(lines(&unwanted_dependencies("eventstore", &store)), [2]);
        assert_eq!(lines(&unwanted_dependencies("domain", &domain)), [2]);
    }

    #[test]
    fn a_dependency_against_the_direction_is_flagged() {
        for (crate_name, upwards) in [("projections", "api"), ("api", "tests"), ("api", "sled")] {
            let planted = manifest(&format!("[dependencies]\n{upwards}.workspace = true\n"));
            assert_eq!(
                lines(&unwanted_dependencies(crate_name, &planted)),
                [2],
                "{crate_name} → {upwards}"
            );
        }
    }

    #[test]
    fn what_only_tests_may_use_is_flagged_outside_them() {
        let fine = manifest("[dev-dependencies]\nproptest.workspace = true\n");
        let planted = manifest("[dependencies]\nproptest.workspace = true\n");
        assert_eq!(lines(&unwanted_dependencies("domain", &fine)), [0; 0]);
        assert_eq!(lines(&unwanted_dependencies("domain", &planted)), [2]);
    }

    #[test]
    fn a_version_or_a_name_of_its_own_is_flagged() {
        let planted = manifest(
            "[dependencies]\nserde = \"1\"\nuuid.workspace = true\ntokio = { workspace = true, features = [\"rt\"] }\n\
             kv = { workspace = true, package = \"sled\" }\n",
        );
        assert_eq!(lines(&private_versions(&planted)), [2, 5]);
    }

    #[test]
    fn a_member_without_the_lints_is_flagged() {
        assert_eq!(
            missing_lints(&manifest("[package]\nname = \"x\"\n")).len(),
            1
        );
        assert_eq!(
            missing_lints(&manifest("[lints]\nworkspace = true\n")).len(),
            0
        );
    }

    #[test]
    fn a_loosened_setting_is_flagged() {
        let root = manifest("[workspace.lints.rust]\nunsafe_code = \"warn\"\n");
        let clippy = manifest("too-many-lines-threshold = 700\n");
        let reasons: Vec<_> = missing_settings(&root, &clippy)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            reasons.iter().any(|reason| reason.contains("unsafe_code")),
            "{reasons:?}"
        );
        assert!(
            reasons
                .iter()
                .any(|reason| reason.contains("too-many-lines-threshold = 70")),
            "{reasons:?}"
        );
    }
}
