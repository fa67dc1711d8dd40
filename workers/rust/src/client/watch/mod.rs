//! Watching, by server-sent events: a watch outlives its connections and goes on after the last event it was told.

mod source;

use std::pin::Pin;
use std::time::Duration;

use form_urlencoded::Serializer;
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as NoName, StrDeserializer};
use sse_stream::Sse;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Client, ClientError, operation_path};
use crate::backoff::Backoff;
use crate::wire::{Event, EventKind, Operation, Status};
use source::{Opening, Source};

/// Which operations are watched: those of the tenant that every list names; an empty list names all.
#[derive(Clone, Debug, Default)]
pub struct WatchFilter {
    /// In one of these queues.
    pub queues: Vec<String>,
    /// Of one of these types.
    pub operation_types: Vec<String>,
    /// Of one of these statuses, before or after the event.
    pub statuses: Vec<Status>,
    /// One of these.
    pub ids: Vec<Uuid>,
}

impl WatchFilter {
    fn path(&self) -> String {
        const ALL: &str = "/v1.0/events?";
        let mut query = Serializer::for_suffix(ALL.to_owned(), ALL.len());
        let lists = [
            ("queue", self.queues.join(",")),
            ("operationType", self.operation_types.join(",")),
            ("status", list(&self.statuses)),
            ("ids", list(&self.ids)),
        ];
        query.extend_pairs(lists.iter().filter(|(_, list)| !list.is_empty()));
        query.finish().trim_end_matches('?').to_owned()
    }
}

fn list<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// Events as they happen, in order, each once and without a gap: [`Watch::next`] gives them.
///
/// When the connection breaks or falls silent, the next one goes on after the last event. Where that event is no
/// longer kept, an event of the kind [`EventKind::Reset`] says so.
pub struct Watch {
    client: Client,
    path: String,
    /// Of one operation: ends with it.
    of_one: bool,
    cursor: Option<String>,
    link: Link,
    trouble: Option<Trouble>,
    /// What the server asked for before it ended the stream.
    pause: Option<Duration>,
}

type Connecting = Pin<Box<dyn Future<Output = Result<Option<Source>, ClientError>> + Send>>;

enum Link {
    Resting(Instant),
    Connecting(Connecting),
    Open(Source),
    Over,
}

/// Since when no connection was of use.
struct Trouble {
    since: Instant,
    backoff: Backoff,
}

impl Client {
    /// Watches one operation, from how it stands now to its end.
    pub fn watch(&self, id: Uuid) -> Watch {
        Watch::new(self.clone(), operation_path(id, "/events"), true)
    }

    /// Watches all operations of the tenant that the filter lets through, from now on and without an end.
    pub fn watch_all(&self, filter: &WatchFilter) -> Watch {
        Watch::new(self.clone(), filter.path(), false)
    }
}

impl Watch {
    fn new(client: Client, path: String, of_one: bool) -> Self {
        Self {
            client,
            path,
            of_one,
            cursor: None,
            link: Link::Resting(Instant::now()),
            trouble: None,
            pause: None,
        }
    }

    /// Goes on after this event of an earlier watch, instead of beginning with what is now.
    #[must_use]
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// Where the watch stands, for [`Watch::after`]; none before the server has said it.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The next event; waits for it. `None` once the operation has ended, and never for a watch of many. Nothing is
    /// lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// That of the last try when no connection was of use for as long as the client's deadline, and every refusal
    /// that is for good. Calling it again tries again, still after the last event.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            let read = match &mut self.link {
                Link::Resting(until) => {
                    let until = *until;
                    self.link = Link::Connecting(self.connect(until));
                    continue;
                }
                Link::Connecting(connecting) => match connecting.await {
                    Ok(source) => {
                        self.link = source.map_or(Link::Over, Link::Open);
                        continue;
                    }
                    Err(error) => Err(error),
                },
                Link::Open(source) => source.next().await,
                Link::Over => return Ok(None),
            };
            match read {
                Ok(block) => {
                    if let Some(event) = self.take(block)? {
                        return Ok(Some(event));
                    }
                }
                Err(error) => self.lost(error)?,
            }
        }
    }

    /// The same as a [`Stream`]; it ends with the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Event, ClientError>> + Send {
        stream::try_unfold(self, |mut watch| async move {
            let event = watch.next().await?;
            Ok(event.map(|event| (event, watch)))
        })
    }

    fn connect(&self, at: Instant) -> Connecting {
        let began = self.trouble.as_ref().map_or_else(Instant::now, |trouble| trouble.since);
        let opening = Opening {
            client: self.client.clone(),
            path: self.path.clone(),
            cursor: self.cursor.clone(),
            at,
            deadline: began + self.client.deadline,
        };
        Box::pin(opening.open())
    }

    /// What an event on the wire says.
    fn take(&mut self, block: Sse) -> Result<Option<Event>, ClientError> {
        self.trouble = None;
        if let Some(id) = block.id {
            self.cursor = Some(id).filter(|id| !id.is_empty());
        }
        self.pause = block.retry.map(Duration::from_millis).or(self.pause);
        let Some(data) = block.data else { return Ok(None) };
        let kind = kind(block.event.as_deref().unwrap_or_default());
        let operation =
            match kind {
                EventKind::Reset => None,
                EventKind::Unknown => serde_json::from_str(&data).ok(),
                _ => Some(serde_json::from_str(&data).map_err(|error| ClientError::InvalidAnswer {
                    message: format!("in an event: {error}"),
                })?),
            };
        let ended = operation.as_ref().is_some_and(|operation: &Operation| operation.status.is_terminal());
        if self.of_one && ended {
            self.link = Link::Over;
        }
        Ok(Some(Event { cursor: self.cursor.clone().unwrap_or_default(), event: kind, operation }))
    }

    /// Sets the time of the next try, or gives up until it is asked for.
    fn lost(&mut self, error: ClientError) -> Result<(), ClientError> {
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert_with(|| Trouble { since: now, backoff: Backoff::new() });
        if matches!(&self.link, Link::Open(source) if source.was_heard()) {
            trouble.since = now;
        }
        let delay = trouble.backoff.delay(error.retry_after().or(self.pause.take()));
        let goes_on = error.is_transient() && now + delay < trouble.since + self.client.deadline;
        self.link = Link::Resting(if goes_on { now + delay } else { now });
        if goes_on {
            return Ok(());
        }
        self.trouble = None;
        Err(error)
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("path", &self.path)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

fn kind(name: &str) -> EventKind {
    let name: StrDeserializer<'_, NoName> = name.into_deserializer();
    EventKind::deserialize(name).unwrap_or(EventKind::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_written_so_that_no_value_can_be_taken_for_another_field() {
        assert_eq!(WatchFilter::default().path(), "/v1.0/events");
        let filter = WatchFilter {
            queues: vec!["a&status=Failed".to_owned(), "b".to_owned()],
            operation_types: vec!["render:v2".to_owned()],
            statuses: vec![Status::Running],
            ids: vec![Uuid::from_u128(1), Uuid::from_u128(2)],
        };
        let ids = "00000000-0000-0000-0000-000000000001%2C00000000-0000-0000-0000-000000000002";
        let query = "queue=a%26status%3DFailed%2Cb&operationType=render%3Av2&status=Running";
        assert_eq!(filter.path(), format!("/v1.0/events?{query}&ids={ids}"));
    }

    #[test]
    fn every_kind_has_its_name_and_an_unheard_of_one_is_no_mistake() {
        for name in ["snapshot", "created", "started", "progress", "retrying", "released", "canceling"] {
            assert_eq!(kind(name).as_str(), name);
        }
        for name in ["completed", "failed", "updated", "deleted", "reset"] {
            assert_eq!(kind(name).as_str(), name);
        }
        for name in ["", "message", "Created"] {
            assert_eq!(kind(name), EventKind::Unknown);
        }
    }
}
