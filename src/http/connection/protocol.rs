//! One connection: HTTP/1.1 or HTTP/2 over a socket, as the watch and the shutdown allow.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::linger::RequestBody;
use super::pulse::{ActiveBody, Pulse, Socket};
use super::stream::Streams;
use super::watch::{Patience, Verdict, Watch};
use crate::http::arrival::Peer;
use crate::http::outer::Outer;
use crate::http::sse;
use crate::limits;
use crate::metrics::{Metrics, Present};

/// How connections of one listener are served.
#[derive(Debug)]
pub(super) struct Protocol {
    builder: Builder<Streams>,
    outer: Outer<Router>,
    patience: Patience,
    shutdown: CancellationToken,
}

/// Why a connection's normal course ends.
enum Turn {
    /// It is over.
    Ended,
    /// It should end as soon as its requests are answered.
    Close,
}

impl Protocol {
    pub(super) fn new(outer: Outer<Router>, patience: Patience, shutdown: CancellationToken) -> Self {
        Self { builder: builder(patience.write, outer.metrics()), outer, patience, shutdown }
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) {
        let requests = &self.outer.metrics().requests;
        let _present = Present::of(&requests.connections);
        let pulse = Arc::new(Pulse::default());
        let mut watch = Watch::new(self.patience);
        let service = service_fn(|request: Request<Incoming>| {
            let active = pulse.begin();
            let outer = self.outer.clone();
            let request = request.map(|body| RequestBody::new(body, Arc::clone(&pulse)));
            async move {
                let mut response = outer.answer(peer, request).await;
                if active.ends_early() {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                let is_watch = sse::is_stream(response.headers());
                Ok::<_, Infallible>(response.map(|body| ActiveBody::new(body, is_watch, active)))
            }
        });
        let socket = TokioIo::new(Socket::new(stream, Arc::clone(&pulse)));
        let mut connection = pin!(self.builder.serve_connection(socket, service));
        let mut told = pin!(self.shutdown.cancelled());

        let turn = std::future::poll_fn(|context| {
            // How it ended is between hyper and a client that is gone.
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(Turn::Ended);
            }
            match watch.poll(&pulse, context) {
                Poll::Ready(Verdict::Cut(why)) => {
                    requests.cut(why, pulse.watchers());
                    return Poll::Ready(Turn::Ended);
                }
                Poll::Ready(Verdict::Close) => return Poll::Ready(Turn::Close),
                Poll::Pending => {}
            }
            told.as_mut().poll(context).map(|()| Turn::Close)
        });
        if matches!(turn.await, Turn::Ended) {
            return;
        }
        connection.as_mut().graceful_shutdown();
        watch.closing();
        std::future::poll_fn(|context| {
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            watch.poll(&pulse, context).map(|verdict| {
                if let Verdict::Cut(why) = verdict {
                    requests.cut(why, pulse.watchers());
                }
            })
        })
        .await;
    }
}

fn builder(patience: Duration, metrics: &Arc<Metrics>) -> Builder<Streams> {
    let mut builder = Builder::new(Streams { patience, metrics: metrics.clone() });
    // The watch times heads; hyper's own timer would cut idle connections too.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(limits::HEAD_BYTES_READ_MAX);
    let list_bytes = u32::try_from(limits::HEAD_BYTES_READ_MAX).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(limits::HTTP2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(limits::HTTP2_ERROR_RESETS_MAX)
        .max_header_list_size(list_bytes)
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(limits::HTTP2_SEND_BUFFER_BYTES)
        .keep_alive_interval(limits::HTTP2_PING)
        .keep_alive_timeout(limits::HTTP2_PING);
    builder
}
