//! Queues and workers, for those who look after them.

use std::time::Duration;

use form_urlencoded::byte_serialize;
use http::Method;
use tokio::time::Instant;

use super::{Client, ClientError, Values, json_body};
use crate::wire::{Demand, Queue, QueueChange, WorkerInfo};

const QUEUES: &str = "/v1.0/queues";

impl Client {
    /// The queues that hold anything or are paused or limited, by name.
    pub async fn queues(&self) -> Result<Vec<Queue>, ClientError> {
        let answer = self.read(QUEUES, Vec::new()).await?.success()?;
        answer.json::<Values<Queue>>().map(|page| page.value)
    }

    /// How much a queue wants workers. One that never was wants none.
    pub async fn demand(&self, queue: &str) -> Result<Demand, ClientError> {
        let path = format!("{}/demand", path(queue));
        self.read(&path, Vec::new()).await?.success()?.json()
    }

    /// Pauses, resumes or limits a queue; how it stands then. Repeated within the client's deadline: a change says what is
    /// to be, not by how much.
    pub async fn set_queue(&self, queue: &str, change: &QueueChange) -> Result<Queue, ClientError> {
        let (body, deadline) = (Some(json_body(change)?), Instant::now() + self.deadline);
        self.repeated(Method::PATCH, &path(queue), Vec::new(), body, Duration::ZERO, deadline).await?.json()
    }

    /// The workers that asked for work within the last hour or hold operations, those first that asked last.
    pub async fn workers(&self) -> Result<Vec<WorkerInfo>, ClientError> {
        let answer = self.read("/v1.0/workers", Vec::new()).await?.success()?;
        answer.json::<Values<WorkerInfo>>().map(|page| page.value)
    }
}

/// A name needs no escape; what is none is refused by the server and leads nowhere else.
fn path(queue: &str) -> String {
    format!("{QUEUES}/{}", byte_serialize(queue.as_bytes()).collect::<String>())
}
