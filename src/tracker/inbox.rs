//! Where entries wait for the loop, in lanes: what running work needs is never behind new work, nor behind what one tenant
//! sends too much of.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::entry::{Denied, Entry, Reply};
use super::tail::News;
use crate::limits;
use crate::operation::{Command, TenantId, Timestamp};

/// Takes entries in. The intake loop behind it is the one of the server; the yardstick of the benches has its own.
pub trait Door: Send + Sync {
    /// Hands an entry in, or says why not. Once taken, it is carried out whether or not anybody still waits for it.
    fn hand(&self, entry: Entry) -> Result<(), Denied>;
}

/// A wish to set the clock ahead.
pub type Journey = (Duration, Reply<Timestamp>);

/// The lanes, and the bell that wakes the loop.
#[derive(Debug)]
pub struct Inbox {
    lanes: Mutex<Lanes>,
    bell: Condvar,
    submits_max: usize,
}

#[derive(Debug, Default)]
struct Lanes {
    /// Reports, and what the server says itself: bounded by the leases.
    urgent: VecDeque<Entry>,
    /// Cancels, patches, ends of links, each tenant's in a line of its own.
    orders: FairLine,
    /// Claims without reports: bounded by the workers.
    claims: VecDeque<Entry>,
    /// Submits, retries, deletes and changes of queues, each tenant's in a line of its own.
    fresh: FairLine,
    /// By what the clock is to be set ahead, after what came before.
    journeys: Vec<Journey>,
    /// What was done to a store that several nodes share, by the cursors of its events.
    news: Vec<(i64, News)>,
    closed: bool,
    waiting: bool,
    rung: bool,
}

/// How many entries wait in each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Reports, cancels, patches.
    pub urgent: usize,
    /// Claims.
    pub claims: usize,
    /// Submits, retries, deletes.
    pub fresh: usize,
}

/// Each tenant's line; one entry of each in turn.
#[derive(Debug, Default)]
struct FairLine {
    lines: HashMap<TenantId, VecDeque<Entry>>,
    turn: VecDeque<TenantId>,
    len: usize,
}

impl FairLine {
    fn push(&mut self, tenant: TenantId, entry: Entry) {
        self.len += 1;
        if let Some(line) = self.lines.get_mut(&tenant) {
            line.push_back(entry);
        } else {
            self.turn.push_back(tenant.clone());
            self.lines.insert(tenant, VecDeque::from([entry]));
        }
    }

    /// Whether a tenant may add to its line: until that is as long as there is room left. However greedy one tenant is, half of
    /// all stays for the others; however many are, each has as much as the rest of all.
    fn takes(&self, tenant: &TenantId, most: usize) -> bool {
        let own = self.lines.get(tenant).map_or(0, VecDeque::len);
        self.len + own < most
    }

    fn pop(&mut self) -> Option<Entry> {
        let tenant = self.turn.pop_front()?;
        let line = self.lines.get_mut(&tenant)?;
        let entry = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&tenant);
        } else {
            self.turn.push_back(tenant);
        }
        self.len -= 1;
        entry
    }
}

/// What one turn takes, in the order in which it is applied.
#[derive(Debug, Default)]
pub struct Batch {
    /// The entries: urgent, then orders, then claims, then fresh.
    pub entries: Vec<Entry>,
    /// What sets the clock ahead after them.
    pub journeys: Vec<Journey>,
    /// What was done to a store that several nodes share, by the cursors of its events.
    pub(super) news: Vec<(i64, News)>,
    /// Nothing came, and nothing will any more.
    pub closed: bool,
}

impl Inbox {
    /// An inbox that lets so many submits wait.
    pub fn new(submits_max: usize) -> Self {
        Self { lanes: Mutex::default(), bell: Condvar::new(), submits_max }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what waits; with nothing there, waits for the first entry, at most until `until`.
    pub fn drain(&self, until: Instant) -> Batch {
        let mut lanes = self.lanes();
        while lanes.is_empty() && !lanes.closed && !lanes.rung {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break;
            }
            lanes.waiting = true;
            lanes = self.bell.wait_timeout(lanes, left).unwrap_or_else(PoisonError::into_inner).0;
            lanes.waiting = false;
        }
        lanes.rung = false;
        let mut entries: Vec<Entry> = Vec::new();
        let mut reports = 0;
        while reports < limits::TURN_REPORTS_MAX {
            let Some(entry) = lanes.urgent.pop_front() else { break };
            reports += match &entry {
                Entry::Exchange(exchange, _) => exchange.reports.len(),
                _ => 1,
            };
            entries.push(entry);
        }
        let orders_max = entries.len() + limits::TURN_ORDERS_MAX;
        while entries.len() < orders_max {
            let Some(entry) = lanes.orders.pop() else { break };
            entries.push(entry);
        }
        entries.extend(lanes.claims.drain(..));
        let fresh_max = entries.len() + limits::TURN_SUBMITS_MAX;
        while entries.len() < fresh_max {
            let Some(entry) = lanes.fresh.pop() else { break };
            entries.push(entry);
        }
        let journeys = std::mem::take(&mut lanes.journeys);
        let news = std::mem::take(&mut lanes.news);
        // A last turn may have an answer that nobody hears, and hand it back.
        let closed = lanes.closed && entries.is_empty() && journeys.is_empty();
        Batch { entries, journeys, news, closed }
    }

    /// Lets the loop set the clock ahead.
    pub fn travel(&self, journey: Journey) -> Result<(), Denied> {
        let mut lanes = self.lanes();
        if lanes.closed {
            return Err(Denied::ShuttingDown);
        }
        lanes.journeys.push(journey);
        self.bell.notify_one();
        Ok(())
    }

    /// Tells the loop what was done to a store that several nodes share.
    pub(super) fn hear(&self, news: Vec<(i64, News)>) {
        let mut lanes = self.lanes();
        lanes.news.extend(news);
        lanes.rung = true;
        self.bell.notify_one();
    }

    /// Wakes the loop for something that is not in a lane.
    pub fn ring(&self) {
        self.lanes().rung = true;
        self.bell.notify_one();
    }

    /// How many entries wait.
    pub fn backlog(&self) -> Backlog {
        let lanes = self.lanes();
        let urgent = lanes.urgent.len() + lanes.orders.len;
        Backlog { urgent, claims: lanes.claims.len(), fresh: lanes.fresh.len }
    }

    /// Takes nothing in any more; what waits is still carried out.
    pub fn close(&self) {
        self.lanes().closed = true;
        self.bell.notify_one();
    }
}

impl Lanes {
    fn is_empty(&self) -> bool {
        let lines = self.orders.len + self.fresh.len;
        self.urgent.is_empty() && self.claims.is_empty() && lines == 0 && self.journeys.is_empty()
    }
}

impl Door for Inbox {
    fn hand(&self, entry: Entry) -> Result<(), Denied> {
        let mut lanes = self.lanes();
        // What a claim took for somebody who is gone goes back as long as the loop turns.
        if lanes.closed && !matches!(entry, Entry::Return(_)) {
            return Err(Denied::ShuttingDown);
        }
        let line_of = match &entry {
            Entry::Submit(submit, _) => Some((&mut lanes.fresh, &submit.submission.spec.lane.tenant)),
            Entry::Command(order, _) if matches!(order.command, Command::Retry | Command::Delete) => {
                Some((&mut lanes.fresh, &order.tenant))
            }
            Entry::Command(order, _) => Some((&mut lanes.orders, &order.tenant)),
            Entry::Queue(order, _) => Some((&mut lanes.fresh, &order.tenant)),
            _ => None,
        };
        if let Some((line, tenant)) = line_of {
            let tenant = tenant.clone();
            if !line.takes(&tenant, self.submits_max) {
                return Err(Denied::Overloaded);
            }
            line.push(tenant, entry);
        } else if matches!(&entry, Entry::Exchange(exchange, _) if exchange.reports.is_empty()) {
            lanes.claims.push_back(entry);
        } else {
            lanes.urgent.push_back(entry);
        }
        if lanes.waiting {
            self.bell.notify_one();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_fills_half_of_what_is_left_and_all_together_the_rest() {
        let most = limits::SUBMIT_LANE_MAX;
        let mut line = FairLine::default();
        let mut fills = |name: &str| {
            let tenant = TenantId::parse(name).unwrap();
            let before = line.len;
            while line.takes(&tenant, most) {
                line.push(tenant.clone(), Entry::Return(Vec::new()));
            }
            line.len - before
        };
        assert_eq!((fills("greedy"), fills("greedy")), (most / 2, 0));
        assert_eq!((fills("second"), fills("third")), (most / 4, most / 8));
        let others: usize = (0..20).map(|number| fills(&format!("t{number}"))).sum();
        assert_eq!(others, most / 8, "no more than may wait");
        // Whatever is taken makes room for one of somebody else.
        line.pop();
        let modest = TenantId::parse("modest").unwrap();
        assert!(line.takes(&modest, most) && !line.takes(&TenantId::parse("greedy").unwrap(), most));
    }
}
