//! The loop, and what it owns.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::call::{CallEnd, Outstanding, ended};
use super::drain::Drain;
use super::options::Options;
use super::outbox::Outbox;
use super::{StatsHandle, WorkerError, report};
use crate::exchange::Exchange;
use crate::handler::{AnyHandler, Held, Key, Shared};

/// Far enough to be never; tokio's timer takes no infinity.
pub(super) const NEVER: Duration = Duration::from_hours(1);
/// How often the loop steps back for handlers that are about to finish. A burst of short ones ends in far
/// fewer; the bound keeps a steady stream of them from holding the reports back.
const SETTLE_TURNS: usize = 64;

pub(super) struct Runtime {
    pub(super) exchange: Arc<dyn Exchange>,
    pub(super) handlers: HashMap<String, Arc<AnyHandler>>,
    pub(super) options: Options,
    pub(super) stats: StatsHandle,
    pub(super) shared: Arc<Shared>,
    pub(super) held: HashMap<Key, Entry>,
    pub(super) outbox: Outbox,
    /// Carries ends and news, and a claim where `claiming` has none.
    pub(super) reporting: Option<Outstanding>,
    /// Carries a claim only, and hangs.
    pub(super) claiming: Option<Outstanding>,
    /// Carries heartbeats only: no large result, and no server that is slow to give work, holds them up.
    pub(super) beating: Option<Outstanding>,
    /// The last call with reports and a claim was refused: which of them was it?
    pub(super) suspect_claim: bool,
    /// When a lease is to be looked at next.
    pub(super) wake: Instant,
    pub(super) drain: Option<Drain>,
}

/// An operation this worker holds.
pub(super) struct Entry {
    pub(super) held: Arc<Held>,
    pub(super) task: JoinHandle<()>,
    pub(super) next_heartbeat: Instant,
    pub(super) timeout_at: Option<Instant>,
    /// How long the handler may take to return once it was told to stop.
    pub(super) stop_within: Duration,
    /// The handler was told that its time is over; it is aborted then.
    pub(super) abort_at: Option<Instant>,
    /// The operation waits in the outbox to tell its news.
    pub(super) has_news: bool,
    /// A heartbeat waits in the outbox, or is on its way.
    pub(super) beats: bool,
    /// The server said that the lease is gone: nothing more is to be reported.
    pub(super) lost: bool,
}

enum Event {
    Shutdown,
    Reporting(CallEnd),
    Claiming(CallEnd),
    Beating(CallEnd),
    Inbox,
    Timer,
}

impl Runtime {
    pub(super) fn new(
        exchange: Arc<dyn Exchange>,
        handlers: HashMap<String, AnyHandler>,
        options: Options,
        stats: StatsHandle,
    ) -> Self {
        let shared = Arc::new(Shared::new(options.slots.clone()));
        shared.slots.join(&shared);
        Self {
            exchange,
            handlers: handlers.into_iter().map(|(name, handler)| (name, Arc::new(handler))).collect(),
            options,
            stats,
            shared,
            held: HashMap::new(),
            outbox: Outbox::new(),
            reporting: None,
            claiming: None,
            beating: None,
            suspect_claim: false,
            wake: Instant::now() + NEVER,
            drain: None,
        }
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let timer = sleep_until(self.wake);
        tokio::pin!(timer);
        loop {
            let now = Instant::now();
            self.read_inbox();
            self.look_at_leases(now);
            self.advance_drain(now);
            self.launch(now);
            if self.is_over(now) {
                return self.farewell();
            }
            let wake = self.next_wake(now);
            if timer.deadline() != wake {
                timer.as_mut().reset(wake);
            }
            let event = tokio::select! {
                biased;
                () = shutdown.cancelled(), if self.drain.is_none() => Event::Shutdown,
                end = ended(&mut self.beating) => Event::Beating(end),
                end = ended(&mut self.reporting) => Event::Reporting(end),
                end = ended(&mut self.claiming) => Event::Claiming(end),
                () = self.shared.notified() => Event::Inbox,
                () = &mut timer => Event::Timer,
            };
            self.handle(event);
            settle(&self.shared).await;
        }
    }

    fn handle(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Shutdown => self.begin_drain(now, self.options.grace),
            Event::Reporting(end) => self.answered(end, now),
            Event::Claiming(end) => {
                self.claim_ended(&end);
                self.answered(end, now);
            }
            Event::Beating(end) => {
                self.have_beaten(&end.request.reports);
                self.answered(end, now);
            }
            Event::Inbox | Event::Timer => {}
        }
    }

    fn read_inbox(&mut self) {
        let inbox = self.shared.take();
        for finished in inbox.finished {
            // One that was aborted just as it finished is reported already.
            let Some(entry) = self.held.remove(&finished.key) else { continue };
            if entry.lost {
                continue; // counted when it was lost
            }
            for report in report::of_end(&entry.held, finished.end) {
                self.outbox.push(report);
            }
        }
        for key in inbox.touched {
            if let Some(entry) = self.held.get_mut(&key).filter(|entry| !entry.has_news) {
                entry.has_news = true;
                self.outbox.progress(key);
            }
        }
    }

    fn next_wake(&self, now: Instant) -> Instant {
        let news = self.outbox.due(now).filter(|_| self.reporting.is_none());
        let drain = self.drain.as_ref().map(|drain| drain.next_step(now));
        [news, drain].into_iter().flatten().fold(self.wake, Instant::min)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // A handler without a runtime has no lease that anybody keeps.
        for entry in self.held.values() {
            entry.task.abort();
        }
    }
}

/// Steps back while handlers finish one after the other, so that a burst of short ones is reported in one
/// exchange instead of many.
async fn settle(shared: &Shared) {
    for _ in 0..SETTLE_TURNS {
        let finished = shared.finished_count();
        yield_now().await;
        if shared.finished_count() == finished {
            return;
        }
    }
}
