//! Why an operation waits, against the claim itself: over random states of the model and of SQLite, what is told `ready` or
//! `noWorker` is what the next claim that may, takes, and nothing else is taken.

use std::sync::Arc;

use longrun::operation::{
    Actor, ClaimId, Controls, ControlsChange, Failure, LeaseToken, Operation, OperationId, Rank, Report,
    ReportKind, Status, Via, WorkerId,
};
use longrun::store::clock::{Machine, TimeSource};
use longrun::store::memory::MemoryDisk;
use longrun::store::sqlite;
use longrun::store::turn::Want;
use longrun::store::{Reader, Store};
use longrun::tracker::entry::{Claim, Denied, Exchange, QueueOrder, Reported, Submit};
use longrun::tracker::{Handed, Options, Tracker, Waiting};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tempfile::TempDir;
use tokio::runtime::Builder;

use super::drafts::{completed, draft, lane, name, tenant, want_of};

const QUEUES: [&str; 2] = ["a", "b"];
const TYPES: [&str; 2] = ["t", "u"];
/// More than there are.
const ALL: usize = 1000;

#[derive(Debug, Clone)]
enum Step {
    Submit {
        queue: &'static str,
        operation_type: &'static str,
        priority: i8,
        delayed: bool,
    },
    Control {
        queue: &'static str,
        change: ControlsChange,
    },
    Claim {
        queues: Vec<&'static str>,
        types: Vec<&'static str>,
        limit: usize,
        own: bool,
    },
    /// One of those that run, by its place among them.
    Complete(prop::sample::Index),
    /// The same; it waits for its next attempt.
    Fail(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Step> {
    let queue = || select(QUEUES.to_vec());
    let limit = || option::weighted(0.4, option::weighted(0.8, 0_u32..4));
    let change = (option::of(prop::bool::weighted(0.3)), limit(), limit())
        .prop_map(|(paused, max_running, max_waiting)| ControlsChange { paused, max_running, max_waiting });
    let lists =
        (select(vec![vec![], vec!["a"], vec!["b", "a"]]), select(vec![vec![], vec!["t"], vec!["u", "t"]]));
    prop_oneof![
        5 => (queue(), select(TYPES.to_vec()), -1_i8..2, prop::bool::weighted(0.15)).prop_map(
            |(queue, operation_type, priority, delayed)| Step::Submit { queue, operation_type, priority, delayed }
        ),
        2 => (queue(), change).prop_map(|(queue, change)| Step::Control { queue, change }),
        3 => (lists, 1_usize..4, any::<bool>())
            .prop_map(|((queues, types), limit, own)| Step::Claim { queues, types, limit, own }),
        2 => any::<prop::sample::Index>().prop_map(Step::Complete),
        1 => any::<prop::sample::Index>().prop_map(Step::Fail),
    ]
}

/// A tracker, and what the test knows of it.
struct House {
    tracker: Tracker,
    made: Vec<OperationId>,
    running: Vec<(OperationId, LeaseToken)>,
    claims: u32,
}

impl House {
    async fn open(store: Box<dyn Store>, reader: Arc<dyn Reader>) -> Self {
        let (tracker, _) =
            Tracker::open(store, reader, Options::default()).await.expect("an empty store opens");
        Self { tracker, made: Vec::new(), running: Vec::new(), claims: 0 }
    }

    async fn exchange(&mut self, reports: Vec<Reported>, want: Option<(Want, bool)>) -> Vec<Handed> {
        self.claims += 1;
        let own = want.as_ref().is_some_and(|(_, own)| *own);
        let claim = want.map(|(want, _)| Claim {
            id: ClaimId::parse(&format!("c{}", self.claims)).unwrap(),
            want,
            lease_seconds: 3600,
            wait_until: None,
        });
        let worker = WorkerId::parse("w").unwrap();
        let call =
            Exchange { tenant: tenant("default"), worker, address: None, own, within: None, reports, claim };
        self.tracker.exchange(call).await.expect("it is answered").1
    }

    async fn report(&mut self, (id, token): (OperationId, LeaseToken), kind: ReportKind) {
        let report = Report { kind, checkpoint: None, progress: None };
        self.exchange(vec![Reported { id, token, report }], None).await;
    }

    async fn controls(&self, queue: &str) -> Controls {
        self.tracker.queue(&tenant("default"), &name(queue)).await.unwrap().controls
    }

    fn running_of(operations: &[Arc<Operation>], queue: &str) -> usize {
        let runs = |it: &&Arc<Operation>| it.lease().is_some() && it.spec.lane.queue.as_str() == queue;
        operations.iter().filter(runs).count()
    }

    async fn operations(&self) -> Vec<Arc<Operation>> {
        let mut operations = Vec::new();
        for id in &self.made {
            operations.push(self.tracker.get(&tenant("default"), *id).await.unwrap());
        }
        operations
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Submit { queue, operation_type, priority, delayed } => {
                let mut submission = draft(self.made.len() as u128 + 1, |it| {
                    it.spec.lane = lane("default", queue, operation_type);
                    it.spec.priority = *priority;
                    it.spec.max_attempts = 1000;
                });
                submission.start_at = delayed.then(|| self.tracker.reader().now().plus_seconds(3600));
                let id = submission.spec.id;
                let actor = Actor { name: Arc::from("tester"), via: Via::Http };
                match self.tracker.submit(Submit { submission, id_chosen: true, actor, deposit: None }).await
                {
                    Ok(_) => self.made.push(id),
                    Err(Denied::QueueFull) => {
                        let max = self.controls(queue).await.max_waiting.expect("it has a limit") as usize;
                        let waits = |it: &&Arc<Operation>| {
                            it.status() == Status::NotStarted && it.spec.lane.queue.as_str() == *queue
                        };
                        assert!(self.operations().await.iter().filter(waits).count() >= max);
                    }
                    Err(denied) => panic!("{denied}"),
                }
            }
            Step::Control { queue, change } => {
                let order = QueueOrder { tenant: tenant("default"), name: name(queue), change: *change };
                self.tracker.control(order).await.unwrap();
            }
            Step::Claim { queues, types, limit, own } => {
                let before = self.operations().await;
                let handed = self.exchange(Vec::new(), Some((want_of(queues, types, *limit), *own))).await;
                self.running.extend(handed.iter().map(held));
                let after = self.operations().await;
                for queue in QUEUES {
                    let (before, after) = (Self::running_of(&before, queue), Self::running_of(&after, queue));
                    let controls = self.controls(queue).await;
                    let most = controls.max_running.map_or(usize::MAX, |max| max as usize);
                    assert!(
                        after == before || (after <= most && !controls.paused),
                        "{queue}: {after} of {most}"
                    );
                }
            }
            Step::Complete(place) if !self.running.is_empty() => {
                let held = self.running.swap_remove(place.index(self.running.len()));
                self.report(held, completed(None)).await;
            }
            Step::Fail(place) if !self.running.is_empty() => {
                let held = self.running.swap_remove(place.index(self.running.len()));
                let failure = Arc::new(Failure::new("upstream", "It did not answer."));
                let retry_after = Some(std::time::Duration::from_hours(1));
                self.report(held, ReportKind::Failed { failure, retryable: true, retry_after }).await;
            }
            Step::Complete(_) | Step::Fail(_) => {}
        }
    }

    /// Asks why each operation of a lane waits, then claims all that the lane gives, and holds the two against each other.
    async fn compare(&mut self, queue: &str, operation_type: &str) -> usize {
        let (mut told, mut ready): (Vec<Waiting>, Vec<(Rank, OperationId)>) = (Vec::new(), Vec::new());
        let operations = self.operations().await;
        for operation in &operations {
            let lane = &operation.spec.lane;
            if (lane.queue.as_str(), lane.operation_type.as_str()) != (queue, operation_type) {
                continue;
            }
            match (self.tracker.waiting(operation).await.unwrap(), operation.rank()) {
                (Some(waiting), Some(rank)) => {
                    told.push(waiting);
                    ready.push((rank, operation.spec.id));
                }
                (Some(Waiting::Delayed(_) | Waiting::RetryBackoff(_)) | None, None) => {}
                other => panic!("{other:?} of {operation:?}"),
            }
        }
        ready.sort();
        let running = Self::running_of(&operations, queue);
        let want = want_of(&[queue], &[operation_type], ALL);
        let taken: Vec<_> = self.exchange(Vec::new(), Some((want, false))).await.iter().map(held).collect();
        let taken_ids: Vec<OperationId> = taken.iter().map(|(id, _)| *id).collect();
        let may = told.iter().any(|waiting| matches!(waiting, Waiting::Ready | Waiting::NoWorker));
        let controls = self.controls(queue).await;
        if may {
            let most = controls.max_running.map_or(usize::MAX, |max| max as usize - running);
            let expected: Vec<_> = ready.iter().take(most).map(|(_, id)| *id).collect();
            assert!(
                !expected.is_empty() && taken_ids == expected,
                "{told:?}: {taken_ids:?}, not {expected:?}"
            );
        } else {
            assert_eq!(taken_ids, [], "{told:?} under {controls:?}");
        }
        assert!(told.iter().all(|waiting| *waiting == told[0]), "of one lane: {told:?}");
        // As it was, for the next lane.
        for held in taken {
            self.report(held, ReportKind::Released).await;
        }
        taken_ids.len()
    }
}

fn held(handed: &Handed) -> (OperationId, LeaseToken) {
    (handed.claimed.operation.spec.id, handed.claimed.token)
}

async fn live(store: Box<dyn Store>, reader: Arc<dyn Reader>, steps: &[Step]) {
    let mut house = House::open(store, reader).await;
    for step in steps {
        house.step(step).await;
    }
    for queue in QUEUES {
        for operation_type in TYPES {
            house.compare(queue, operation_type).await;
        }
    }
    house.tracker.close();
}

fn block_on(life: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be made").block_on(life);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn on_the_model_what_is_told_ready_is_what_a_claim_takes(steps in vec(steps(), 1..40)) {
        let (store, reader) = MemoryDisk::default().open(Arc::new(Machine::default()));
        block_on(live(Box::new(store), reader, &steps));
    }

    #[test]
    fn on_sqlite_what_is_told_ready_is_what_a_claim_takes(steps in vec(steps(), 1..40)) {
        let directory = TempDir::new().expect("a directory can be made");
        let time: Arc<dyn TimeSource> = Arc::new(Machine::default());
        let options = sqlite::Options { directory: directory.path().to_owned(), min_free_bytes: 0, time };
        let (store, reader) = sqlite::open(options).expect("the store opens");
        block_on(live(Box::new(store), reader, &steps));
    }
}
