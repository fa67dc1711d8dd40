//! The process of a scenario program.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::language::Language;
use crate::scenario::Start;
use crate::support::PATIENCE;
use crate::wire::Address;

/// The queue of every scenario: each has a server of its own.
pub const QUEUE: &str = "scenarios";

/// A worker. Killed when dropped.
pub struct Worker {
    language: Language,
    start: Start,
    address: Address,
    errors: PathBuf,
    child: Child,
    /// It was told to end, or was killed or frozen: its end is no surprise, or not to be had.
    pub may_end: bool,
}

/// The line that it says first.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    operation_types: Vec<String>,
}

impl Worker {
    /// Starts one for the server at that address; `needed` is what it has to have handlers for.
    pub fn start(
        language: Language,
        start: Start,
        address: Address,
        directory: &Path,
        needed: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, String> {
        let errors = directory.join(format!("{}.stderr", start.worker));
        let (child, lines) = spawn(language, &start, &address, &errors)?;
        let worker = Self { language, start, address, errors, child, may_end: false };
        let line = lines.recv_timeout(PATIENCE).map_err(|_| format!("it said nothing: {}", worker.says()))?;
        let said: Said = serde_json::from_str(&line).map_err(|error| format!("{error} in {line:?}"))?;
        if !said.operation_types.is_sorted() {
            return Err(format!("what it has handlers for is not sorted: {line}"));
        }
        for needed in needed {
            let needed = needed.as_ref();
            if !said.operation_types.iter().any(|had| had == needed) {
                return Err(format!("the program has no handler for '{needed}': {line}"));
            }
        }
        Ok(worker)
    }

    pub fn name(&self) -> &str {
        &self.start.worker
    }

    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).map_err(|error| format!("{signal:?} to {}: {error}", self.name()))
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Starts it again where it ended and may be; an error where its end is a surprise.
    pub fn tend(&mut self) -> Result<(), String> {
        if self.may_end {
            return Ok(());
        }
        match self.ended() {
            Some(_) if self.start.again => {
                (self.child, _) = spawn(self.language, &self.start, &self.address, &self.errors)?;
                Ok(())
            }
            Some(status) => Err(format!("{} ended with {status}: {}", self.name(), self.says())),
            None => Ok(()),
        }
    }

    /// What it wrote to standard error.
    pub fn says(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(clippy::zombie_processes)] // Whoever gets the child waits for it.
fn spawn(
    language: Language,
    start: &Start,
    address: &Address,
    errors: &Path,
) -> Result<(Child, Receiver<String>), String> {
    let errors = File::options().create(true).append(true).open(errors).map_err(|error| error.to_string())?;
    let mut command: Command = language.program()?;
    command
        .env_remove("LONGRUN_TOKEN")
        .envs(start.token.as_ref().map(|token| ("LONGRUN_TOKEN", token)))
        .env("LONGRUN_URL", &address.url)
        // By what each language is told of an authority that the system does not know.
        .envs(address.authority.as_ref().map(|file| ("SSL_CERT_FILE", file)))
        .envs(address.authority.as_ref().map(|file| ("NODE_EXTRA_CA_CERTS", file)))
        .env("LONGRUN_QUEUE", QUEUE)
        .env("LONGRUN_LEASE_SECONDS", start.lease_seconds.to_string())
        .env("LONGRUN_WAIT_SECONDS", start.wait_seconds.to_string())
        .env("LONGRUN_GRACE_SECONDS", start.grace_seconds.to_string())
        .env("LONGRUN_CONCURRENCY", start.concurrency.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors);
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let output = BufReader::new(child.stdout.take().expect("its output is piped"));
    let (sender, lines) = mpsc::channel();
    // To its end, so that a worker that says more is not stopped by a full pipe.
    thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    Ok((child, lines))
}
