//! Programs: scripts that a test writes for operations, and the interpreter of those in Python.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Server, example};

/// An interpreter, in place of the one that `cargo xtask test` makes, with what that is made of.
const PYTHON: &str = "LONGRUN_PYTHON";

/// The interpreter into which the built wheel is installed, and what else the tests need of Python's; an error where there
/// is none.
pub fn python() -> Result<PathBuf, String> {
    let given = std::env::var_os(PYTHON).map(PathBuf::from);
    works(given.unwrap_or_else(|| example::target().join("python/bin/python")))
}

/// An interpreter that can be started; an error where it cannot.
pub fn works(interpreter: PathBuf) -> Result<PathBuf, String> {
    let output = Command::new(&interpreter).arg("--version").output();
    if output.is_ok_and(|output| output.status.success()) {
        return Ok(interpreter);
    }
    let interpreter = interpreter.display();
    Err(format!(
        "{interpreter} is missing for what is tested with it; this sets it up:\n\n  cargo xtask test --install\n"
    ))
}

/// A directory of scripts, and a place for what they leave.
pub struct Programs {
    directory: tempfile::TempDir,
    names: Vec<String>,
}

impl Programs {
    /// Scripts by their names; in each of them `$NOTES` is a directory that stays.
    pub fn new(scripts: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let programs =
            Self { directory, names: scripts.iter().map(|(name, _)| (*name).to_owned()).collect() };
        for (name, body) in scripts {
            let text = format!("#!/bin/sh\nNOTES={}\n{body}\n", programs.directory.path().display());
            let path = programs.path(name);
            fs::write(&path, text).expect("a script can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be made executable");
        }
        programs
    }

    /// Where a script is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.sh"))
    }

    /// A server that carries out operations of their names with them.
    pub fn serve(&self, arguments: &[&str]) -> Server {
        let flags: Vec<String> = self.names.iter().map(|name| self.flag(name)).collect();
        let all: Vec<&str> = flags.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        Server::start(&all)
    }

    /// The flag by which a server knows one of them.
    pub fn flag(&self, name: &str) -> String {
        format!("--program={name}={}", self.path(name).display())
    }

    /// What a script has written into a file below `$NOTES`, if it has.
    pub fn note(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.directory.path().join(name)).ok()?;
        text.ends_with('\n').then(|| text.trim().to_owned())
    }

    /// The numbers in it, one a line: of processes.
    pub fn numbers(&self, name: &str) -> Vec<u32> {
        let note = self.note(name).unwrap_or_default();
        note.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("{line:?} is no number"))).collect()
    }
}

/// Whether a process is there and not only waited for.
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, state)| !state.starts_with(" Z")))
}
