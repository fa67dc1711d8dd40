//! Single operations by their ids. Those that are asked for at one moment share a round trip: while some are on their way
//! others gather, and go together next. What is read was so at some moment after it was asked for.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use super::columns::{Value, fields_after};
use super::error::Result;
use super::operations::{self, WHOLE, WHOLE_FROM, by_id, width};
use super::reader::{PostgresReader, READ};
use crate::operation::{Operation, OperationId, TenantId};
use crate::store::StoreError;
use crate::store::stored::damage::sound;

/// Round trips that are under way at once.
const TOGETHER: usize = 2;
/// Operations that one of them reads at most.
const BATCH: usize = 256;

/// By tenant and id, each with its place among those asked for.
static BY_IDS: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {}, named.place FROM {WHOLE_FROM} {}", *WHOLE, by_id([1, 2])));

type Key = (TenantId, OperationId);
type Answer = std::result::Result<Option<Operation>, StoreError>;

/// Those who ask, until they are read for.
#[derive(Debug)]
pub(super) struct Points {
    asked: Mutex<Vec<(Key, oneshot::Sender<Answer>)>>,
    turns: Semaphore,
}

impl Default for Points {
    fn default() -> Self {
        Self { asked: Mutex::default(), turns: Semaphore::new(TOGETHER) }
    }
}

impl Points {
    fn add(&self, key: Key) -> oneshot::Receiver<Answer> {
        let (asked, answer) = oneshot::channel();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push((key, asked));
        answer
    }

    /// Those who asked first, and are still there.
    fn next(&self) -> HashMap<Key, Vec<oneshot::Sender<Answer>>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = asked.len().min(BATCH);
        let mut next: HashMap<_, Vec<_>> = HashMap::new();
        for (key, who) in asked.drain(..taken).filter(|(_, who)| !who.is_closed()) {
            next.entry(key).or_default().push(who);
        }
        next
    }
}

/// One operation.
pub(super) async fn get(reader: &PostgresReader, tenant: &TenantId, id: OperationId) -> Answer {
    let key = (tenant.clone(), id);
    let mut answer = reader.points.add(key.clone());
    loop {
        tokio::select! {
            biased;
            said = &mut answer => match said {
                Ok(said) => return said,
                // Whoever read for this one was no longer waited for.
                Err(_) => answer = reader.points.add(key.clone()),
            },
            Ok(turn) = reader.points.turns.acquire() => {
                let next = reader.points.next();
                if next.is_empty() {
                    // Another one is reading for this one, too.
                    drop(turn);
                    match (&mut answer).await {
                        Ok(said) => return said,
                        Err(_) => answer = reader.points.add(key.clone()),
                    }
                } else {
                    read(reader, next).await;
                }
            }
        }
    }
}

/// Reads for all of them, and tells each.
async fn read(reader: &PostgresReader, asked: HashMap<Key, Vec<oneshot::Sender<Answer>>>) {
    let (keys, askers): (Vec<Key>, Vec<_>) = asked.into_iter().unzip();
    let answers = match find(reader, &keys).await {
        Ok(answers) => answers,
        Err(fault) => vec![Err(fault.into()); keys.len()],
    };
    for (answer, who) in answers.into_iter().zip(askers) {
        for one in who {
            // Who has gone meanwhile misses nothing.
            let _ = one.send(answer.clone());
        }
    }
}

/// Those that are there; one that cannot be read is told of to whom it concerns.
async fn find(reader: &PostgresReader, keys: &[Key]) -> Result<Vec<Answer>> {
    let client = reader.client().await?;
    let mut pipeline = client.reading(&READ);
    let tenants = Value::texts(keys.iter().map(|(tenant, _)| tenant.as_str()));
    let ids = Value::Blobs(keys.iter().map(|(_, id)| Some(id.0.as_bytes().as_slice())).collect());
    let found = pipeline.call(&BY_IDS, vec![tenants, ids]);
    let answers = pipeline.over().await?;
    let rows = answers.of(found);
    reader.lanes.meet(client.link(), &reader.damage, rows.iter().filter_map(operations::lane_of)).await?;
    let mut told = vec![Ok(None); keys.len()];
    for row in rows {
        let place = usize::try_from(fields_after(row, width()).int()? - 1).ok();
        let operation = sound(operations::whole(row, &reader.lanes, &reader.damage))?;
        if let Some(told) = place.and_then(|place| told.get_mut(place)) {
            *told = operation.map(Some).ok_or(StoreError::Damaged);
        }
    }
    Ok(told)
}
