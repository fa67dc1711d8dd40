//! One attempt: a program under its guard, from its start until nothing is left of it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::guard::control::{Parcel, Said, TERMINATE};
use super::guard::{WATCH, scratch};
use super::stderr::{Line, Stderr};
use super::stdout::Stdout;
use super::{Program, verdict};
use crate::handler::{Context, HandlerError, Success};
use crate::wire::Json;

/// How long what the guard has written may take to arrive once it has ended. Elsewhere than on Linux a process that
/// escaped may hold a pipe open for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often it is looked whether a group that was killed is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const READ_BYTES: usize = 8 * 1024;

/// Runs the program for the operation of `context`.
pub(super) async fn run(program: &Program, context: &Context) -> Result<Success, HandlerError> {
    let unguarded = |error: io::Error| verdict::unguarded(&format!("the guard cannot be started: {error}"));
    let mut attempt = Attempt::start(program, context).await.map_err(unguarded)?;
    let stopped = attempt.follow(program, context).await;
    attempt.end_what_the_guard_left().await;
    let tail = attempt.stderr.text.tail(|line| attempt.news.tell(context, line));
    match stopped {
        Some(Stopped::Asked) => Err(context.stopped()),
        Some(Stopped::TooLong(timeout)) => {
            let message = format!("the program took longer than {} s", timeout.as_secs_f64());
            Err(HandlerError::retryable("timedOut", message))
        }
        None | Some(Stopped::TooMuch) => verdict::of(&attempt.said, attempt.stdout.text, &tail),
    }
}

/// Why the program was told to end.
#[derive(Clone, Copy)]
enum Stopped {
    Asked,
    TooLong(Duration),
    TooMuch,
}

/// Dropping it closes the guard's socket, and the guard kills the program at once.
struct Attempt {
    guard: Child,
    orders: OwnedWriteHalf,
    answers: Lines<BufReader<OwnedReadHalf>>,
    /// The last that the guard has said.
    said: Said,
    group: Option<Pid>,
    /// The directory of the attempt, which the guard makes and removes.
    scratch: PathBuf,
    stdout: Pipe<ChildStdout, Stdout>,
    stderr: Pipe<ChildStderr, Stderr>,
    news: News,
}

impl Attempt {
    async fn start(program: &Program, context: &Context) -> io::Result<Self> {
        let (ours, theirs) = Socket::pair()?;
        let scratch = scratch::fresh_path();
        let mut command = command(program, context, &scratch)?;
        let mut guard = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        drop(command); // and with it the guard's end of the socket
        ours.set_nonblocking(true)?;
        let (answers, mut orders) = UnixStream::from_std(ours)?.into_split();
        let operation = context.operation();
        let parcel = Parcel {
            input: operation.input.as_ref().map(line).unwrap_or_default(),
            checkpoint: operation.checkpoint.as_ref().map(line),
        };
        orders.write_all(&parcel.bytes()).await?;
        let (stdout, stderr) = (Pipe::of(guard.stdout.take())?, Pipe::of(guard.stderr.take())?);
        let said = Said::Failed("the guard was killed".to_owned());
        let answers = BufReader::new(answers).lines();
        Ok(Self { guard, orders, answers, said, group: None, scratch, stdout, stderr, news: News::default() })
    }

    /// Takes what the program says and passes orders on, until the guard has ended and all was read.
    async fn follow(&mut self, program: &Program, context: &Context) -> Option<Stopped> {
        let mut stop = pin!(stop(program.timeout, context));
        let (mut stopped, mut answers_open, mut guard_runs) = (None, true, true);
        let mut last_words = pin!(tokio::time::sleep(LAST_WORDS));
        while guard_runs || answers_open || self.stdout.open || self.stderr.open {
            let mut order = None;
            tokio::select! {
                read = self.stdout.read(), if self.stdout.open => {
                    let fits = self.stdout.text.take(&self.stdout.bytes[..read]);
                    order = (!fits).then_some(Stopped::TooMuch);
                }
                read = self.stderr.read(), if self.stderr.open => {
                    let bytes = &self.stderr.bytes[..read];
                    self.stderr.text.take(bytes, |line| self.news.tell(context, line));
                }
                why = &mut stop, if stopped.is_none() => order = Some(why),
                line = self.answers.next_line(), if answers_open => {
                    answers_open = self.heard(line.ok().flatten().as_deref());
                }
                _ = self.guard.wait(), if guard_runs => {
                    guard_runs = false;
                    last_words.set(tokio::time::sleep(LAST_WORDS));
                }
                () = &mut last_words, if !guard_runs => break,
            }
            if order.is_some() && stopped.is_none() {
                stopped = order;
                // A guard that takes no order any more has ended.
                let _ = self.orders.write_all(TERMINATE).await;
            }
        }
        stopped
    }

    /// Takes a line of the guard's; false when there is none any more.
    fn heard(&mut self, line: Option<&str>) -> bool {
        match line.and_then(Said::parse) {
            Some(Said::Started(group)) => {
                self.group = i32::try_from(group).ok().and_then(Pid::from_raw);
            }
            Some(said) => {
                self.group = None; // nothing is left of it
                self.said = said;
            }
            None => {}
        }
        line.is_some()
    }

    /// A guard that was killed itself has left the program's group.
    async fn end_what_the_guard_left(&mut self) {
        let Some(group) = self.group else { return };
        tracing::warn!(group = group.as_raw_nonzero(), "the guard of a program was killed");
        let _ = kill_process_group(group, Signal::KILL);
        while test_kill_process_group(group).is_ok() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let scratch = self.scratch.clone();
        let _ = tokio::task::spawn_blocking(move || scratch::remove(&scratch)).await;
    }
}

/// What the program has told of its progress.
#[derive(Default)]
struct News {
    detail: String,
}

impl News {
    fn tell(&mut self, context: &Context, line: Line) {
        match line {
            Line::Progress { percent, detail } => {
                // A line with the percent alone says nothing against the last detail.
                self.detail = detail.unwrap_or(std::mem::take(&mut self.detail));
                context.progress(percent, self.detail.clone());
            }
            Line::Checkpoint(checkpoint) => {
                if let Err(error) = context.checkpoint(&checkpoint) {
                    tracing::warn!(id = %context.id(), error = error.message(), "checkpoint not taken");
                }
            }
        }
    }
}

/// An output of the program, and what is kept of it.
struct Pipe<R, T> {
    from: R,
    bytes: Vec<u8>,
    open: bool,
    text: T,
}

impl<R: AsyncRead + Unpin, T: Default> Pipe<R, T> {
    fn of(from: Option<R>) -> io::Result<Self> {
        let from = from.ok_or_else(|| io::Error::other("the program has no output"))?;
        Ok(Self { from, bytes: vec![0; READ_BYTES], open: true, text: T::default() })
    }

    /// Reads what comes next into `bytes`: how many, and none at the end. May be dropped before it is ready.
    async fn read(&mut self) -> usize {
        let read = self.from.read(&mut self.bytes).await.unwrap_or(0);
        self.open = read > 0;
        read
    }
}

fn command(program: &Program, context: &Context, scratch: &Path) -> io::Result<Command> {
    let mut command = program.guard.command()?;
    command.arg(WATCH).arg(scratch).arg(&program.path).args(&program.arguments);
    command.env_clear();
    for name in &program.inherited {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .env("LONGRUN_OPERATION_ID", context.id().to_string())
        .env("LONGRUN_ATTEMPT", context.attempt().to_string())
        .env("LONGRUN_LEASE_TOKEN", context.lease_token().to_string())
        .envs(context.traceparent().map(|traceparent| ("TRACEPARENT", traceparent)))
        // A Ctrl-C is for the worker, which gives its programs their time to end.
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// JSON as a program reads it: a shell's `read` takes what ends as a line does.
fn line(json: &Json) -> Vec<u8> {
    format!("{}\n", json.get()).into_bytes()
}

/// Waits until the program is to end.
async fn stop(timeout: Option<Duration>, context: &Context) -> Stopped {
    let timed_out = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
        timeout.unwrap_or_default()
    };
    tokio::select! {
        biased;
        () = context.cancellation().cancelled() => Stopped::Asked,
        timeout = timed_out => Stopped::TooLong(timeout),
    }
}
