//! Who follows an operation, and the bell that rings for them at each of its changes.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::watch;

use crate::operation::{OperationId, TenantId};

type Key = (TenantId, OperationId);

/// The followers of single operations.
#[derive(Debug, Default)]
pub struct Watch {
    followed: DashMap<Key, watch::Sender<()>>,
}

/// A place among the followers of one operation, left when dropped. It hears of every change after it was taken.
#[derive(Debug)]
pub struct Follow {
    watch: Arc<Watch>,
    key: Key,
    bell: Option<watch::Receiver<()>>,
}

impl Watch {
    /// Takes a place. To miss nothing: first follow, then read, then wait.
    pub fn follow(self: &Arc<Self>, tenant: &TenantId, id: OperationId) -> Follow {
        let key = (tenant.clone(), id);
        let bell = self.followed.entry(key.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        Follow { watch: self.clone(), key, bell: Some(bell) }
    }

    /// For the commit path: the operation changed.
    pub fn ring(&self, tenant: &TenantId, id: OperationId) {
        if self.followed.is_empty() {
            return;
        }
        if let Some(bell) = self.followed.get(&(tenant.clone(), id)) {
            bell.send_replace(());
        }
    }
}

impl Follow {
    /// Waits for the next change since the last call.
    pub async fn changed(&mut self) {
        if let Some(bell) = &mut self.bell {
            // The sender lives in the map for as long as anybody follows.
            let _ = bell.changed().await;
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.bell = None;
        self.watch.followed.remove_if(&self.key, |_, bell| bell.receiver_count() == 0);
    }
}
