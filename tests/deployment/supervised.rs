//! The server under systemd: what it tells its supervisor, and what the unit makes of that.

use std::os::unix::net::UnixDatagram;
use std::process::Child;

use super::files::{BINARY, text, unit};
use super::grace_seconds;
use crate::support::cli::longrun;
use crate::support::{PATIENCE, signal};

/// A server that is killed when dropped.
struct Supervised(Child);

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_supervisor_is_told_when_the_server_is_ready_and_when_it_stops() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let said = || {
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).expect("it says something in time");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut command = longrun(&["serve", "--listen", "127.0.0.1:0", "--workers", "0", "--data"]);
    command.arg(scratch.path().join("data")).env("NOTIFY_SOCKET", &path);
    let mut server = Supervised(command.stdout(std::process::Stdio::null()).spawn().unwrap());
    let ready = said();
    let address =
        ready.lines().find_map(|line| line.strip_prefix("STATUS=listens on ")).expect("where it listens");
    assert!(ready.lines().any(|line| line == "READY=1"), "{ready}");
    // Whoever is told so may rely on it.
    std::net::TcpStream::connect(address).expect("it listens");
    signal(server.0.id(), "TERM");
    assert_eq!(said(), "STOPPING=1\n");
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn the_unit_waits_for_what_the_server_says() {
    assert_eq!(unit("Type"), "notify");
    assert!(unit("ExecStart").starts_with(BINARY));
    assert_eq!(unit("Environment"), format!("LONGRUN_DATA=/var/lib/{}", unit("StateDirectory")));
    let stops: u64 = unit("TimeoutStopSec").trim_end_matches('s').parse().unwrap();
    assert!(stops > grace_seconds(), "it is killed before its time");
    // To the server alone, which ends its programs itself.
    assert_eq!(unit("KillMode"), "mixed");
    for line in text("deploy/longrun.service").lines() {
        let known = line.is_empty() || line.starts_with(['#', '[']) || line.contains('=');
        assert!(known, "{line}");
    }
}
