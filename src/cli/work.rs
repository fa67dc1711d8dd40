//! `longrun work`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use longrun_sdk::handlers::program::{Guard, INHERITED, Program};
use longrun_sdk::{HttpExchange, Worker, WorkerBuilder, WorkerError};

use super::connection::Server;
use super::exit::{Exit, Failure};
use super::files;
use super::log::Log;
use crate::limits;
use crate::settings::{check_executable, check_variable};

/// Carry operations out with a program
///
/// Starts the program for each operation of the types: the input is on its stdin, its stdout is the result, and a line such
/// as `percent=40 detail=half way` on its stderr is progress. It runs in a directory of its own, so name files among its
/// arguments by absolute paths. Goes on until SIGTERM or Ctrl-C, then lets programs end for a while and hands the rest back.
#[derive(clap::Args)]
pub(super) struct Work {
    #[command(flatten)]
    server: Server,

    #[command(flatten)]
    log: Log,

    /// A queue to take operations from; may be given again
    #[arg(long = "queue", value_name = "NAME", default_value = "default")]
    queues: Vec<String>,

    /// An operation type to carry out; may be given again
    #[arg(long = "type", value_name = "NAME", required = true)]
    types: Vec<String>,

    /// How many programs run at a time [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = concurrency())]
    concurrency: Option<u32>,

    /// Seconds after which others may have an operation whose worker is not heard of any more
    #[arg(long, value_name = "SECONDS", default_value_t = limits::LEASE_SECONDS_DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::LEASE_SECONDS_MAX)))]
    lease_seconds: u32,

    /// Seconds that one attempt may take; by default as many as the operation says
    #[arg(long, value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::DURATION_SECONDS_MAX)))]
    timeout: Option<u32>,

    /// Seconds that programs have to end in after SIGTERM
    #[arg(long, env = "LONGRUN_GRACE", value_name = "SECONDS", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(0..=limits::GRACE_SECONDS_MAX))]
    grace: u64,

    /// A variable that the program has of this environment, or one with a value; may be given again. It always has the usual
    /// few, such as PATH and HOME, and no others
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = variable)]
    environment: Vec<Variable>,

    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

#[derive(Clone)]
enum Variable {
    Inherited(String),
    Set(String, String),
}

impl Work {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.log.begin()?;
        files::ask_for_enough();
        let program = self.program()?;
        let mut worker = self.worker()?;
        for name in &self.types {
            worker = worker.program(name, program.clone());
        }
        let worker = worker.build().map_err(|error| self.failure(&error))?;
        tracing::info!(
            worker = worker.id(), server = self.server.url(), queues = ?self.queues, types = ?self.types,
            concurrency = self.concurrency(), "working"
        );
        let stats = worker.run().await.map_err(|error| self.failure(&error))?;
        tracing::info!(
            completed = stats.completed,
            failed = stats.failed,
            released = stats.released,
            lost = stats.lost,
            "worked"
        );
        Ok(Exit::Done)
    }

    fn worker(&self) -> Result<WorkerBuilder, Failure> {
        let client = self.server.builder()?.build().map_err(|error| self.server.failure(&error))?;
        let worker = Worker::over(HttpExchange::new(client))
            .concurrency(self.concurrency() as usize)
            .lease_seconds(self.lease_seconds)
            .grace(Duration::from_secs(self.grace));
        Ok(self.queues.iter().fold(worker, WorkerBuilder::queue))
    }

    fn concurrency(&self) -> u32 {
        let cores = || available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        self.concurrency.unwrap_or_else(cores)
    }

    fn program(&self) -> Result<Program, Failure> {
        let Some((name, arguments)) = self.program.split_first() else {
            return Err(Failure::usage("a program is needed"));
        };
        let path = find(name)?;
        let mut inherited = INHERITED.map(str::to_owned).to_vec();
        let mut set = Vec::new();
        for variable in &self.environment {
            match variable.clone() {
                Variable::Inherited(name) => inherited.push(name),
                Variable::Set(name, value) => set.push((name, value)),
            }
        }
        let program = Program::new(path, Guard::of_this_executable(["guard"]))
            .arguments(arguments)
            .inherit(inherited)
            .environment(set);
        Ok(match self.timeout {
            Some(seconds) => program.timeout(Duration::from_secs(seconds.into())),
            None => program,
        })
    }

    fn failure(&self, error: &WorkerError) -> Failure {
        match error {
            WorkerError::Client(error) => self.server.failure(error),
            WorkerError::Setting(_) | WorkerError::ClaimRefused { .. } => Failure::usage(error.to_string()),
            WorkerError::Denied { code, message } => {
                self.server.advise(Failure::new(Exit::NotAllowed, format!("{message} ({code})")))
            }
            _ => Failure::new(Exit::Failed, error.to_string()),
        }
    }
}

/// Where the program is: as a shell finds it, but only once.
fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    let shown = name.display();
    if name.as_encoded_bytes().contains(&b'/') {
        let path = std::path::absolute(name).map_err(|error| Failure::usage(format!("{shown}: {error}")))?;
        return check_executable(&path).map(|()| path).map_err(Failure::usage);
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::split_paths(&directories).map(|directory| directory.join(name));
    let found = paths.into_iter().find(|path| check_executable(path).is_ok());
    found.ok_or_else(|| {
        Failure::usage(format!("{shown} is no program in PATH; one that is here is ./{shown}"))
    })
}

fn variable(text: &str) -> Result<Variable, String> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    check_variable(name)?;
    Ok(match value {
        Some(value) => Variable::Set(name.to_owned(), value.to_owned()),
        None => Variable::Inherited(name.to_owned()),
    })
}

fn concurrency() -> clap::builder::RangedI64ValueParser<u32> {
    let most = i64::try_from(limits::WORKER_TASKS_MAX).unwrap_or(i64::MAX);
    clap::value_parser!(u32).range(1..=most)
}
