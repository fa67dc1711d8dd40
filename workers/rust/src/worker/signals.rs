//! When the process is asked to end.

use std::io;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::WorkerError;

/// Fires the token at the first signal. The system is told before this returns: no signal is missed from then on.
pub(super) fn fire(shutdown: CancellationToken) -> Result<JoinHandle<()>, WorkerError> {
    let asked = asked_to_end().map_err(|error| WorkerError::Signals(error.to_string()))?;
    Ok(tokio::spawn(async move {
        asked.await;
        shutdown.cancel();
    }))
}

#[cfg(unix)]
fn asked_to_end() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut stop, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = stop.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(windows)]
fn asked_to_end() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::windows::{ctrl_c, ctrl_shutdown};
    let (mut interrupt, mut stop) = (ctrl_c()?, ctrl_shutdown()?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = stop.recv() => {}
        }
    })
}
