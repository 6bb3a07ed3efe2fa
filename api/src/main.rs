//! The program: `airpost --help` tells what it does.

use std::process::ExitCode;

/// The read models' engine inserts 2.5 times as fast with it as with the
/// system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    api::cli::main()
}
