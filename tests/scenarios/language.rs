//! The languages that have an SDK, and how the scenario program of each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::example;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The interpreter into which the built wheel is installed, in place of the one that `cargo xtask test` makes.
const PYTHON: &str = "LONGRUN_PYTHON";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Rust,
    Python,
    TypeScript,
}

impl Language {
    pub const ALL: [Self; 3] = [Self::Rust, Self::Python, Self::TypeScript];

    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::TypeScript => "typescript",
        }
    }

    /// The scenario program, to be started; an error where the machine lacks what it needs.
    pub fn program(self) -> Result<Command, String> {
        match self {
            Self::Rust => Ok(Command::new(example::scenario_program())),
            Self::Python => {
                let python = std::env::var_os(PYTHON).map(PathBuf::from);
                let python = python.unwrap_or_else(|| example::target().join("python/bin/python"));
                self.script(&python, "workers/python/scenarios/worker.py")
            }
            Self::TypeScript => self.script(Path::new("node"), "workers/typescript/scenarios/worker.mjs"),
        }
    }

    fn script(self, interpreter: &Path, script: &str) -> Result<Command, String> {
        let works = Command::new(interpreter).arg("--version").output();
        if !works.is_ok_and(|output| output.status.success()) {
            let (name, interpreter) = (self.name(), interpreter.display());
            return Err(format!(
                "{interpreter} is missing for the scenarios in {name}; this sets it up:\n\n  cargo xtask test --install\n"
            ));
        }
        let mut command = Command::new(interpreter);
        command.arg(Path::new(ROOT).join(script));
        Ok(command)
    }
}
