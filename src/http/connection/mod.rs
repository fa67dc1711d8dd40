//! Connections: accepted, watched over, and ended in good order.
//!
//! [`serve`] is the whole face. Whatever listens, TCP, TLS or a Unix socket, speaks HTTP/1.1 and HTTP/2 (without TLS by
//! prior knowledge), each connection in a task of its own. [`watch`] ends those whose client is silent, slow or deaf, from what
//! [`pulse`] counts, and [`stream`] does the same for each stream of HTTP/2.
//!
//! hyper answers by itself, and without a body, what it cannot read as a request at all: malformed heads with 400, heads
//! beyond `limits::HEAD_BYTES_READ_MAX` or of over 100 headers with 431.

mod linger;
mod listener;
mod protocol;
mod pulse;
mod stream;
mod tls;
mod watch;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use listener::Listener;
pub use tls::{Certificate, CertificateError, TlsListener};

use super::outer::Outer;
use crate::limits;
use crate::metrics::Metrics;
use protocol::Protocol;
use watch::Patience;

/// Serves a router on a listener until `shutdown`, and returns when every connection has ended.
///
/// From then on nothing more is accepted, idle connections end, and requests that run have `grace` to be answered; what
/// is left after that is dropped. Whoever holds answers back (waiting calls, watchers) hears of the shutdown by itself.
pub async fn serve(
    listener: impl Listener,
    router: Router,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    grace: Duration,
) {
    let terms = Terms { connections_max: limits::CONNECTIONS_MAX, patience: Patience::default(), grace };
    serve_on(listener, Outer::new(router, metrics), shutdown, terms).await;
}

/// What tests need to have smaller.
#[derive(Clone, Copy, Debug)]
struct Terms {
    connections_max: usize,
    patience: Patience,
    grace: Duration,
}

async fn serve_on(listener: impl Listener, outer: Outer<Router>, shutdown: CancellationToken, terms: Terms) {
    let protocol = Arc::new(Protocol::new(outer, terms.patience, shutdown.clone()));
    let mut connections = JoinSet::new();
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = accept(&listener, &protocol, &mut connections, terms.connections_max) => {}
    }
    // Whoever connects from now on is refused at once instead of waiting in vain.
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(terms.grace, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "dropping connections that did not end in time");
        connections.shutdown().await;
    }
}

/// Accepts for ever. Beyond the limit connections wait in the system's own queue, which refuses what it cannot hold.
async fn accept<L: Listener>(
    listener: &L,
    protocol: &Arc<Protocol>,
    connections: &mut JoinSet<()>,
    connections_max: usize,
) {
    let mut is_refused = false;
    loop {
        if connections.len() >= connections_max {
            connections.join_next().await;
            continue;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // What has ended is let go of at once, for the memory of its task.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((opening, peer)) => {
                is_refused = false;
                let protocol = Arc::clone(protocol);
                connections.spawn(async move {
                    // Whoever does not trust the certificate, or is no client of ours, ends it here.
                    if let Ok(stream) = opening.await {
                        protocol.serve(stream, peer).await;
                    }
                });
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                // Without files, for instance: that will not be better at once, and one line in the log is enough.
                if !is_refused {
                    tracing::error!(%error, "no connection can be accepted; trying again");
                }
                is_refused = true;
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether it was only this one client that went away.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
