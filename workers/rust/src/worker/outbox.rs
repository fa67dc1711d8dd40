//! What is to be reported: ends of attempts in their order, news of operations that run, and heartbeats.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::handler::Key;
use crate::wire::Report;

/// The protocol's bound on the reports of one call.
const REPORTS_MAX: usize = 1000;
/// The protocol's bound on the body is 8 MiB; what sizes are estimated by leaves room for the rest.
const BATCH_BYTES_MAX: usize = 7 * 1024 * 1024;
/// What a report has besides its texts and payloads: names, id, token, status, numbers.
const REPORT_BYTES: usize = 320;
/// JSON may write one byte as six (`\u0001`).
const ESCAPED: usize = 6;
/// A handler that reports progress in a tight loop shall not keep an exchange always on its way.
const NEWS_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Outbox {
    ends: VecDeque<Report>,
    /// Operations with progress or a checkpoint. Each is there at most once; what is said of it is read when
    /// the batch is made.
    news: Vec<Key>,
    news_from: Instant,
    /// Operations whose leases are to be kept.
    beats: VecDeque<Key>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self { ends: VecDeque::new(), news: Vec::new(), news_from: Instant::now(), beats: VecDeque::new() }
    }

    pub(super) fn push(&mut self, report: Report) {
        self.ends.push_back(report);
    }

    /// Puts reports that were not delivered back, before everything else.
    pub(super) fn put_back(&mut self, reports: Vec<Report>) {
        for report in reports.into_iter().rev() {
            self.ends.push_front(report);
        }
    }

    pub(super) fn progress(&mut self, key: Key) {
        self.news.push(key);
    }

    pub(super) fn heartbeat(&mut self, key: Key) {
        self.beats.push_back(key);
    }

    /// Whether everything was told, heartbeats aside.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.news.is_empty()
    }

    /// How many ends of attempts wait to be told.
    pub(super) fn ends(&self) -> usize {
        self.ends.len()
    }

    /// When there are ends or news to send; `None` while there are none.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        match (self.ends.is_empty(), self.news.is_empty()) {
            (false, _) => Some(now),
            (true, false) => Some(self.news_from.max(now)),
            (true, true) => None,
        }
    }

    /// Takes the heartbeats of one call.
    pub(super) fn beats(&mut self) -> impl Iterator<Item = Key> {
        self.beats.drain(..self.beats.len().min(REPORTS_MAX))
    }

    /// Takes one call's worth of ends and news. `news` makes the report of an operation that is still held.
    pub(super) fn batch(&mut self, now: Instant, mut news: impl FnMut(Key) -> Option<Report>) -> Vec<Report> {
        let mut batch = Vec::with_capacity(REPORTS_MAX.min(self.ends.len() + self.news.len()));
        let mut bytes = 0;
        while batch.len() < REPORTS_MAX {
            let Some(report) = self.ends.pop_front() else { break };
            bytes += size(&report);
            if bytes > BATCH_BYTES_MAX && !batch.is_empty() {
                self.ends.push_front(report);
                return batch;
            }
            batch.push(report);
        }
        let mut taken = 0;
        for &key in &self.news {
            if batch.len() >= REPORTS_MAX || bytes > BATCH_BYTES_MAX {
                break;
            }
            taken += 1;
            if let Some(report) = news(key) {
                bytes += size(&report);
                batch.push(report);
            }
        }
        self.news.drain(..taken);
        self.news_from = now + NEWS_INTERVAL;
        batch
    }
}

/// An upper bound, near enough, of a report's size on the wire.
fn size(report: &Report) -> usize {
    let json = |json: &Option<crate::wire::Json>| json.as_ref().map_or(0, |json| json.get().len());
    let text = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() * ESCAPED);
    let error = report.error.as_ref().map_or(0, super::report::error_bytes);
    REPORT_BYTES
        + json(&report.result)
        + json(&report.checkpoint)
        + text(&report.status_detail)
        + text(&report.resource_location)
        + error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Status, to_json};
    use uuid::Uuid;

    fn end() -> Report {
        Report::new(Uuid::new_v4(), 1, Status::Completed)
    }

    #[test]
    fn a_batch_has_at_most_a_thousand_reports() {
        let mut outbox = Outbox::new();
        (0..1500).for_each(|_| outbox.push(end()));
        assert_eq!(outbox.batch(Instant::now(), |_| None).len(), 1000);
        assert_eq!(outbox.batch(Instant::now(), |_| None).len(), 500);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_batch_stays_below_eight_mebibytes() {
        let mut outbox = Outbox::new();
        let result = to_json(&"x".repeat(250 * 1024)).unwrap();
        (0..100).for_each(|_| outbox.push(Report { result: Some(result.clone()), ..end() }));
        let mut sent = 0;
        while !outbox.is_empty() {
            let batch = outbox.batch(Instant::now(), |_| None);
            assert!(serde_json::to_vec(&batch).unwrap().len() < 8 * 1024 * 1024);
            sent += batch.len();
        }
        assert_eq!(sent, 100);
    }

    #[test]
    fn progress_waits_for_its_interval_and_an_end_does_not() {
        let (mut outbox, now) = (Outbox::new(), Instant::now());
        outbox.push(end());
        outbox.batch(now, |_| None);
        outbox.progress(Key { id: Uuid::new_v4(), token: 1 });
        assert_eq!(outbox.due(now), Some(now + NEWS_INTERVAL));
        outbox.push(end());
        assert_eq!(outbox.due(now), Some(now));
    }
}
