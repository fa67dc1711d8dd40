//! `--wait`: following an operation to its end.

use std::str::FromStr;
use std::time::Duration;

use longrun_sdk::client::Snapshot;
use longrun_sdk::wire::{Operation, Status};
use longrun_sdk::{Client, ClientError};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::exit::{Exit, Failure};
use super::output::Output;
use super::view;
use crate::limits;

/// How often a person is told how things stand.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// For how long to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Patience(Option<Duration>);

impl Patience {
    /// What `--wait` without seconds stands for.
    pub(super) const FOREVER: &'static str = "forever";

    fn limit(self) -> Duration {
        // Nobody waits longer, and a clock can still count it.
        self.0.unwrap_or(Duration::from_secs(10 * u64::from(limits::DURATION_SECONDS_MAX)))
    }
}

impl FromStr for Patience {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == Self::FOREVER {
            return Ok(Self(None));
        }
        let max = limits::DURATION_SECONDS_MAX;
        match text.parse::<u32>() {
            Ok(seconds) if seconds <= max => Ok(Self(Some(Duration::from_secs(u64::from(seconds))))),
            _ => Err(format!("whole seconds, at most {max}")),
        }
    }
}

/// Waits for the end of the operation, and tells a person how it goes on. When the patience is over, the operation as
/// it is then.
pub(super) async fn until_ended(
    client: &Client,
    id: Uuid,
    patience: Patience,
    output: &mut Output<'_>,
) -> Result<Snapshot, ClientError> {
    let ended = {
        let end = client.wait(id, patience.limit());
        tokio::pin!(end);
        if output.is_live() {
            tokio::select! {
                ended = &mut end => ended,
                never = tell(client, id, output) => match never {},
            }
        } else {
            end.await
        }
    };
    output.end_progress();
    match ended {
        // It may have ended in the moment since; a wait of no seconds has not looked at all.
        Err(ClientError::Deadline) => client.get(id).await,
        other => other,
    }
}

/// Tells how the operation stands until somebody stops it. Whatever goes wrong here, the waiting itself will meet.
async fn tell(client: &Client, id: Uuid, output: &mut Output<'_>) -> std::convert::Infallible {
    let mut ticks = interval(TOLD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<Snapshot> = None;
    loop {
        ticks.tick().await;
        let etag = told.as_ref().and_then(|snapshot| snapshot.etag.as_deref());
        let found = match etag {
            Some(etag) => client.get_if_changed(id, etag).await,
            None => client.get(id).await.map(Some),
        };
        if let Ok(Some(snapshot)) = found {
            output.progress(&snapshot.operation);
            told = Some(snapshot);
        }
    }
}

/// How a subcommand ends that shows this operation.
pub(super) fn exit(operation: &Operation, waited: bool) -> Exit {
    match operation.status {
        Status::Failed => Exit::Failed,
        status if waited && !status.is_terminal() => Exit::Running,
        _ => Exit::Done,
    }
}

/// Shows the operation, and says how to end.
pub(super) fn conclude(
    operation: &Operation,
    waited: bool,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    output.show(operation, view::table)?;
    Ok(exit(operation, waited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_failed_fails_and_one_that_runs_only_when_it_was_waited_for() {
        let exit = |status, waited| exit(&Operation { status, ..Operation::default() }, waited);
        for waited in [false, true] {
            assert_eq!(exit(Status::Completed, waited), Exit::Done);
            assert_eq!(exit(Status::Failed, waited), Exit::Failed);
        }
        for status in [Status::NotStarted, Status::Running] {
            assert_eq!(exit(status, false), Exit::Done);
            assert_eq!(exit(status, true), Exit::Running);
        }
    }

    #[test]
    fn patience_is_in_whole_seconds() {
        assert_eq!("7".parse(), Ok(Patience(Some(Duration::from_secs(7)))));
        assert_eq!("forever".parse(), Ok(Patience(None)));
        for bad in ["", "-1", "1.5", "99999999999", "soon"] {
            assert!(bad.parse::<Patience>().is_err(), "{bad}");
        }
    }
}
