//! What the intake loop shares with those who ask and read.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::cache::Cache;
use super::figures::Latest;
use super::own::Own;
use super::queues::Controlled;
use super::watch::Watch;
use super::workers::Workers;
use crate::metrics::Metrics;
use crate::traces::Traces;

/// What the loop shares with those who ask and read.
#[derive(Debug, Default)]
pub struct Shared {
    /// Operations as they last were.
    pub cache: Arc<Cache>,
    /// Who follows them.
    pub watch: Arc<Watch>,
    /// Who asked for work lately.
    pub workers: Workers,
    /// The queues that are paused or limited.
    pub controlled: Controlled,
    /// Other nodes write the store, too: then nothing is cached, and what happened is told in the order of all commits.
    pub many: bool,
    /// What the loop committed, until that has been told there.
    pub(super) own: Own,
    /// The loop has ended.
    pub ended: tokio::sync::watch::Sender<bool>,
    /// The store answered nothing when it was asked last.
    pub away: AtomicBool,
    /// No more claims: the server is about to end.
    pub draining: tokio::sync::watch::Sender<bool>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where spans go, if anywhere.
    pub traces: Option<Arc<Traces>>,
    /// How things stood in the store when it was asked last.
    pub(super) figures: Latest,
    /// The store failed; nothing is acknowledged any more.
    pub failed: tokio::sync::watch::Sender<bool>,
}
