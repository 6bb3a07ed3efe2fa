//! The README's sessions: every command as it stands there, and what it prints.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::scene::scratch;

/// Where the sessions stand, from heading to heading.
const SESSIONS: [(&str, &str); 2] = [
    ("## A session with curl", "## What it answers"),
    ("## Backup, restore, moving", "## What it is not"),
];

/// The ports that the sessions name.
const PORTS: [&str; 3] = ["8080", "8081", "9000"];

/// Much longer than the sessions take, most of which is what they wait by themselves.
const TIME: Duration = Duration::from_mins(3);

/// Between what two commands print.
const BETWEEN: char = '\u{1e}';

/// The times that the sessions' drones and clients give; others are the clock's.
const TOLD_TIMES: [&str; 2] = ["2026-11-20T", "2099-01-01T"];

/// A command, and what the README says that it prints.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    prints: String,
}

/// The text between two headings.
fn between<'a>(readme: &'a str, from: &str, to: &str) -> &'a str {
    let (_, behind) = readme.split_once(from).expect("the heading is there");
    let (section, _) = behind.split_once(to).expect("the next heading is there");
    section
}

/// Whether the shell waits for more lines before it can run these.
fn is_open(command: &str) -> bool {
    let is_unread = |document: &str| !document.lines().any(|line| line == "END");
    let document = command.split_once("<<END");
    if document.is_some_and(|(_, document)| is_unread(document)) {
        return true;
    }
    let checked = std::process::Command::new("bash")
        .args(["-n", "-c", command])
        .stderr(Stdio::null())
        .status();
    !checked.expect("bash is there").success()
}

/// The steps of a section: in the blocks that begin with a `$`, what follows one, with the lines
/// that end the command, and what stands below it.
fn steps(section: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let blocks = section.split("```\n").skip(1).step_by(2);
    for block in blocks.filter(|block| block.starts_with("$ ")) {
        let mut lines = block.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(command) = line.strip_prefix("$ ") {
                let mut command = command.to_owned();
                while is_open(&command) {
                    let more = lines.next();
                    let more = more.unwrap_or_else(|| panic!("this does not end: {command}"));
                    let _ = write!(command, "\n{more}");
                }
                steps.push(Step {
                    command,
                    prints: String::new(),
                });
            } else if let Some(step) = steps.last_mut() {
                let _ = writeln!(step.prints, "{line}");
            }
        }
    }
    steps
}

/// The same with ids, times of the clock and numbers of attempts told as what they are, which
/// differ from run to run.
fn without_chance(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, name) =
            if let Some(length) = shape(rest, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") {
                (length, "<uuid>")
            } else if let Some(length) = clock_time(rest) {
                (length, "<time>")
            } else if rest.starts_with("\"attempts\":") {
                let digits = rest.trim_start_matches("\"attempts\":");
                let left = digits.trim_start_matches(|digit: char| digit.is_ascii_digit());
                (rest.len() - left.len(), "<attempts>")
            } else {
                told.push(first);
                rest = rest.strip_prefix(first).unwrap_or_default();
                continue;
            };
        told.push_str(name);
        rest = rest.get(length..).unwrap_or_default();
    }
    told
}

/// How long what begins the text is, if that looks so: `x` is a hexadecimal digit, `9` a decimal one.
fn shape(text: &str, pattern: &str) -> Option<usize> {
    let begin = text.get(..pattern.len())?;
    let fits = begin
        .chars()
        .zip(pattern.chars())
        .all(|(is, wanted)| match wanted {
            'x' => is.is_ascii_hexdigit(),
            '9' => is.is_ascii_digit(),
            other => is == other,
        });
    fits.then_some(pattern.len())
}

/// How long the time is that begins the text, if one does, and it is none that a session gives.
fn clock_time(text: &str) -> Option<usize> {
    let length = shape(text, "9999-99-99T99:99:99.999999Z")?;
    let is_told = TOLD_TIMES.iter().any(|told| text.starts_with(told));
    (!is_told).then_some(length)
}

/// Whether what was printed is what was said, where `…` stands for anything.
fn agrees(printed: &str, said: &str) -> bool {
    let (printed, said) = (without_chance(printed), without_chance(said));
    let mut parts = said.trim().split('…');
    let begin = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.trim().strip_prefix(begin) else {
        return false;
    };
    let mut is_whole = true;
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let part = part.trim_matches('\n');
        is_whole = false;
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, behind)) = rest.split_once(part) else {
            return false;
        };
        rest = behind;
    }
    !is_whole || rest.is_empty()
}

/// A shell's script that runs the steps one after another, and tells between them.
fn script(steps: &[Step]) -> String {
    let mut script = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n".to_owned();
    for step in steps {
        // The stream of events has no end but the reader's.
        let command = step.command.replace("curl -sN", "curl -sN --max-time 3");
        let _ = writeln!(script, "printf '{BETWEEN}'\n{command}");
    }
    script
}

/// The text with ports of its own, so that nothing else is in the way.
fn with_free_ports(text: &str) -> String {
    // All are held until each has its own.
    let listeners = PORTS.map(|port| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        (port, listener)
    });
    listeners
        .iter()
        .fold(text.to_owned(), |text, (port, listener)| {
            let address = listener.local_addr().expect("it is bound");
            let free = address.port();
            // As an address has it, and as Python is told it.
            text.replace(&format!(":{port}"), &format!(":{free}"))
                .replace(&format!("\", {port})"), &format!("\", {free})"))
        })
}

async fn printed_by(script: &str, folder: &Path) -> String {
    let programs = folder.join("programs");
    std::fs::create_dir(&programs).expect("the folder is empty");
    let program = env!("CARGO_BIN_EXE_airpost-under-test");
    std::os::unix::fs::symlink(program, programs.join("airpost")).expect("it can be linked");
    let path = std::env::var("PATH").expect("there is a path");
    let running = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(TIME, running).await;
    let output = output.expect("the sessions end").expect("bash is there");
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(!printed.is_empty(), "nothing was printed: {said}");
    printed
}

#[tokio::test]
async fn whoever_types_what_the_readme_says_sees_what_it_shows() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).expect("it is there");
    let readme = with_free_ports(&readme);
    let sections = SESSIONS.map(|(from, to)| between(&readme, from, to));
    let steps: Vec<_> = sections.into_iter().flat_map(steps).collect();
    let folder = scratch();
    let printed = printed_by(&script(&steps), folder.path()).await;
    let printed: Vec<_> = printed.split(BETWEEN).skip(1).collect();
    assert_eq!(printed.len(), steps.len(), "not all was run: {printed:#?}");
    let mut wrong = String::new();
    for (step, printed) in steps.iter().zip(printed) {
        if !agrees(printed, &step.prints) {
            let _ = writeln!(
                wrong,
                "$ {}\n--- the README says\n{}--- it prints\n{printed}",
                step.command, step.prints
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn another_answer_than_the_one_shown_is_told_apart() {
    let said = "{\"id\":\"usr_01a1fed6-7560-7312-bddb-50a6bf506171\",…,\"sequence\":2,…}\n";
    let printed =
        "{\"id\":\"usr_11b2fed6-7560-7312-bddb-50a6bf506172\",\"a\":1,\"sequence\":2,\"b\":1}\n";
    assert!(agrees(printed, said));
    assert!(!agrees(
        &printed.replace("\"sequence\":2", "\"sequence\":3"),
        said
    ));
    assert!(!agrees(&printed.replace('}', "}\nmore"), said));
    assert!(!agrees("", said));
    assert!(!agrees(printed, ""));
    assert!(agrees("", ""));
}

#[test]
fn a_command_ends_where_the_shell_has_it_end() {
    let section = "words\n```\n$ one -d '{\n  2}' three\nprinted\n$ cat <<END\nx\nEND\n\n```\nmore\n```\n$x is not typed\n```\n";
    let [one, cat] = steps(section).try_into().expect("there are two");
    assert_eq!(one.command, "one -d '{\n  2}' three");
    assert_eq!(one.prints, "printed\n");
    assert_eq!(cat.command, "cat <<END\nx\nEND");
    assert_eq!(cat.prints, "\n");
}
