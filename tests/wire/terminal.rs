//! The binary on a terminal, as a person sees it.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use serde_json::json;

use super::longrun;
use crate::support::{Server, until};

/// A program on a terminal of its own, and all that was written there.
struct Terminal {
    child: Child,
    screen: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    fn run(server: &Server, arguments: &[&str]) -> Self {
        let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&ours).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
        let open =
            || -> OwnedFd { rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap() };
        let mut command = longrun(arguments);
        command.env("LONGRUN_SERVER", &server.url).env("TERM", "xterm").stdin(Stdio::null());
        let child = command.stdout(open()).stderr(open()).spawn().unwrap();
        // With it its ends of the terminal are closed here, so that the reader comes to an end.
        drop(command);
        let screen = Arc::new(Mutex::new(String::new()));
        let written = screen.clone();
        let reader = std::thread::spawn(move || {
            let (mut ours, mut bytes) = (File::from(ours), [0; 4096]);
            // The end of a terminal whose program has gone is an error.
            while let Ok(read @ 1..) = ours.read(&mut bytes) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        Self { child, screen, reader: Some(reader) }
    }

    async fn shows(&self, text: &str) {
        let seen = async || self.screen.lock().unwrap().contains(text).then_some(());
        until(&format!("the terminal to show {text}"), seen).await;
    }

    /// Waits for its end: all that was shown, and the exit code.
    async fn ended(mut self) -> (String, i32) {
        let child = &mut self.child;
        let exit = || std::future::ready(child.try_wait().unwrap().map(|status| status.code()));
        let code = until("it to end", exit).await.unwrap();
        self.reader.take().unwrap().join().unwrap();
        (std::mem::take(&mut self.screen.lock().unwrap()), code)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_watch_on_a_terminal_has_a_bar_and_lines_for_what_happens() {
    let server = Server::start(&["--workers", "0"]);
    let client = server.client();
    let id = client.submit(&json!({"operationType": "slow"})).await;
    let terminal = Terminal::run(&server, &["watch", &id]);
    terminal.shows("NotStarted").await;
    let claim = json!({"id": "c", "operationTypes": ["slow"]});
    let claimed = client.work(&json!({"workerId": "w", "claim": claim})).await;
    let token = &claimed["operations"][0]["lease"]["token"];
    terminal.shows("started").await;
    let report = |more: serde_json::Value| {
        let mut report = json!({"id": id, "leaseToken": token});
        report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"workerId": "w", "reports": [report]})
    };
    client
        .work(&report(json!({"status": "Running", "percentComplete": 40, "statusDetail": "page\u{9b}4"})))
        .await;
    terminal.shows("[============").await;
    terminal.shows(" 40 %  Running  page\\u{9b}4").await;
    client.work(&report(json!({"status": "Completed", "result": 7}))).await;
    let (shown, code) = terminal.ended().await;
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("completed  ") && !shown.contains("progress  "), "{shown}");
}

#[tokio::test]
async fn waiting_on_a_terminal_shows_a_bar_and_then_the_operation() {
    let server = Server::start(&["--workers", "2"]);
    let input = r#"{"seconds": 3, "steps": 10}"#;
    let terminal = Terminal::run(&server, &["submit", "sleep", "--input", input, "--wait"]);
    terminal.shows(" %  Running").await;
    let (shown, code) = terminal.ended().await;
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Completed"), "{shown}");
}
