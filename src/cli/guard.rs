//! `longrun guard`, which only servers and workers call.

use std::ffi::OsString;
use std::process::ExitCode;

use longrun_sdk::handlers::program;

/// Stand between a worker and a program that it has started
#[derive(clap::Args)]
pub(super) struct Guard {
    /// What the worker says, the program, and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

impl Guard {
    pub(super) fn run(&self) -> ExitCode {
        program::guard(&self.arguments)
    }
}
