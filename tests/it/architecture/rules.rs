//! The house rules that can be read off one source file.

use super::source::{Source, Violation, lines_with};

/// The longest file there may be; 400 lines are the norm.
pub(crate) const FILE_LINES_MAX: usize = 600;

/// The longest `main.rs` of the service: it starts the command line and no more.
pub(crate) const MAIN_LINES_MAX: usize = 40;

/// A foreign name and the only places that may say it.
/// A place is a path, or the beginning of paths where it ends with `*`.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) name: &'static str,
    pub(crate) places: &'static [&'static str],
    pub(crate) reason: &'static str,
}

/// The engine of the read models.
pub(crate) const SLED: Home = Home {
    name: "sled",
    places: &[
        "projections/src/view_store.rs",
        "projections/src/view_store/*",
    ],
    reason: "sled is named only behind the view store's seam",
};

/// The broker's client.
pub(crate) const NATS: Home = Home {
    name: "async_nats",
    places: &[
        "eventstore/src/jetstream*",
        "api/src/nats*",
        // The publisher that the store is measured against.
        "eventstore/benches/figures/jetstream.rs",
        "tests/src/nats_client.rs",
    ],
    reason: "NATS is named only in the event store's jetstream, in the service's NATS edge, \
             in the tests' client and in what the store is measured against",
};

/// The web framework.
pub(crate) const AXUM: Home = Home {
    name: "axum",
    // The last is the handler that the service's are measured against.
    places: &["api/src/http*", "tests/benches/serve/bare.rs"],
    reason: "axum is named only in the HTTP edge",
};

const ENVIRONMENT: &[&str] = &["api/src/environment.rs"];

/// Who reads the clock that only measures: the environment, and benches, whose purpose it is.
const STOPWATCHES: &[&str] = &[
    "api/src/environment.rs",
    "eventstore/benches/*",
    "tests/benches/*",
];

/// The sources of time and of new ids.
pub(crate) const CLOCKS_AND_IDS: [Home; 5] = [
    Home {
        name: "SystemTime::now",
        places: ENVIRONMENT,
        reason: "the wall clock is read only in the environment",
    },
    Home {
        name: "Instant::now",
        places: STOPWATCHES,
        reason: "the clock is read only in the environment, and by benches",
    },
    Home {
        name: "Utc::now",
        places: ENVIRONMENT,
        reason: "the wall clock is read only in the environment",
    },
    Home {
        name: "Uuid::new_v4",
        places: ENVIRONMENT,
        reason: "new ids are made only in the environment",
    },
    Home {
        name: "Uuid::now_v7",
        places: ENVIRONMENT,
        reason: "new ids are made only in the environment",
    },
];

/// The mentions of a foreign name outside its home.
pub(crate) fn strangers(source: &Source, home: &Home) -> Vec<Violation> {
    if home.places.iter().any(|place| is_at(&source.path, place)) {
        return Vec::new();
    }
    flag(source, &source.lines_with(home.name), home.reason)
}

fn is_at(path: &str, place: &str) -> bool {
    place
        .strip_suffix('*')
        .map_or(path == place, |beginning| path.starts_with(beginning))
}

fn flag(source: &Source, lines: &[usize], reason: &str) -> Vec<Violation> {
    lines
        .iter()
        .map(|line| Violation::new(&source.path, *line, reason))
        .collect()
}

/// Whatever the domain must never contain: waiting, I/O, clocks, chance, logging.
pub(crate) fn impurities(source: &Source) -> Vec<Violation> {
    const WORDS: [&str; 8] = [
        "async",
        "await",
        "tokio",
        "tracing",
        "log",
        "rand",
        "SystemTime",
        "Instant",
    ];
    const MODULES: [&str; 7] = ["fs", "io", "net", "env", "process", "thread", "os"];
    const PRINTS: [&str; 5] = ["println!", "print!", "eprintln!", "eprint!", "dbg!"];
    if !source.path.starts_with("domain/src/") {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for word in WORDS {
        // Only as a crate's or type's name, so that a variable may be called `log`.
        let pattern = if ["tracing", "log", "rand"].contains(&word) {
            format!("{word}::")
        } else {
            word.to_owned()
        };
        violations.extend(flag(
            source,
            &source.lines_with(&pattern),
            &format!("the domain is pure: no `{word}`"),
        ));
    }
    // A test may hold what the domain says against a file that tells it to people.
    let is_test = source.path.contains("/tests/") || source.path.ends_with("/tests.rs");
    let of_tests = |module: &&str| is_test && ["fs", "env"].contains(module);
    for module in MODULES.iter().filter(|module| !of_tests(module)) {
        let lines = source.lines_naming("std", module);
        violations.extend(flag(
            source,
            &lines,
            &format!("the domain is pure: no `std::{module}`"),
        ));
    }
    let time = source.lines_naming("std", "time");
    violations.extend(flag(
        source,
        &time,
        "the domain is pure: no `std::time`, times are its own values",
    ));
    for print in PRINTS {
        violations.extend(flag(
            source,
            &source.lines_with(print),
            "the domain is pure: it prints nothing",
        ));
    }
    violations
}

/// Floats in what is stored: they neither compare nor round-trip as facts must.
pub(crate) fn stored_floats(source: &Source) -> Vec<Violation> {
    let Some(path) = source.path.strip_prefix("domain/src/") else {
        return Vec::new();
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let stored = name.starts_with("payload")
        || name == "codec.rs"
        || name == "event.rs"
        || path
            .split('/')
            .any(|folder| folder == "codec" || folder == "payload");
    if !stored {
        return Vec::new();
    }
    let reason = "stored values are integers with their unit in the name";
    let lines = ["f32", "f64"]
        .map(|float| source.lines_with(float))
        .concat();
    flag(source, &lines, reason)
}

/// A file that does not begin by saying what it is for.
pub(crate) fn missing_purpose(source: &Source) -> Vec<Violation> {
    let says = source
        .text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//! "));
    if says.is_some_and(|purpose| !purpose.trim().is_empty()) {
        return Vec::new();
    }
    flag(
        source,
        &[1],
        "a file begins with `//! ` and says what it is for",
    )
}

/// A file longer than anyone reads.
pub(crate) fn too_long(source: &Source) -> Vec<Violation> {
    let max = if source.path == "api/src/main.rs" {
        MAIN_LINES_MAX
    } else {
        FILE_LINES_MAX
    };
    let lines = source.text.lines().count();
    if lines <= max {
        return Vec::new();
    }
    flag(
        source,
        &[max + 1],
        &format!("{lines} lines, {max} are the most: split it by what it speaks of"),
    )
}

/// A name that says nothing of what is inside.
pub(crate) fn banned_name(source: &Source) -> Vec<Violation> {
    const BEGINNINGS: [&str; 3] = ["util", "common", "helper"];
    let says_nothing = |part: &str| {
        BEGINNINGS
            .iter()
            .any(|beginning| part.starts_with(beginning))
    };
    if source.path.ends_with("/mod.rs") {
        return flag(
            source,
            &[1],
            "no mod.rs: the module's front page is the file named like its folder",
        );
    }
    if source.path.split('/').any(says_nothing) {
        return flag(
            source,
            &[1],
            "util, common and helpers name nothing: call it after what it does",
        );
    }
    Vec::new()
}

/// Markers of work left undone, and warnings silenced without a reason.
pub(crate) fn unfinished(source: &Source) -> Vec<Violation> {
    const PATTERNS: [(&str, &str); 6] = [
        ("#[ignore", "an ignored test proves nothing"),
        ("todo!", "nothing unfinished lands"),
        ("unimplemented!", "nothing unfinished lands"),
        (
            "#[allow(",
            "use #[expect(…, reason = …)]: it goes when its cause goes",
        ),
        (
            "#![allow(",
            "use #![expect(…, reason = …)]: it goes when its cause goes",
        ),
        (", allow(", "use expect(…, reason = …) in cfg_attr too"),
    ];
    let mut violations = Vec::new();
    for (pattern, reason) in PATTERNS {
        violations.extend(flag(source, &source.lines_with(pattern), reason));
    }
    violations.extend(flag(
        source,
        &ignored_examples(&source.text),
        "an example that is not compiled proves nothing: make it compile, or say it in words",
    ));
    violations
}

/// The lines on which an example in the documentation says that it is not to be compiled.
fn ignored_examples(text: &str) -> Vec<usize> {
    let says_so = |line: &str| {
        let comment = line.trim_start();
        ["///", "//!"].iter().any(|mark| {
            comment
                .strip_prefix(mark)
                .and_then(|rest| rest.trim_start().strip_prefix("```"))
                .is_some_and(|kinds| {
                    kinds
                        .split(',')
                        .any(|kind| kind.trim().starts_with("ignore"))
                })
        })
    };
    (text.lines().enumerate())
        .filter(|(_, line)| says_so(line))
        .map(|(before, _)| before + 1)
        .collect()
}

/// Tests that wait for time to pass instead of for what they need.
pub(crate) fn sleeping_tests(source: &Source) -> Vec<Violation> {
    flag(
        source,
        &lines_with(source.test_tokens(), "sleep("),
        "a test waits for the condition, not for time to pass",
    )
}

/// Appends of the service beside `transact`, the one loop that loads, decides, appends and retries.
pub(crate) fn stray_appends(source: &Source) -> Vec<Violation> {
    let writes_events =
        source.path.starts_with("api/src/") && !source.lines_with("eventstore").is_empty();
    if !writes_events
        || source.path == "api/src/application/transact.rs"
        // What was decided elsewhere is appended as it was recorded there.
        || source.path == "api/src/transfer/import.rs"
        || source.path.ends_with("tests.rs")
        || source.path.contains("/tests/")
    {
        return Vec::new();
    }
    flag(
        source,
        &source.lines_with(".append("),
        "nothing outside transact appends to the log",
    )
}

/// Lines that silence the compiler about unsafe code, or contain it.
pub(crate) fn unsafe_code(source: &Source) -> Vec<Violation> {
    flag(
        source,
        &source.lines_with("unsafe"),
        "no unsafe code of our own",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: impl Fn(&Source) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
        rule(&Source::new(path, text))
            .iter()
            .map(|violation| violation.line)
            .collect()
    }

    #[test]
    fn a_planted_foreign_name_is_flagged_outside_its_home_only() {
        let planted =
            "//! Speaks of sled.\nuse sled::Db;\nuse axum::Router;\nuse async_nats::Client;\n";
        assert_eq!(
            found(|s| strangers(s, &SLED), "api/src/http.rs", planted),
            [2]
        );
        assert_eq!(
            found(|s| strangers(s, &AXUM), "api/src/service.rs", planted),
            [3]
        );
        assert_eq!(
            found(
                |s| strangers(s, &NATS),
                "eventstore/src/journal.rs",
                planted
            ),
            [4]
        );
        assert_eq!(
            found(
                |s| strangers(s, &SLED),
                "projections/src/view_store.rs",
                planted
            ),
            [0; 0]
        );
        assert_eq!(
            found(
                |s| strangers(s, &SLED),
                "projections/src/view_store/tree.rs",
                planted
            ),
            [0; 0]
        );
        assert_eq!(
            found(
                |s| strangers(s, &SLED),
                "projections/src/view_store_two.rs",
                planted
            ),
            [2]
        );
        assert_eq!(
            found(
                |s| strangers(s, &AXUM),
                "api/src/http/deliveries.rs",
                planted
            ),
            [0; 0]
        );
        assert_eq!(
            found(
                |s| strangers(s, &NATS),
                "eventstore/src/jetstream/publisher.rs",
                planted
            ),
            [0; 0]
        );
    }

    #[test]
    fn a_planted_clock_or_id_is_flagged_outside_the_environment() {
        let planted = "let a = std::time::SystemTime::now();\nlet b = Instant::now();\nlet c = chrono::Utc::now();\n\
                       let d = Uuid::new_v4();\nlet e = uuid::Uuid::now_v7();\n";
        let all = |s: &Source| {
            CLOCKS_AND_IDS
                .iter()
                .flat_map(|home| strangers(s, home))
                .collect()
        };
        assert_eq!(found(all, "api/src/http.rs", planted), [1, 2, 3, 4, 5]);
        assert_eq!(found(all, "api/src/environment.rs", planted), [0; 0]);
        assert_eq!(
            found(all, "eventstore/benches/append.rs", planted),
            [1, 3, 4, 5]
        );
    }

    #[test]
    fn a_planted_impurity_is_flagged_in_the_domain_only() {
        let planted = "use std::{\n    fmt,\n    fs,\n};\nasync fn a() {}\nfn b() { println!(\"\") }\nuse std::time::Duration;\n\
                       fn c() { tracing::info!(\"\") }\nlet log = 1;\n";
        assert_eq!(
            found(impurities, "domain/src/geo.rs", planted),
            [5, 8, 3, 7, 6]
        );
        assert_eq!(found(impurities, "api/src/geo.rs", planted), [0; 0]);
    }

    #[test]
    fn a_planted_float_is_flagged_where_values_are_stored() {
        let planted = "struct Released { height_m: f64 }";
        for path in [
            "delivery/event.rs",
            "codec.rs",
            "codec/user.rs",
            "delivery/payload.rs",
            "payload_v1.rs",
        ] {
            assert_eq!(
                found(stored_floats, &format!("domain/src/{path}"), planted),
                [1],
                "{path}"
            );
        }
        assert_eq!(found(stored_floats, "domain/src/geo.rs", planted), [0; 0]);
    }

    #[test]
    fn a_file_without_a_purpose_is_flagged() {
        assert_eq!(
            found(missing_purpose, "x.rs", "//! Says what it is for.\n"),
            [0; 0]
        );
        for text in [
            "",
            "use std::fmt;\n//! Late.\n",
            "// Not a crate or module doc.\n",
            "//! \n",
        ] {
            assert_eq!(found(missing_purpose, "x.rs", text), [1], "{text:?}");
        }
    }

    #[test]
    fn a_file_beyond_the_limit_is_flagged() {
        assert_eq!(
            found(too_long, "domain/src/x.rs", &"\n".repeat(FILE_LINES_MAX)),
            [0; 0]
        );
        assert_eq!(
            found(
                too_long,
                "domain/src/x.rs",
                &"\n".repeat(FILE_LINES_MAX + 1)
            ),
            [FILE_LINES_MAX + 1]
        );
        assert_eq!(
            found(
                too_long,
                "api/src/main.rs",
                &"\n".repeat(MAIN_LINES_MAX + 1)
            ),
            [MAIN_LINES_MAX + 1]
        );
    }

    #[test]
    fn a_name_that_says_nothing_is_flagged() {
        for path in [
            "api/src/http/mod.rs",
            "api/src/utils.rs",
            "domain/src/common.rs",
            "tests/it/helpers/x.rs",
        ] {
            assert_eq!(found(banned_name, path, ""), [1], "{path}");
        }
        for path in ["api/src/http.rs", "domain/src/model.rs"] {
            assert_eq!(found(banned_name, path, ""), [0; 0], "{path}");
        }
    }

    #[test]
    fn unfinished_work_and_silenced_warnings_are_flagged() {
        let planted = "#[ignore]\nfn a() { todo!() }\nfn b() { unimplemented!() }\n#[allow(dead_code)]\nfn c() {}\n\
                       #![allow(x)]\n#[cfg_attr(test, allow(x))]\n#[expect(x, reason = \"y\")]\n#[ignore = \"why\"]\
                       \n/// ```ignore\n/// ```\n    //! ```rust, ignore-x86\n/// ```text\n// ```ignore\n";
        assert_eq!(
            found(unfinished, "x.rs", planted),
            [1, 9, 2, 3, 4, 6, 7, 10, 12]
        );
    }

    #[test]
    fn a_sleeping_test_is_flagged_but_not_a_timer_of_the_service() {
        let planted =
            "fn a() { tokio::time::sleep(s) }\n#[cfg(test)]\nmod tests { fn b() { sleep (s) } }\n";
        assert_eq!(found(sleeping_tests, "api/src/x.rs", planted), [3]);
        assert_eq!(found(sleeping_tests, "tests/it/x.rs", planted), [1, 3]);
    }

    #[test]
    fn a_planted_append_is_flagged_outside_transact() {
        let planted =
            "use eventstore::EventStore;\nasync fn a() { self.store.append(commit).await }";
        assert_eq!(found(stray_appends, "api/src/http/users.rs", planted), [2]);
        assert_eq!(
            found(stray_appends, "api/src/application/transact.rs", planted),
            [0; 0]
        );
        assert_eq!(
            found(
                stray_appends,
                "api/src/http/x.rs",
                "headers.append(name, value);"
            ),
            [0; 0]
        );
    }

    #[test]
    fn planted_unsafe_code_is_flagged() {
        assert_eq!(
            found(
                unsafe_code,
                "domain/src/x.rs",
                "// unsafe\nunsafe { x() }\n#![forbid(unsafe_code)]"
            ),
            [2]
        );
    }
}
