//! The guard: a small process between a worker and a program, so that a program never outlives its attempt.
//!
//! It stands in two stages, both of them the worker's own executable:
//!
//! * `watch` puts the program into a process group of its own, carries out the worker's orders, and ends
//!   everything the program has started, once the program itself has ended or the worker is gone, `kill -9`
//!   included: the worker holds the other end of a socket, and the system closes it for the dead;
//! * `enter` becomes the program, after it has asked the system to be killed when the watching stage is.
//!
//! On Linux nothing that a program starts escapes, other sessions and groups included: orphans become the
//! guard's children. Elsewhere the process group is what can be reached. What is left: the descendants of
//! a program whose worker and guard are killed with SIGKILL at the same moment, though not the program.

pub(super) mod control;
mod descendants;
mod group;
pub(super) mod scratch;

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::process::Signal;

use super::KILL_AFTER;
use control::{Parcel, Said};
use group::Group;
use scratch::Scratch;

/// The first argument of the first stage; the second is the directory of the attempt, the further ones are the program and
/// its arguments.
pub(super) const WATCH: &str = "watch";
/// The first argument of the second stage; before the program stands the process id of the first.
const ENTER: &str = "enter";
/// What shells end with when a program cannot be run.
const CANNOT_RUN: u8 = 126;
/// For a command line that is none of ours.
const USAGE: u8 = 2;
/// Where a file with the checkpoint of an earlier attempt is, for the program.
const CHECKPOINT_FILE: &str = "LONGRUN_CHECKPOINT_FILE";

/// Carries the guard out: what an executable does that was started by the command line which its
/// [`Guard`](super::Guard) names. `arguments` are those after it.
///
/// The executable may not have done anything else before, such as starting threads or reading its stdin.
pub fn guard(arguments: &[OsString]) -> ExitCode {
    match arguments {
        [stage, scratch, program @ ..] if stage == WATCH && !program.is_empty() => watch(scratch, program),
        [stage, watching, program, arguments @ ..] if stage == ENTER => enter(watching, program, arguments),
        _ => {
            eprintln!("error: this is started by a worker, with a program to guard");
            ExitCode::from(USAGE)
        }
    }
}

fn watch(scratch: &OsString, program: &[OsString]) -> ExitCode {
    let ended = control().and_then(|mut control| {
        let said = carry_out(&mut control, scratch, program);
        let said = said.unwrap_or_else(|error| Said::Failed(error.to_string()));
        control.write_all(said.line().as_bytes())
    });
    // The one who could be told of an error is gone.
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The socket that the worker gave as stdin.
fn control() -> io::Result<UnixStream> {
    io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from)
}

fn carry_out(control: &mut UnixStream, scratch: &OsString, program: &[OsString]) -> io::Result<Said> {
    let parcel = Parcel::read(control)?;
    descendants::adopt()?;
    let scratch = Scratch::at(scratch.into())?;
    let mut command = second_stage(program)?;
    command.current_dir(scratch.path()).env("TMPDIR", scratch.path()).process_group(0).stdin(Stdio::piped());
    if let Some(checkpoint) = &parcel.checkpoint {
        command.env(CHECKPOINT_FILE, scratch.file("checkpoint.json", checkpoint)?);
    }
    let mut child = command.spawn()?;
    feed(&mut child, parcel.input);
    let group = Arc::new(Group::of(&child)?);
    // A worker that is gone by now is found out below.
    let _ = control.write_all(Said::Started(child.id()).line().as_bytes());
    let orders = control.try_clone()?;
    let obeying = Arc::clone(&group);
    thread::spawn(move || obey(orders, &obeying));
    let status = group.end(&mut child)?;
    descendants::end()?;
    Ok(said_of(status))
}

/// Waits for an order, or for the end of the worker, which is one as well.
fn obey(mut control: UnixStream, group: &Group) {
    // There is one order only: to end. Nothing to read is the end of the worker.
    if read_byte(&mut control).unwrap_or(false) {
        group.signal(Signal::TERM);
        group.signal(Signal::CONT); // one that is stopped cannot end itself
        let _ = control.set_read_timeout(Some(KILL_AFTER));
        let _ = read_byte(&mut control);
    }
    group.signal(Signal::KILL);
}

fn read_byte(control: &mut UnixStream) -> io::Result<bool> {
    loop {
        match control.read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map(|bytes| bytes > 0),
        }
    }
}

/// Gives the program its input, beside everything else: it may never read it.
fn feed(child: &mut Child, input: Vec<u8>) {
    if let Some(mut stdin) = child.stdin.take() {
        thread::spawn(move || {
            let _ = stdin.write_all(&input); // whether it is read to its end is the program's affair
        });
    }
}

fn said_of(status: ExitStatus) -> Said {
    match (status.code(), status.signal()) {
        (Some(code), _) => Said::Exited(code),
        (None, Some(signal)) => Said::Signaled(signal),
        (None, None) => Said::Failed(format!("the program ended with {status}")),
    }
}

/// The command line of this very process, with the second stage in place of the first.
fn second_stage(program: &[OsString]) -> io::Result<Command> {
    let own: Vec<OsString> = env::args_os().skip(1).collect();
    let before = own.len().saturating_sub(program.len() + 2);
    let mut command = Command::new(super::this_executable()?);
    command.args(&own[..before]).arg(ENTER).arg(std::process::id().to_string()).args(program);
    if let Some(name) = env::args_os().next() {
        command.arg0(name);
    }
    Ok(command)
}

fn enter(watching: &OsString, program: &OsString, arguments: &[OsString]) -> ExitCode {
    if let Err(error) = descendants::end_with_parent(watching) {
        eprintln!("longrun: {error}");
        return ExitCode::FAILURE;
    }
    let error = Command::new(program).args(arguments).exec();
    eprintln!("longrun: {} cannot be run: {error}", program.display());
    ExitCode::from(CANNOT_RUN)
}
