//! `longrun watch`.

use longrun_sdk::client::{self, WatchFilter};
use longrun_sdk::wire::{EventKind, Status};
use longrun_sdk::{Client, ClientError};
use uuid::Uuid;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::{view, wait};

/// Show events as they happen: those of one operation until it has ended, or all there are
///
/// On a terminal a bar shows how far one operation is; in a pipe each event is a line of JSON. A connection that breaks is made again, and no event is missed. Of one operation it
/// begins with how it stands, and ends with 1 when the operation is Failed.
#[derive(clap::Args)]
pub(super) struct Watch {
    /// The operation's id; without it: all operations, from now on
    id: Option<Uuid>,

    /// Only those in this queue; may be given several times
    #[arg(long = "queue", value_name = "NAME", conflicts_with = "id")]
    queues: Vec<String>,

    /// Only those of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "id")]
    operation_types: Vec<String>,

    /// Only those of this status, before the event or after it; may be given several times
    #[arg(long = "status", value_name = "STATUS", conflicts_with = "id", value_parser = status)]
    statuses: Vec<Status>,

    /// Go on after this event, by the cursor that it was shown with
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,

    #[command(flatten)]
    connection: Connection,
}

impl Watch {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        if let Some(id) = self.id {
            return to_its_end(&client, id, self.after, &self.connection, output).await;
        }
        let filter = WatchFilter {
            queues: self.queues,
            operation_types: self.operation_types,
            statuses: self.statuses,
            ids: Vec::new(),
        };
        on_and_on(after(client.watch_all(&filter), self.after), &self.connection, output).await
    }
}

/// Shows the events of many, until nobody reads them any more.
async fn on_and_on(
    mut watch: client::Watch,
    connection: &Connection,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    while !output.is_closed() {
        match watch.next().await {
            Ok(Some(event)) => output.show(&event, view::event)?,
            Ok(None) => break,
            Err(error) => return Err(failure(&error, &watch, connection)),
        }
    }
    Ok(Exit::Done)
}

/// Shows the events of one operation until it has ended, and ends as it did.
pub(super) async fn to_its_end(
    client: &Client,
    id: Uuid,
    cursor: Option<String>,
    connection: &Connection,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let mut watch = after(client.watch(id), cursor);
    let mut last = None;
    while !output.is_closed() {
        let next = watch.next().await;
        let Some(event) = next.map_err(|error| failure(&error, &watch, connection))? else { break };
        if event.event != EventKind::Progress || !output.has_bar() {
            output.show(&event, view::event)?;
        }
        if event.event == EventKind::Snapshot && output.is_live() {
            tell_why_it_waits(client, id, output).await;
        }
        last = event.operation.or(last);
        if let Some(operation) = last.as_ref().filter(|_| output.has_bar()) {
            output.progress(operation);
        }
    }
    output.end_progress();
    let last = match last {
        Some(operation) => operation,
        // Its end was shown before.
        None => client.get(id).await.map_err(|error| connection.failure(&error))?.operation,
    };
    Ok(wait::exit(&last, true))
}

/// Events do not say it, and a person who sees none wonders.
async fn tell_why_it_waits(client: &Client, id: Uuid, output: &mut Output<'_>) {
    if let Ok(found) = client.get(id).await
        && let Some(waiting) = found.operation.waiting
    {
        output.note(&waiting.message);
    }
}

fn after(watch: client::Watch, cursor: Option<String>) -> client::Watch {
    match cursor {
        Some(cursor) => watch.after(cursor),
        None => watch,
    }
}

/// What to say where a watch came to nothing.
fn failure(error: &ClientError, watch: &client::Watch, connection: &Connection) -> Failure {
    let mut failure = connection.failure(error);
    if let Some(cursor) = watch.cursor() {
        failure.message.push_str("; go on with --after ");
        failure.message.push_str(cursor);
    }
    failure
}

pub(super) fn status(text: &str) -> Result<Status, String> {
    let all = [Status::NotStarted, Status::Running, Status::Completed, Status::Failed];
    let found = all.into_iter().find(|status| status.as_str() == text);
    found.ok_or_else(|| "must be NotStarted, Running, Completed or Failed".to_owned())
}
