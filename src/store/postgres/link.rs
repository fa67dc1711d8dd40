//! One connection, and statements sent down it one after the other without waiting for the answers in between.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::columns::Value;
use super::error::{Fault, Result};

/// Who is silent for so long is away: longer than the database itself lets any statement of ours take. A pooler that has lost
/// its database lets others wait for minutes.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// A connection, and whether what is prepared on it is there the next time: behind a pooler each transaction may have
/// another one.
#[derive(Clone, Copy)]
pub(super) struct Link<'c> {
    client: &'c ClientWrapper,
    is_session: bool,
}

impl<'c> Link<'c> {
    pub(super) fn new(client: &'c ClientWrapper, is_session: bool) -> Self {
        Self { client, is_session }
    }

    /// For statements that are used once.
    pub(super) fn once(client: &'c ClientWrapper) -> Self {
        Self::new(client, false)
    }

    /// The connection itself.
    pub(super) fn client(self) -> &'c Client {
        self.client
    }
}

/// A connection of the pool.
pub(super) struct Lent {
    pub(super) client: Object,
    pub(super) is_session: bool,
}

impl Lent {
    pub(super) fn link(&self) -> Link<'_> {
        Link::new(&self.client, self.is_session)
    }

    /// The first statements of a transaction that only reads, to be run by [`Pipeline::over`].
    pub(super) fn reading(&self, begin: &'static Begin) -> Pipeline<'_> {
        let mut pipeline = Pipeline::new(self.link());
        pipeline.begin(begin);
        pipeline
    }
}

/// How a transaction begins.
pub(super) struct Begin {
    how: &'static str,
    settings: String,
}

impl Begin {
    /// With settings that end with it. Every statement here finds its rows along an index, whatever the statistics of a table
    /// say that may have grown from nothing since they were made; none is long enough to be worth compiling.
    pub(super) fn new(how: &'static str, settings: &[(&str, &str)]) -> Self {
        let plans =
            ["jit", "enable_seqscan", "enable_hashjoin", "enable_mergejoin"].map(|plan| (plan, "off"));
        let all = settings.iter().chain(&plans);
        let all: Vec<String> =
            all.map(|(name, value)| format!("set_config('{name}', '{value}', true)")).collect();
        Self { how, settings: format!("SELECT {}", all.join(", ")) }
    }
}

/// Statements that go to the database together and are answered together: one round trip.
///
/// On a session they are prepared when they are first used. Where there is none they have no name and carry the types of
/// their parameters.
pub(super) struct Pipeline<'c> {
    link: Link<'c>,
    calls: Vec<Call<'c>>,
}

/// A statement of a pipeline.
enum Call<'c> {
    /// Without parameters or rows.
    Plain(&'c str),
    /// One that comes again.
    Lasting(&'c str, Vec<Value<'c>>),
    /// One that does not.
    Once(&'c str, Vec<Value<'c>>),
}

/// A statement that is sent when it is first polled.
type Sending<'c> =
    Pin<Box<dyn Future<Output = std::result::Result<Vec<Row>, tokio_postgres::Error>> + Send + 'c>>;

impl<'c> Call<'c> {
    /// What the database knows it by; none: by its text.
    async fn prepare(&self, link: Link<'_>) -> Result<Option<Statement>> {
        let Self::Lasting(sql, values) = self else { return Ok(None) };
        let types: Vec<_> = values.iter().map(|value| value.typed().1).collect();
        Ok(Some(link.client.prepare_typed_cached(sql, &types).await?))
    }

    fn send(self, client: &'c Client, statement: Option<Statement>) -> Sending<'c> {
        match (self, statement) {
            (Self::Plain(sql), _) => {
                Box::pin(async move { client.batch_execute(sql).await.map(|()| Vec::new()) })
            }
            (Self::Lasting(_, values), Some(statement)) => Box::pin(async move {
                let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value.typed().0).collect();
                client.query(&statement, &values).await
            }),
            (Self::Lasting(sql, values) | Self::Once(sql, values), _) => Box::pin(async move {
                let typed: Vec<_> = values.iter().map(Value::typed).collect();
                client.query_typed(sql, &typed).await
            }),
        }
    }
}

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
    pub(super) fn new(link: Link<'c>) -> Self {
        Self { link, calls: Vec::new() }
    }

    /// Begins a transaction.
    pub(super) fn begin(&mut self, begin: &'c Begin) {
        self.plain(begin.how);
        self.call(&begin.settings, Vec::new());
    }

    /// Adds a statement with parameters.
    pub(super) fn call(&mut self, sql: &'c str, values: Vec<Value<'c>>) -> Place {
        self.add(Call::Lasting(sql, values))
    }

    /// Adds one whose text is made for this time.
    pub(super) fn call_once(&mut self, sql: &'c str, values: Vec<Value<'c>>) -> Place {
        self.add(Call::Once(sql, values))
    }

    /// Adds statements without parameters or rows.
    pub(super) fn plain(&mut self, sql: &'c str) {
        self.add(Call::Plain(sql));
    }

    fn add(&mut self, call: Call<'c>) -> Place {
        self.calls.push(call);
        Place(self.calls.len() - 1)
    }

    /// The same as [`Pipeline::run`], with the end of the transaction.
    pub(super) async fn over(mut self) -> Result<Answers> {
        self.plain("COMMIT");
        self.run().await
    }

    /// Sends them, in their order, and waits for all answers. Of several that went wrong the first one tells why.
    pub(super) async fn run(self) -> Result<Answers> {
        timeout(SILENCE, self.go()).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn go(self) -> Result<Answers> {
        let Self { link, calls: all } = self;
        let mut calls = Vec::with_capacity(all.len());
        for call in all {
            let statement = if link.is_session { call.prepare(link).await? } else { None };
            calls.push(Some(call.send(link.client, statement)));
        }
        let mut answers: Vec<Option<std::result::Result<Vec<Row>, Fault>>> =
            calls.iter().map(|_| None).collect();
        poll_fn(|context| {
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
        })
        .await;
        let said: Result<Vec<Vec<Row>>> = answers.into_iter().flatten().collect();
        if said.as_ref().is_err_and(Fault::is_of_preparing) {
            link.client.statement_cache.clear();
        }
        said.map(Answers)
    }
}

/// What is said of who was silent for too long.
pub(super) fn silent() -> Fault {
    Fault::Away(format!("it has said nothing for {} s", SILENCE.as_secs()))
}
