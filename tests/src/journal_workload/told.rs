//! Lines on the standard output, each in one piece and at once.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::fd::AsFd;

/// The standard output, without a buffer.
///
/// It is written by `writev` and not by `write`, so that a tracer can count
/// the journal's own calls and leave these out.
#[derive(Debug)]
pub(crate) struct Told {
    output: File,
}

impl Told {
    /// The process's own standard output.
    pub(crate) fn stdout() -> Self {
        let output = std::io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .expect("a process may open one more file");
        Self {
            output: File::from(output),
        }
    }

    /// Says one line. Whoever listened may be gone: then there is nobody to
    /// work for, and the process ends.
    pub(crate) fn say(&self, line: &str) {
        let line = format!("{line}\n");
        let said = (&self.output).write_vectored(&[IoSlice::new(line.as_bytes())]);
        if said.is_err() {
            std::process::exit(1);
        }
    }
}
