//! What the tests start and speak with: real servers in temporary directories on free ports, and a plain HTTP client.

pub mod cli;
pub mod collector;
pub mod documented;
pub mod example;
pub mod exposition;
pub mod http;
pub mod programs;
pub mod proxy;
pub mod server;
pub mod stream;
pub mod tls;
pub mod worker;

use std::future::Future;
use std::time::{Duration, Instant};

pub use http::{Answer, Client};
pub use programs::{Programs, lives};
pub use server::Server;
pub use stream::{Sse, Stream};
pub use worker::Worker;

/// How long a condition may take before its test has failed: far longer than any promise.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives something. The one way in which tests wait.
///
/// # Panics
///
/// When it does not come true in time.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, condition: impl FnMut() -> F) -> T {
    within(PATIENCE, what, condition).await
}

/// The same with a time of its own.
///
/// # Panics
///
/// When it does not come true in time.
pub async fn within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(began.elapsed() < patience, "waited {patience:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends a process a signal by name, as `kill` knows it.
pub fn signal(pid: u32, name: &str) {
    let status = std::process::Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(status.expect("kill can be run").success(), "kill -{name}");
}
