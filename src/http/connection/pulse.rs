//! What a connection is doing, as seen from its socket and from its requests.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::linger::Linger;
use super::stream;

/// Counters that a connection's socket and its requests keep and its watch reads. On HTTP/2 requests are tasks of their
/// own, so these are atomics; nothing is ordered by them, and a late reading only delays a verdict.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    reads: AtomicU64,
    writes: AtomicU64,
    write_waits: AtomicBool,
    begun: AtomicU64,
    active: AtomicUsize,
    is_http2: AtomicBool,
    body_given_up: AtomicBool,
    watchers: AtomicUsize,
}

impl Pulse {
    /// Counts a request from here until the last byte of its answer was handed on.
    pub(super) fn begin(self: &Arc<Self>) -> Active {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        if self.body_given_up.load(Ordering::Relaxed) {
            self.body_given_up.store(false, Ordering::Relaxed);
        }
        Active(Arc::clone(self))
    }

    /// Whether it speaks HTTP/2, where clients send frames of their own while they wait for nothing. Its settings are
    /// what a server says before any request; on HTTP/1.1 it says nothing then but that it closes.
    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// The body of the latest request is not read to its end.
    pub(super) fn give_up_body(&self) {
        self.body_given_up.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending what nobody will read: the connection then ends with the answer. On HTTP/2
    /// only the stream does.
    fn ends_early(&self) -> bool {
        self.body_given_up.load(Ordering::Relaxed) && !self.is_http2()
    }

    /// Reads from the socket that brought something.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Writes to the socket that took something.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Whether bytes wait for the client to read others first.
    pub(super) fn write_waits(&self) -> bool {
        self.write_waits.load(Ordering::Relaxed)
    }

    /// Requests so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Answers that are streams of events.
    pub(super) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    /// Whether a request is being answered.
    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0
    }
}

/// One request that is being answered.
#[derive(Debug)]
pub(super) struct Active(Arc<Pulse>);

impl Active {
    /// Whether its answer is the connection's last.
    pub(super) fn ends_early(&self) -> bool {
        self.0.ends_early()
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer, which keeps its request active.
#[derive(Debug)]
pub(super) struct ActiveBody {
    body: Body,
    is_watch: bool,
    active: Active,
}

impl ActiveBody {
    /// Of an answer that is a stream of events, or any other.
    pub(super) fn new(body: Body, is_watch: bool, active: Active) -> Self {
        stream::offers(true);
        if is_watch {
            stream::watches();
            active.0.watchers.fetch_add(1, Ordering::Relaxed);
        }
        Self { body, is_watch, active }
    }
}

impl Drop for ActiveBody {
    fn drop(&mut self) {
        if self.is_watch {
            self.active.0.watchers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl hyper::body::Body for ActiveBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        stream::offers(matches!(frame, Poll::Ready(Some(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that counts, and that does not close on a client which still sends.
#[derive(Debug)]
pub(super) struct Socket<T> {
    stream: T,
    pulse: Arc<Pulse>,
    linger: Option<Linger>,
}

impl<T> Socket<T> {
    pub(super) fn new(stream: T, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse, linger: None }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if self.pulse.write_waits() != written.is_pending() {
            self.pulse.write_waits.store(written.is_pending(), Ordering::Relaxed);
        }
        if written.is_ready() {
            if self.pulse.begun() == 0 {
                self.pulse.is_http2.store(true, Ordering::Relaxed);
            }
            self.pulse.writes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.pulse.reads.fetch_add(1, Ordering::Relaxed);
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, pulse, linger } = &mut *self;
        if linger.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
        }
        if !pulse.ends_early() {
            return Poll::Ready(Ok(()));
        }
        let lingering = linger.get_or_insert_default().poll(Pin::new(stream), context);
        pulse.reads.fetch_add(1, Ordering::Relaxed);
        lingering
    }
}
