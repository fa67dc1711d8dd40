//! Waiting for the end of an operation, by long polls.

use std::time::Duration;

use http::Method;
use http::header::{HeaderName, HeaderValue};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Client, ClientError, Snapshot, operation_path, snapshot};

pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The server cuts longer waits to this.
const WAIT_SECONDS_MAX: u64 = 60;
/// An answer this much sooner than asked for means that the server does not wait now.
const EARLY: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_secs(1);

impl Client {
    /// Waits until the operation is `Completed` or `Failed`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Deadline`] when it has not ended within `limit`; the operation goes on.
    pub async fn wait(&self, id: Uuid, limit: Duration) -> Result<Snapshot, ClientError> {
        let deadline = Instant::now() + limit;
        loop {
            let asked = Instant::now();
            let wait = whole_seconds(deadline - asked);
            let current = self.long_poll(id, wait, deadline).await?;
            if current.operation.status.is_terminal() {
                return Ok(current);
            }
            let early = asked.elapsed() + EARLY < wait || wait.is_zero();
            if early {
                let pause = current.retry_after.unwrap_or(POLL);
                sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
            }
            if Instant::now() >= deadline {
                return Err(ClientError::Deadline);
            }
        }
    }

    async fn long_poll(&self, id: Uuid, wait: Duration, deadline: Instant) -> Result<Snapshot, ClientError> {
        let headers = vec![(PREFER, prefer_wait(wait))];
        // The last poll may answer a moment after the deadline it was asked to wait for.
        let until = deadline.min(Instant::now() + wait + self.deadline);
        let answer = self.repeated(Method::GET, &operation_path(id, ""), headers, None, wait, until).await?;
        snapshot(&answer)
    }
}

/// `Prefer: wait=N`, cut to what the server grants.
pub(super) fn prefer_wait(wait: Duration) -> HeaderValue {
    HeaderValue::try_from(format!("wait={}", whole_seconds(wait).as_secs()))
        .unwrap_or(HeaderValue::from_static("wait=0"))
}

fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs().min(WAIT_SECONDS_MAX))
}
