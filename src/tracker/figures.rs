//! What the tracker tells for the metrics: what is counted, who waits, and how things stand in the store, asked at most once at a
//! time and not again at once, however many ask.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Tracker;
use super::inbox::Backlog;
use crate::limits;
use crate::metrics::Metrics;
use crate::store::figures::Figures;
use crate::store::{AllTenants, Reader};
use crate::traces::Traces;

/// What the store told last.
#[derive(Debug, Default)]
pub(super) struct Latest(Mutex<Option<Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    /// None: it did not answer.
    figures: Option<Arc<Figures>>,
}

impl Latest {
    /// What it tells now, or told a moment ago. Who asks while another does waits for that answer.
    pub(super) async fn of(&self, reader: &dyn Reader) -> Option<Arc<Figures>> {
        let mut latest = self.0.lock().await;
        if let Some(told) = latest.as_ref().filter(|told| told.at.elapsed() < limits::SCRAPE_EVERY) {
            return told.figures.clone();
        }
        let figures = match timeout(limits::SCRAPE_MAX, reader.figures(AllTenants)).await {
            Ok(Ok(figures)) => Some(Arc::new(figures)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the store does not tell how it stands");
                None
            }
            Err(_) => None,
        };
        let told = latest.insert(Told { at: Instant::now(), figures });
        told.figures.clone()
    }
}

impl Tracker {
    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// Where spans go, if anywhere.
    pub fn traces(&self) -> Option<&Arc<Traces>> {
        self.shared.traces.as_ref()
    }

    /// How things stand in the store, as it told not long ago; none: it does not answer.
    pub async fn figures(&self) -> Option<Arc<Figures>> {
        self.shared.figures.of(&*self.reader).await
    }

    /// Those who watch events at this node just now.
    pub fn watchers(&self) -> usize {
        self.shared.watch.watchers()
    }

    /// How many entries wait for the loop.
    pub fn backlog(&self) -> Backlog {
        self.inbox.backlog()
    }
}
