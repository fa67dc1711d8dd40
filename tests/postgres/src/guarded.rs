//! A process that does not outlive the one that started it, however that ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::programs::as_other;

/// Waits for a word on its input and sends the server that signal. The input also ends with the process at its other end:
/// then nobody is left to clear up after the server.
///
/// Killed, a server takes its children with it, as in a crash of the machine.
const GUARD: &str = r#"
directory=$1; log=$2; shift 2
"$@" >>"$log" 2>&1 &
server=$!
echo $server
if read -r signal; then
    children=
    [ "$signal" != KILL ] || children=$(cat /proc/$server/task/$server/children)
    kill -s "$signal" $server $children
    wait $server
    for child in $children; do
        while readlink /proc/$child/exe >/dev/null; do sleep 0.01; done
    done
else
    kill -s QUIT $server
    # A pooler does not know that one.
    kill -s TERM $server
    wait $server
    rm -rf "$directory"
fi
"#;

#[derive(Debug)]
pub(crate) struct Guarded {
    guard: Child,
    server: u32,
}

impl Guarded {
    /// Starts a server whose files are all in one directory, and which logs to the file `log` there.
    pub(crate) fn start(server: &Command, directory: &Path) -> Self {
        let mut guard = as_other(Command::new("sh"));
        guard.args(["-c", GUARD, "guard"]).arg(directory).arg(directory.join("log"));
        guard.arg(server.get_program()).args(server.get_args());
        guard.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A group of its own: what ends the tests does not end the server before them.
        let mut guard = guard.process_group(0).spawn().expect("a shell can be run");
        let mut line = String::new();
        let said = guard.stdout.take().expect("it is piped");
        BufReader::new(said).read_line(&mut line).expect("the guard speaks");
        let server = line.trim().parse().expect("the guard names the server");
        Self { guard, server }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server
    }

    /// Whether the server has not ended by itself.
    pub(crate) fn runs(&self) -> bool {
        // Its state stands after its name. Its command line would be empty for a moment while it becomes the server.
        let status = fs::read_to_string(format!("/proc/{}/stat", self.server)).unwrap_or_default();
        status.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
    }

    /// Sends the server a signal, and waits for its end.
    pub(crate) fn end(mut self, signal: &str) {
        let mut input = self.guard.stdin.take().expect("it is piped");
        writeln!(input, "{signal}").expect("the guard listens");
        self.guard.wait().expect("the guard ends");
    }
}

/// What the server of a directory has logged.
pub(crate) fn log(directory: &Path) -> String {
    let log = File::open(directory.join("log")).and_then(std::io::read_to_string);
    log.unwrap_or_default()
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}
