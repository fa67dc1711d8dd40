//! The languages that have an SDK, and how the scenario program of each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::example;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");
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
        let script = match self {
            Self::Rust => return Ok(Command::new(example::scenario_program())),
            Self::Python => "workers/python/scenarios/worker.py",
            Self::TypeScript => "workers/typescript/scenarios/worker.mjs",
        };
        let mut command = self.interpreter()?;
        command.arg(Path::new(ROOT).join(script));
        Ok(command)
    }

    /// What runs programs in that language.
    pub fn interpreter(self) -> Result<Command, String> {
        let interpreter = match self {
            Self::Rust => return Err("programs in Rust are compiled".to_owned()),
            Self::Python => {
                let given = std::env::var_os(PYTHON).map(PathBuf::from);
                given.unwrap_or_else(|| example::target().join("python/bin/python"))
            }
            Self::TypeScript => PathBuf::from("node"),
        };
        let works = Command::new(&interpreter).arg("--version").output();
        if works.is_ok_and(|output| output.status.success()) {
            return Ok(Command::new(interpreter));
        }
        let (name, interpreter) = (self.name(), interpreter.display());
        Err(format!(
            "{interpreter} is missing for what is tested in {name}; this sets it up:\n\n  cargo xtask test --install\n"
        ))
    }
}
