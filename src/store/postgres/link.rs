//! One connection, and statements sent down it one after the other without waiting for the answers in between.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, Row};

use super::columns::Value;
use super::error::{Fault, Result};

/// Who is silent for so long is away: longer than the database itself lets any statement of ours take. A pooler that has lost
/// its database lets others wait for minutes.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// Statements that go to the database together and are answered together: one round trip.
///
/// They carry the types of their parameters and have no name, so that each is planned for its values, and a pooler that
/// gives every transaction another connection is no obstacle.
pub(super) struct Pipeline<'c> {
    client: &'c Client,
    calls: Vec<Call<'c>>,
}

/// A statement that is sent when it is first polled.
type Call<'c> =
    Pin<Box<dyn Future<Output = std::result::Result<Vec<Row>, tokio_postgres::Error>> + Send + 'c>>;

/// The place of a statement in its pipeline, to find its rows by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(usize);

/// The rows of each statement.
pub(super) struct Answers(Vec<Vec<Row>>);

impl Answers {
    /// The rows of one.
    pub(super) fn of(&self, place: Place) -> &[Row] {
        &self.0[place.0]
    }

    /// The rows of one, and of no other any more.
    pub(super) fn take(mut self, place: Place) -> Vec<Row> {
        std::mem::take(&mut self.0[place.0])
    }

    /// The rows of the only one.
    pub(super) fn into_rows(self) -> Vec<Row> {
        self.0.into_iter().flatten().collect()
    }

    /// All rows of all statements.
    pub(super) fn all(&self) -> impl Iterator<Item = &Row> {
        self.0.iter().flatten()
    }
}

impl<'c> Pipeline<'c> {
    pub(super) fn new(client: &'c Client) -> Self {
        Self { client, calls: Vec::new() }
    }

    /// Adds a statement with parameters.
    pub(super) fn call(&mut self, sql: &'c str, values: Vec<Value<'c>>) -> Place {
        let client = self.client;
        self.calls.push(Box::pin(async move {
            let typed: Vec<_> = values.iter().map(Value::typed).collect();
            client.query_typed(sql, &typed).await
        }));
        Place(self.calls.len() - 1)
    }

    /// Adds statements without parameters or rows.
    pub(super) fn plain(&mut self, sql: &'c str) {
        let client = self.client;
        self.calls.push(Box::pin(async move { client.batch_execute(sql).await.map(|()| Vec::new()) }));
    }

    /// Sends them, in their order, and waits for all answers. Of several that went wrong the first one tells why.
    pub(super) async fn run(self) -> Result<Answers> {
        let mut calls: Vec<_> = self.calls.into_iter().map(Some).collect();
        let mut answers: Vec<Option<std::result::Result<Vec<Row>, Fault>>> =
            calls.iter().map(|_| None).collect();
        let all = poll_fn(|context| {
            let mut waiting = false;
            // A statement is sent when it is polled first: in this order.
            for (call, answer) in calls.iter_mut().zip(&mut answers) {
                let Some(pending) = call else { continue };
                match pending.as_mut().poll(context) {
                    Poll::Ready(said) => {
                        *answer = Some(said.map_err(Fault::from));
                        *call = None;
                    }
                    Poll::Pending => waiting = true,
                }
            }
            if waiting { Poll::Pending } else { Poll::Ready(()) }
        });
        if timeout(SILENCE, all).await.is_err() {
            return Err(silent());
        }
        let said: Result<Vec<Vec<Row>>> = answers.into_iter().flatten().collect();
        said.map(Answers)
    }
}

/// What is said of who was silent for too long.
pub(super) fn silent() -> Fault {
    Fault::Away(format!("it has said nothing for {} s", SILENCE.as_secs()))
}
