//! Many read at once, and one waits for what others write.

use std::sync::Arc;
use std::time::Duration;

use longrun_postgres::Database;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::operation::Context;
use crate::operation::{
    Actor, EventKind, Lane, Name, Opening, Operation, OperationId, Payload, Progress, Seq, Spec, Submission,
    TenantId, Timestamp, Via, submit,
};
use crate::store::postgres::{Options, PostgresReader, PostgresStore, open};
use crate::store::turn::{Changes, Recorded, Touched, Touches};
use crate::store::{AllTenants, Reader, SharedReader, Store};

const PATIENCE: Duration = Duration::from_secs(30);

fn node(database: &Database) -> (PostgresStore, Arc<PostgresReader>) {
    open(&Options { url: database.url(), notify: true, connections: 4, time: None, metrics: Arc::default() })
        .unwrap()
}

fn submission(input_bytes: usize) -> Submission {
    let input = format!("\"{}\"", "x".repeat(input_bytes));
    let name = |text| Name::parse(text).unwrap();
    let lane = Lane { tenant: TenantId::default(), queue: name("q"), operation_type: name("t") };
    let spec = Spec {
        id: OperationId::fresh(),
        lane: Arc::new(lane),
        external: false,
        key: None,
        fingerprint: None,
        created: Timestamp::MIN,
        received: Timestamp::MIN,
        input: Some(Payload::Inline(Arc::from(serde_json::value::RawValue::from_string(input).unwrap()))),
        priority: 0,
        timeout_seconds: None,
        max_attempts: 3,
        retry: None,
        labels: None,
        traceparent: None,
        submitted_by: Arc::from("test"),
    };
    Submission {
        spec,
        last_action: None,
        start_at: None,
        expires: None,
        progress: Progress::default(),
        opening: Opening::Waiting,
    }
}

/// Submits so many in one turn, every other one with an input that stands apart.
fn create(store: &mut PostgresStore, many: usize) -> Vec<Operation> {
    let set = store.begin(&Touches::default()).unwrap();
    let mut changes = Changes::default();
    let mut made = Vec::new();
    for (number, touched) in (0..).zip(0..many) {
        let context = Context { now: set.now, jitter: 0.0 };
        let operation = submit(&submission(touched % 2 * 5000), Seq(set.first_seq.0 + number), context);
        let actor = Actor { name: Arc::from("test"), via: Via::Http };
        changes.events.push(Recorded::new(
            touched,
            EventKind::Created,
            actor,
            None,
            operation.clone(),
            set.now,
        ));
        changes.operations.push(Touched { before: None, after: Some(operation.clone()), cursor: 0 });
        made.push(operation);
    }
    store.commit(&mut changes).unwrap();
    made
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn many_who_ask_at_once_each_get_what_they_asked_for() {
    let database = Database::create();
    let (mut store, reader) = node(&database);
    let made = create(&mut store, 600);
    runtime().block_on(async {
        let mut asking = JoinSet::new();
        let mut given_up = Vec::new();
        for (number, operation) in made.into_iter().enumerate() {
            let (reader, spec) = (reader.clone(), operation.spec.clone());
            let get = async move {
                let found = reader.get(&TenantId::default(), spec.id).await.unwrap().unwrap();
                let text = |spec: &Spec| {
                    spec.input.as_ref().and_then(Payload::inline).map(|json| json.get().to_owned())
                };
                assert_eq!(
                    (found.seq, found.spec.id, text(&found.spec)),
                    (operation.seq, spec.id, text(&spec))
                );
            };
            // Some go away while they are asked for, also those who read for others.
            if number % 5 == 0 {
                given_up.push(tokio::spawn(get));
            } else {
                asking.spawn(get);
            }
        }
        let (reader, stranger) = (reader.clone(), OperationId::fresh());
        asking.spawn(async move {
            assert!(reader.get(&TenantId::default(), stranger).await.unwrap().is_none());
        });
        for gone in given_up {
            tokio::task::yield_now().await;
            gone.abort();
        }
        let all = async { while asking.join_next().await.transpose().unwrap().is_some() {} };
        timeout(PATIENCE, all).await.expect("nobody waits for ever");
    });
}

#[test]
fn the_tail_gives_what_another_node_writes_and_hints_tell_of_it() {
    let database = Database::create();
    let ((mut one, telling), (other, reader)) = (node(&database), node(&database));
    let runtime = runtime();
    let _tells = runtime.block_on(async { telling.commit_hints() });
    let before = runtime.block_on(reader.history()).unwrap().last;
    let waiting = {
        let reader = reader.clone();
        runtime.spawn(async move {
            let (mut after, mut seen, mut hints) = (before, Vec::new(), reader.commit_hints());
            while seen.len() < 30 {
                let events = reader.tail(AllTenants, after, 7).await.unwrap();
                assert!(events.events.len() <= 7 && events.upto >= after);
                if events.upto == after {
                    hints.changed().await.unwrap();
                }
                after = events.upto;
                seen.extend(events.events.into_iter().map(|event| (event.cursor, event.operation.seq)));
            }
            seen
        })
    };
    let made: Vec<Seq> = (0..10).flat_map(|_| create(&mut one, 3)).map(|operation| operation.seq).collect();
    let seen = runtime.block_on(async { timeout(PATIENCE, waiting).await }).expect("it comes").unwrap();
    assert!(seen.is_sorted_by_key(|(cursor, _)| *cursor));
    assert_eq!(seen.into_iter().map(|(_, seq)| seq).collect::<Vec<_>>(), made);
    drop(other);
}
