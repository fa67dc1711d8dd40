//! The command line. One file a subcommand; [`output`] writes what they say, [`exit`] says how they end.
//!
//! `serve` starts the server, `token` administers it on its own machine, `backup` and `restore` copy its store and bring it
//! back, `doctor` looks for what is wrong with it, `move` carries it over to a database, `work` is a worker. All others are clients of
//! the wire like any other, by the SDK's client.

mod backup;
mod bar;
mod bench;
mod bulk;
mod cancel;
mod completions;
mod config;
mod connection;
mod delete;
mod demo;
mod dev;
mod doctor;
mod exit;
#[cfg(test)]
mod fake;
mod files;
mod get;
mod guard;
mod health;
mod list;
mod log;
mod manuals;
mod moving;
mod output;
mod queues;
mod retry;
mod serve;
mod submit;
#[cfg(test)]
mod tests;
mod token;
mod version;
mod view;
mod wait;
mod watch;
mod work;
mod workers;

use std::future::Future;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use exit::{EXIT_CODES, Exit, Failure};
use output::Output;

/// Tracks long-running operations: hands them to workers, and tells how they stand.
#[derive(Parser)]
#[command(name = "longrun", version, after_help = EXIT_CODES, arg_required_else_help = true)]
#[command(subcommand_help_heading = "Subcommands", subcommand_value_name = "SUBCOMMAND")]
struct Arguments {
    /// Write JSON, as is done anyway where the output is no terminal
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    subcommand: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    Serve(serve::Serve),
    Dev(dev::Dev),
    Submit(Box<submit::Submit>),
    Get(get::Get),
    List(list::List),
    Watch(watch::Watch),
    Cancel(cancel::Cancel),
    Retry(retry::Retry),
    Delete(delete::Delete),
    Queues(queues::Queues),
    Work(work::Work),
    Workers(workers::Workers),
    Token(token::Token),
    Config(config::Config),
    Doctor(Box<doctor::Doctor>),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Move(moving::Move),
    Health(health::Health),
    Version(version::Version),
    Completions(completions::Completions),
    Demo(demo::Demo),
    Bench(bench::Bench),
    #[command(hide = true)]
    Manuals(manuals::Manuals),
    #[command(hide = true)]
    Guard(guard::Guard),
}

/// Runs the process: reads its arguments, does what they say, and tells how it ended.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done where even this cannot be written.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    // Its exit code means something else, and it is to be small: a guard stands beside every program that runs.
    if let Subcommand::Guard(guard) = arguments.subcommand {
        return guard.run();
    }
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut output = Output::of_process(&mut out, &mut err, arguments.json);
    let ended = arguments.subcommand.run(&mut output, arguments.json);
    output.conclude(ended).into()
}

impl Subcommand {
    fn run(self, output: &mut Output<'_>, json: bool) -> Result<Exit, Failure> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Dev(dev) => dev.run(),
            Self::Bench(bench) => bench.run(json),
            Self::Config(config) => config.run(output),
            Self::Doctor(doctor) => doctor.run(output),
            Self::Backup(backup) => backup.run(output),
            Self::Restore(restore) => restore.run(output),
            Self::Move(moving) => moving.run(output),
            Self::Version(version) => version.run(output),
            Self::Completions(completions) => completions.run(output),
            Self::Manuals(manuals) => manuals.run(output),
            Self::Demo(demo) => wait_for(demo.run(output)),
            Self::Submit(submit) => wait_for(submit.run(output)),
            Self::Get(get) => wait_for(get.run(output)),
            Self::List(list) => wait_for(list.run(output)),
            Self::Watch(watch) => wait_for(watch.run(output)),
            Self::Cancel(cancel) => wait_for(cancel.run(output)),
            Self::Retry(retry) => wait_for(retry.run(output)),
            Self::Delete(delete) => wait_for(delete.run(output)),
            Self::Queues(queues) => wait_for(queues.run(output)),
            Self::Workers(workers) => wait_for(workers.run(output)),
            Self::Token(token) => wait_for(token.run(output)),
            Self::Health(health) => wait_for(health.run(output)),
            Self::Work(work) => wait_for(work.run()),
            Self::Guard(_) => unreachable!("it ends in `main`"),
        }
    }
}

/// A client does one thing at a time: it needs no threads.
fn wait_for(subcommand: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot begin: {error}")))?
        .block_on(subcommand)
}
