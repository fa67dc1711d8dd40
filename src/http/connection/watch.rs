//! How long a connection may be silent, slow or deaf.
//!
//! hyper's own timer for heads begins when a connection falls idle, so that it cannot tell a client between two requests
//! from one that sends a byte at a time; hyper-util's reading of the preface has none; and a client that stops reading is
//! nowhere timed. One watch does all three, from what the socket counts, and costs a request no timer of its own.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::pulse::Pulse;
use crate::limits;
use crate::metrics::Cut;

/// How long a connection waits for its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the rest of a request's head, once it has begun.
    pub(super) head: Duration,
    /// For a request.
    pub(super) idle: Duration,
    /// For what was answered to be read.
    pub(super) write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: limits::HEAD_READ, idle: limits::CONNECTION_IDLE, write: limits::WRITE_STALL }
    }
}

/// What becomes of a connection whose client took too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is closed as the protocol wants it.
    Close,
    /// It is cut.
    Cut(Cut),
}

/// What a connection waits for. A wait that differs is another wait, with a time of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wait {
    /// Our answer to a request.
    Busy,
    /// A request, after so many.
    Idle(u64),
    /// The rest of a head, after so many requests.
    Head(u64),
    /// The client to read, after so many writes.
    Write(u64),
}

#[derive(Debug)]
pub(super) struct Watch {
    patience: Patience,
    wait: Wait,
    /// When the wait is over; never while the server is the one to act.
    due: Option<Instant>,
    /// Fires at `due` or before; it is moved only when it must be.
    timer: Pin<Box<Sleep>>,
    /// Requests so far and the reads that brought them: whatever is read after these begins a head.
    begun: u64,
    reads: u64,
}

impl Watch {
    pub(super) fn new(patience: Patience) -> Self {
        let due = Instant::now() + patience.idle;
        let timer = Box::pin(tokio::time::sleep_until(due));
        Self { patience, wait: Wait::Idle(0), due: Some(due), timer, begun: 0, reads: 0 }
    }

    /// The connection is to end: once all is answered, its client has only as long as it may take to read.
    pub(super) fn closing(&mut self) {
        self.patience.idle = self.patience.write;
        self.begin(self.wait);
    }

    /// To be called after each turn of the connection, since only such a turn changes what it waits for.
    pub(super) fn poll(&mut self, pulse: &Pulse, context: &mut Context<'_>) -> Poll<Verdict> {
        let wait = self.look(pulse);
        if wait != self.wait {
            self.begin(wait);
        }
        let Some(due) = self.due else { return Poll::Pending };
        while self.timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(match wait {
                    Wait::Busy | Wait::Idle(_) => Verdict::Close,
                    Wait::Head(_) => Verdict::Cut(Cut::SlowHead),
                    Wait::Write(_) => Verdict::Cut(Cut::Unread),
                });
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    fn look(&mut self, pulse: &Pulse) -> Wait {
        let (begun, is_active) = (pulse.begun(), pulse.is_active());
        if is_active || begun != self.begun {
            (self.begun, self.reads) = (begun, pulse.reads());
        }
        if pulse.write_waits() {
            Wait::Write(pulse.writes())
        } else if is_active {
            Wait::Busy
        } else if pulse.reads() > self.reads && !pulse.is_http2() {
            Wait::Head(begun)
        } else {
            Wait::Idle(begun)
        }
    }

    fn begin(&mut self, wait: Wait) {
        let patience = match wait {
            Wait::Busy => None,
            Wait::Idle(_) => Some(self.patience.idle),
            Wait::Head(_) => Some(self.patience.head),
            Wait::Write(_) => Some(self.patience.write),
        };
        self.wait = wait;
        self.due = patience.map(|patience| Instant::now() + patience);
        if let Some(due) = self.due.filter(|due| *due < self.timer.deadline()) {
            self.timer.as_mut().reset(due);
        }
    }
}
