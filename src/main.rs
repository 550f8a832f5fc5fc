//! The `purser` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    purser::cli::main()
}
