//! Queues, what is set for them, and who takes from them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::number;

/// How a queue stands, and what is set for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Operations that may be claimed, as far as the queue's own pause and limit let them.
    pub ready: u64,
    /// Those that may not start yet.
    pub delayed: u64,
    /// Those under a lease.
    pub running: u64,
    /// Those that ended well.
    pub completed: u64,
    /// Those that ended otherwise.
    pub failed: u64,
    /// Seconds since when the oldest ready one waits; 0 when there is none.
    pub oldest_ready_seconds: u64,
    /// Nothing is claimed from it.
    pub paused: bool,
    /// How many may run at a time; `None`: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_running: Option<u32>,
    /// How many may wait before new ones are refused; `None`: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_waiting: Option<u32>,
}

/// What an autoscaler asks of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Demand {
    /// Operations that may be claimed.
    pub ready: u64,
    /// Those that may not start yet.
    pub delayed: u64,
    /// Those under a lease.
    pub running: u64,
    /// Seconds since when the oldest ready one waits; 0 when there is none.
    pub oldest_ready_seconds: u64,
    /// Nothing is claimed from it.
    pub paused: bool,
}

/// A change of what is set for a queue. What is `None` stays as it is; `Some(None)` clears a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueChange {
    /// Whether claims pass it by. What runs goes on, and new operations are taken in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// How many may run at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_running: Option<Option<u32>>,
    /// How many may wait before new ones are refused as `queueFull`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_waiting: Option<Option<u32>>,
}

/// A worker process, as the server knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerInfo {
    /// Its name.
    pub worker_id: String,
    /// When it last asked for work, RFC 3339; `None`: too long ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_asked_date_time: Option<String>,
    /// From where, which may be a proxy; `None`: the server itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Of which queues; `None`: of every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// Of which types; `None`: of every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_types: Option<Vec<String>>,
    /// How many operations it holds.
    pub running: u64,
    /// The first of those.
    pub operations: Vec<HeldOperation>,
}

/// An operation that a worker holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeldOperation {
    /// Its id.
    pub id: Uuid,
    /// Its queue.
    pub queue: String,
    /// Its type.
    pub operation_type: String,
    /// The token of the attempt.
    pub lease_token: i64,
    /// Seconds that are left of its lease.
    #[serde(serialize_with = "number::plain")]
    pub lease_seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_it_changes_and_null_for_a_limit_that_goes() {
        let written = |change: QueueChange| serde_json::to_string(&change).unwrap();
        assert_eq!(written(QueueChange::default()), "{}");
        let change = QueueChange { paused: Some(false), max_running: Some(None), max_waiting: Some(Some(7)) };
        assert_eq!(written(change), r#"{"paused":false,"maxRunning":null,"maxWaiting":7}"#);
    }
}
