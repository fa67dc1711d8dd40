//! What is kept beside operations, where other nodes change it too: tokens, queue controls, which workers are there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::auth::Keys;
use crate::store::AllTenants;
use crate::tracker::Tracker;

/// How often it is read.
const EVERY: Duration = Duration::from_secs(1);
/// Who comes with a token that is not known has it read anew, all such callers together no more often than this.
const FOR_STRANGERS: Duration = Duration::from_millis(200);

/// Keeps this node up with what others write.
#[derive(Debug)]
pub struct Registry {
    tracker: Tracker,
    keys: Arc<Keys>,
    /// When the last read that went well began.
    read: Mutex<Instant>,
}

impl Registry {
    /// That of a node.
    pub fn new(tracker: Tracker, keys: Arc<Keys>) -> Arc<Self> {
        Arc::new(Self { tracker, keys, read: Mutex::new(Instant::now()) })
    }

    /// Reads it again and again.
    pub async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            let mut read = self.read.lock().await;
            self.look(&mut read).await;
        }
    }

    /// Returns when it was read after this was called, or cannot be.
    pub async fn look_again(&self) {
        let asked = Instant::now();
        let mut read = self.read.lock().await;
        // Whoever waited before may have read it meanwhile.
        if *read < asked {
            tokio::time::sleep(FOR_STRANGERS.saturating_sub(read.elapsed())).await;
            self.look(&mut read).await;
        }
    }

    async fn look(&self, read: &mut Instant) {
        let began = Instant::now();
        match self.tracker.reader().registry(AllTenants).await {
            Ok(registry) => {
                *read = began;
                self.tracker.learn(&registry);
                self.keys.learn(registry.credentials);
            }
            Err(error) => tracing::debug!(%error, "what other nodes have written cannot be read just now"),
        }
    }
}
