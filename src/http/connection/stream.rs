//! One stream of HTTP/2, whose client has to read it.
//!
//! Where streams share a socket, none shows there that it stands still: its client goes on to read the others, or answers
//! pings. So each stream has its own eye on whether its body is taken.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};

use crate::metrics::{Cut, Metrics};

/// Whether something of an answer waits for its client, and how often something did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Offer {
    waits: bool,
    count: u64,
    /// The answer is a stream of events.
    is_watch: bool,
}

tokio::task_local! {
    /// Of the stream whose task this is. On HTTP/1.1 there is none: one request at a time has the whole socket.
    static OFFER: Cell<Offer>;
}

/// Says whether the body of an answer has something for its client, which hyper takes as soon as that has room.
pub(super) fn offers(waits: bool) {
    let _ = OFFER.try_with(|offer| {
        let count = offer.get().count + u64::from(waits);
        offer.set(Offer { waits, count, ..offer.get() });
    });
}

/// Says that the answer is a stream of events.
pub(super) fn watches() {
    let _ = OFFER.try_with(|offer| offer.set(Offer { is_watch: true, ..offer.get() }));
}

/// Runs the streams of HTTP/2, and resets those whose clients do not read them for so long.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) patience: Duration,
    pub(super) metrics: Arc<Metrics>,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (patience, metrics) = (self.patience, self.metrics.clone());
        let seen = async move {
            if until_deaf(stream, patience).await {
                let watchers = usize::from(OFFER.with(Cell::get).is_watch);
                metrics.requests.cut(Cut::Unread, watchers);
            }
        };
        tokio::spawn(OFFER.scope(Cell::default(), seen));
    }
}

/// Dropping a stream resets it; whether that was needed.
async fn until_deaf<F: Future>(stream: F, patience: Duration) -> bool {
    let mut stream = pin!(stream);
    let mut eye = Eye { patience, offer: Offer::default(), timer: None };
    std::future::poll_fn(|context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(false);
        }
        eye.poll(context).map(|()| true)
    })
    .await
}

struct Eye {
    patience: Duration,
    offer: Offer,
    /// There is none until a client makes the stream wait.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Eye {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let offer = OFFER.with(Cell::get);
        if !offer.waits {
            self.offer = offer;
            return Poll::Pending;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.patience)));
        if offer != self.offer {
            self.offer = offer;
            timer.as_mut().reset(Instant::now() + self.patience);
        }
        timer.as_mut().poll(context)
    }
}
