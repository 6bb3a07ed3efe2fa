//! Tells the crate a fingerprint of its own sources, for snapshots of states.
//!
//! A folded state is only as good as the code that folded it. Any change of a
//! source file, or of the crates that its values are made with, gives another
//! fingerprint, and every snapshot of before is thrown away.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// The crates whose versions matter: they write snapshots, or make values.
const CRATES: [&str; 5] = ["chrono", "postcard", "serde", "serde_core", "uuid"];

/// Under which fingerprints are made.
const NAMESPACE: Uuid = Uuid::from_u128(0x3b5d_4e0f_7c86_5c1e_a1b1_9a5a_7f38_0c52);

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let mut sources = Vec::new();
    collect(&manifest.join("src"), &mut sources)?;
    sources.sort();
    let mut all = Vec::new();
    for source in sources {
        let text = fs::read(&source)?;
        let name = source.strip_prefix(&manifest).unwrap_or(&source);
        // Lengths keep what belongs to one file apart from the next.
        all.extend(format!("{}\0{}\0", name.display(), text.len()).into_bytes());
        all.extend(text);
    }
    let lock = manifest.join("../Cargo.lock");
    // A source archive without a lock file has only its sources.
    all.extend(versions(&fs::read_to_string(&lock).unwrap_or_default()).into_bytes());
    let fingerprint = Uuid::new_v5(&NAMESPACE, &all).simple();
    let mut out = io::stdout().lock();
    writeln!(out, "cargo::rerun-if-changed=src")?;
    writeln!(out, "cargo::rerun-if-changed={}", lock.display())?;
    writeln!(out, "cargo::rustc-env=AIRPOST_DOMAIN_CODE={fingerprint}")
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, sources)?;
        } else {
            sources.push(path);
        }
    }
    Ok(())
}

/// What the lock file says of the crates that matter.
fn versions(lock: &str) -> String {
    let packages = lock.split("[[package]]").filter(|package| {
        let name = package
            .lines()
            .find_map(|line| line.strip_prefix("name = "));
        name.is_some_and(|name| CRATES.contains(&name.trim_matches('"')))
    });
    packages.collect()
}
