//! The program `perfsec`.

use std::process::ExitCode;

fn main() -> ExitCode {
    perfsec::cli::main()
}
