//! Runs the commands of the steps.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::answers;
use super::tally::Tally;

/// How long the output of a test run may go on after its end.
const GRACE: Duration = Duration::from_secs(5);

/// Runs `words` at the repository's root and lets it speak for itself.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<(), String> {
    let status = command(root, words).status().map_err(|error| format!("{}: {error}", words[0]))?;
    if status.success() { Ok(()) } else { Err(format!("{} {status}", words[..2].join(" "))) }
}

/// The same for a command that runs tests: passes on what it prints, and counts them.
pub(super) fn run_tests(root: &Path, words: &[&str]) -> (Result<(), String>, Tally) {
    let mut tally = Tally::default();
    let mut tests = command(root, words);
    tests.env(answers::VARIABLE, answers::directory(root));
    let outcome = follow(tests, Runner::of(words), &mut tally);
    let outcome = outcome.and_then(|status| match (status.success(), tally.failed) {
        (true, _) => Ok(()),
        (false, 0) => Err(format!("{} {status}", words[..2].join(" "))),
        (false, failed) => Err(format!("{failed} test(s) failed")),
    });
    (outcome, tally)
}

/// Who runs the tests, and so how it tells what became of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runner {
    Cargo,
    Nextest,
    Node,
    Pytest,
}

impl Runner {
    fn of(words: &[&str]) -> Self {
        match words {
            ["npm", ..] => Self::Node,
            words if words.contains(&"pytest") => Self::Pytest,
            words if words.contains(&"nextest") => Self::Nextest,
            _ => Self::Cargo,
        }
    }

    fn count(self, line: &str, tally: &mut Tally) {
        match self {
            Self::Cargo => tally.read(line),
            Self::Nextest => tally.read_nextest(line),
            Self::Node => tally.read_node(line),
            Self::Pytest => tally.read_pytest(line),
        }
    }
}

/// Runs `command` and counts from its lines. nextest tells its summary on standard error, the others on standard output;
/// the other of the two stays as it is, for cargo's progress bar.
fn follow(mut command: Command, runner: Runner, tally: &mut Tally) -> Result<ExitStatus, String> {
    if runner == Runner::Nextest {
        command.stderr(Stdio::piped());
    } else {
        command.stdout(Stdio::piped());
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (sender, lines) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        pass_on(output, std::io::stdout(), sender);
    } else if let Some(output) = child.stderr.take() {
        pass_on(output, std::io::stderr(), sender);
    }
    let mut ended = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => runner.count(&line, tally),
            Err(RecvTimeoutError::Disconnected) => return child.wait().map_err(|error| error.to_string()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        // A server that a test forgot holds the pipe open: waiting for its end would be waiting for ever.
        if ended.is_none() && child.try_wait().is_ok_and(|status| status.is_some()) {
            ended = Some(Instant::now());
        }
        if ended.is_some_and(|ended| ended.elapsed() > GRACE) {
            return Err("a process that a test started is still running".to_owned());
        }
    }
}

/// Copies `from` to `to` on a thread of its own, and sends each line.
fn pass_on(from: impl Read + Send + 'static, mut to: impl Write + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            // Counting goes on when nobody is left to read what is passed on.
            let _ = to.write_all(&line);
            let _ = to.flush();
            // Lossy, because a test may print bytes that are no text.
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
}

/// Whether `words` runs and succeeds, without a word.
pub(super) fn succeeds(root: &Path, words: &[&str]) -> bool {
    let mut command = command(root, words);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn command(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(root).stdin(Stdio::null());
    // `cargo run` told this process about the package xtask. A build script or a test of another package that sees it
    // would be built again each time, or believe it.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| name.starts_with(start)) {
            command.env_remove(&*name);
        }
    }
    command
}
