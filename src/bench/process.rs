//! The servers that a bench measures: children of this very binary, each in a process and a directory of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::load::LoadError;

/// Clock ticks of `/proc/PID/stat` in a second: the kernel's fixed unit for it.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a server may take to start, with a large store.
const START_MAX: Duration = Duration::from_mins(2);

/// A server process. Ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `host:port`.
    pub authority: Arc<str>,
    /// From its start until it said where it listens.
    pub ready_after: Duration,
}

impl Server {
    /// `longrun serve` over a directory, with so many worker tasks of its own.
    pub fn serve(data: &Path, workers: usize) -> Result<Self, LoadError> {
        let workers = workers.to_string();
        Self::start(&[
            "serve".as_ref(),
            "--listen".as_ref(),
            "127.0.0.1:0".as_ref(),
            "--data".as_ref(),
            data.as_os_str(),
            "--workers".as_ref(),
            workers.as_ref(),
            "--log".as_ref(),
            "warn".as_ref(),
        ])
    }

    /// A yardstick: the same server over a tracker that answers from memory, or ten lines of axum.
    pub fn yardstick(which: &str) -> Result<Self, LoadError> {
        Self::start(&["bench".as_ref(), "yardstick".as_ref(), which.as_ref()])
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// A server over a directory that keeps what is over only so long.
    pub fn brief(data: &Path, kept: Duration) -> Result<Self, LoadError> {
        let kept = kept.as_secs().to_string();
        let data = ["--data".as_ref(), data.as_os_str()];
        Self::start(&["bench".as_ref(), "brief".as_ref(), data[0], data[1], "--kept".as_ref(), kept.as_ref()])
    }

    fn start(arguments: &[&std::ffi::OsStr]) -> Result<Self, LoadError> {
        let began = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            // A yardstick ends when this end of its input does, so that none outlives the bench.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let Some(stdout) = child.stdout.take() else {
            return Err(LoadError::Other("the server has no output to read".to_owned()));
        };
        let mut lines = BufReader::new(stdout);
        let mut line = String::new();
        while began.elapsed() < START_MAX {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                break;
            }
            if let Some((_, address)) = line.trim().split_once("http://") {
                let authority = address.split(['/', ' ']).next().unwrap_or(address);
                // It may go on writing: somebody has to read that, or it would stand still.
                let authority = Arc::from(authority);
                std::thread::spawn(move || lines.lines().count());
                return Ok(Self { child, authority, ready_after: began.elapsed() });
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        Err(LoadError::Other("the server did not start".to_owned()))
    }

    /// CPU that it has used so far, user and system.
    pub fn cpu(&self) -> Duration {
        cpu_of(&format!("/proc/{}/stat", self.child.id()))
    }

    /// Bytes of memory that it holds.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or(0) << 10
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process beside the server. Ended when dropped.
#[derive(Debug)]
pub struct Helper(Child);

impl Helper {
    /// A remote worker that does nothing, fast: this very binary.
    pub fn worker(url: &str, concurrency: usize) -> Result<Self, LoadError> {
        let concurrency = concurrency.to_string();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "worker", "--url", url, "--concurrency", &concurrency]).stdin(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    /// A worker program of the scenarios, as `workers/scenarios/README.md` describes it; returns when it has said what it
    /// has handlers for. The words of the command stand with blanks between.
    pub fn program(command: &str, url: &str, concurrency: usize) -> Result<Self, LoadError> {
        let mut words = command.split_whitespace();
        let mut program = Command::new(words.next().unwrap_or_default());
        program
            .args(words)
            .env_remove("LONGRUN_TOKEN")
            .envs([("LONGRUN_URL", url), ("LONGRUN_QUEUE", "default"), ("LONGRUN_LEASE_SECONDS", "30")])
            .envs([("LONGRUN_WAIT_SECONDS", "20"), ("LONGRUN_GRACE_SECONDS", "1")])
            .env("LONGRUN_CONCURRENCY", concurrency.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let failed = |error: &dyn std::fmt::Display| LoadError::Other(format!("{command}: {error}"));
        let mut worker = Self(program.spawn().map_err(|error| failed(&error))?);
        let mut lines = BufReader::new(worker.0.stdout.take().ok_or_else(|| failed(&"no output"))?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        if !line.contains("operationTypes") {
            return Err(failed(&"it did not say what it has handlers for"));
        }
        std::thread::spawn(move || lines.lines().count());
        Ok(worker)
    }

    /// CPU that it has used so far, user and system.
    pub fn cpu(&self) -> Duration {
        cpu_of(&format!("/proc/{}/stat", self.0.id()))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU that this process has used so far.
pub fn own_cpu() -> Duration {
    cpu_of("/proc/self/stat")
}

fn cpu_of(stat: &str) -> Duration {
    let stat = std::fs::read_to_string(stat).unwrap_or_default();
    // The name may hold blanks; the fields after its closing parenthesis do not. utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
}

/// A directory for the data of one run, removed when dropped.
#[derive(Debug)]
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A fresh one, below `parent` if given, else below the system's.
    pub fn new(parent: Option<&Path>) -> Result<Self, LoadError> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = parent.join(format!("longrun-bench-{}-{:08x}", std::process::id(), fastrand::u32(..)));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
