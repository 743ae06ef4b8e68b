//! The `moorline-operator` command. Everything is in the library, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    moorline_operator::cli::main()
}
