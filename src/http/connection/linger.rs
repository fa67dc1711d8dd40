//! The end of a connection whose client still sends: a socket that is closed with bytes unread resets the connection, and
//! an answer that the client has not read yet is lost with it. So what it still sends is read and dropped, up to a bound;
//! how long that may take, the watch says.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

use super::pulse::Pulse;
use crate::limits;

/// The body of a request, which notes when it was given up before its end.
#[derive(Debug)]
pub(super) struct RequestBody {
    body: Incoming,
    pulse: Arc<Pulse>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, pulse: Arc<Pulse>) -> Self {
        Self { body, pulse }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.pulse.give_up_body();
        }
    }
}

/// Reads on after the socket was shut for writing, until the client is done.
#[derive(Debug, Default)]
pub(super) struct Linger {
    dropped: usize,
}

impl Linger {
    pub(super) fn poll(
        &mut self,
        mut stream: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut scratch = [0; 8 << 10];
        while self.dropped < limits::BODY_DROPPED_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(stream.as_mut().poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            self.dropped += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
