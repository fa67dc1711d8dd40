//! Operations that a program carries out: an executable of any language, started for each attempt.
//!
//! The contract with programs is told in `docs/programs.md`. In short: `input` is on stdin, stdout is the
//! result, lines such as `percent=40 detail=resizing` on stderr are progress, the exit status says how it went.
//!
//! * `attempt`: one attempt from its start to the end of all that it started; `turns`: one after the other;
//! * `stdout`, `stderr`: what a program says; `json`: which texts are JSON here;
//! * `verdict`: what the end of a program is for its operation; `signals`: their names;
//! * [`guard`]: the process in between, which outlives nobody.

mod attempt;
mod guard;
mod json;
mod signals;
mod stderr;
mod stdout;
mod turns;
mod verdict;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

pub use guard::guard;
pub(crate) use turns::Turns;

use crate::handler::{Context, HandlerError, Success};

/// How long a program may take to end after SIGTERM; then comes SIGKILL.
pub(crate) const KILL_AFTER: Duration = Duration::from_secs(5);
/// What a program inherits of its worker's environment where nothing else is said.
pub const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// A program that carries out operations: which, and with what around it. Cheap enough to clone.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    inherited: Vec<String>,
    environment: Vec<(String, String)>,
    timeout: Option<Duration>,
    guard: Guard,
}

impl Program {
    /// A program at an absolute path, under a guard. It is started as it is, never through a shell.
    pub fn new(path: impl Into<PathBuf>, guard: Guard) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            inherited: INHERITED.map(str::to_owned).to_vec(),
            environment: Vec::new(),
            timeout: None,
            guard,
        }
    }

    /// Sets its arguments. Nothing of an operation is ever put among them.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the variables that it inherits of the worker's environment, in place of the usual
    /// [`INHERITED`]. It never sees any other.
    #[must_use]
    pub fn inherit<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.inherited = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets variables of its environment.
    #[must_use]
    pub fn environment<N: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.environment = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// Sets how long an attempt may take, beside the `timeoutSeconds` of its operation; without end unless
    /// set. One that takes longer fails as `timedOut`, retryable.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Carries one attempt out.
    pub(crate) async fn carry_out(&self, context: Context, turns: &Turns) -> Result<Success, HandlerError> {
        let Some(_turn) = turns.take(&context).await else { return Err(context.stopped()) };
        attempt::run(self, &context).await
    }
}

/// How the guard of a program is started.
///
/// It is best the executable of the worker itself, whose `main` has to call [`guard`] when it is started so:
///
/// ```no_run
/// # use longrun_sdk::handlers::program::{Guard, Program, guard};
/// # use std::process::ExitCode;
/// fn main() -> ExitCode {
///     let arguments: Vec<_> = std::env::args_os().skip(1).collect();
///     if arguments.first().is_some_and(|first| first == "guard") {
///         return guard(&arguments[1..]);
///     }
///     let program = Program::new("/usr/local/bin/resize.sh", Guard::of_this_executable(["guard"]));
///     // … a worker with this program
/// #   drop(program);
///     ExitCode::SUCCESS
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Guard {
    /// None is this process's own.
    executable: Option<PathBuf>,
    arguments: Vec<OsString>,
}

impl Guard {
    /// The arguments by which the executable of this process becomes a guard.
    pub fn of_this_executable<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self { executable: None, arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// Another executable that becomes a guard by these arguments, such as `longrun` by `guard`.
    pub fn of<A: Into<OsString>>(
        executable: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self { executable: Some(executable.into()), ..Self::of_this_executable(arguments) }
    }

    /// Its command line, without what it is to guard.
    fn command(&self) -> io::Result<Command> {
        let mut command = match &self.executable {
            Some(other) => Command::new(other),
            None => Command::new(this_executable()?),
        };
        if let (None, Some(name)) = (&self.executable, std::env::args_os().next()) {
            command.arg0(name);
        }
        command.args(&self.arguments);
        Ok(command)
    }
}

/// Where this process's own executable is, and stays when its file is replaced by that of a newer version.
fn this_executable() -> io::Result<PathBuf> {
    let own = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && own.exists() { Ok(own.to_owned()) } else { std::env::current_exe() }
}
