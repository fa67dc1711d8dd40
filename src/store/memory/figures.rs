//! How things stand.

use async_trait::async_trait;

use super::MemoryReader;
use crate::operation::Timestamp;
use crate::store::figures::{Count, Figured, Figures};
use crate::store::turn::CountKey;
use crate::store::{AllTenants, StoreError};

#[async_trait]
impl Figured for MemoryReader {
    async fn figures(&self, _: AllTenants) -> Result<Figures, StoreError> {
        let kept = self.disk.kept();
        let mut figures = Figures::default();
        let mut oldest: Vec<(_, Timestamp)> = Vec::new();
        for row in kept.rows() {
            let CountKey { queue, status, held, external, .. } = CountKey::of(row);
            oldest.extend(row.ready_since().map(|since| (queue.clone(), since)));
            figures.counts.push(Count { queue, status, held, external, n: 1 });
        }
        oldest.sort();
        oldest.dedup_by(|later, first| later.0 == first.0);
        figures.oldest_ready = Some(oldest);
        Ok(figures)
    }
}
