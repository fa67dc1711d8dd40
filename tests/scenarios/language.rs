//! The languages that have an SDK, and how the scenario program of each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{example, programs};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

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
            Self::Python => programs::python(),
            Self::TypeScript => programs::works(PathBuf::from("node")),
        };
        interpreter.map(Command::new)
    }
}
