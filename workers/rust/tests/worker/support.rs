//! A server in memory that keeps to the wire protocol as far as a worker sees it, writes down every
//! exchange, and can be told to misbehave.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use longrun_sdk::wire::{
    Claim, ClaimedOperation, ExchangeAnswer, ExchangeRequest, Lease, Notice, Operation, Outcome, Report,
    Status, to_json,
};
use longrun_sdk::worker::Stats;
use longrun_sdk::{CancellationToken, Exchange, ExchangeError, Worker, WorkerBuilder, WorkerError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// Far beyond what any test needs, in paused time over in a moment.
const PATIENCE: Duration = Duration::from_hours(1);

#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    log: Vec<Seen>,
    ready: VecDeque<Operation>,
    tokens: u64,
    claims: HashMap<String, Vec<ClaimedOperation>>,
    hanging: Option<String>,
    notices: Vec<Notice>,
    outcomes: HashMap<(Uuid, Status), Outcome>,
    /// The next exchanges are treated so.
    faults: VecDeque<Fault>,
    down: bool,
    /// Whoever reports this status waits so long for the answer.
    slow: Option<(Status, Duration)>,
}

/// An exchange as it reached the server.
#[derive(Clone)]
pub struct Seen {
    pub at: Instant,
    pub request: ExchangeRequest,
}

/// What goes wrong with one exchange.
#[derive(Clone)]
pub enum Fault {
    /// The server acts on it, and its answer never arrives.
    AnswerLost,
    /// The server does not act on it.
    Error(ExchangeError),
    /// The answer takes so long.
    Slow(Duration),
    /// The server forgets what it owes for the reports.
    NoOutcomes,
    /// None, for exchanges in between.
    Fine,
}

impl Server {
    pub fn new() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), changes: watch::Sender::new(()) }))
    }

    /// Changes what the server knows; every waiting call looks again.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.0.state.lock().unwrap());
        self.0.changes.send_replace(());
        result
    }

    pub fn submit(&self, operation_type: &str, input: &serde_json::Value) -> Uuid {
        self.submit_operation(Operation {
            operation_type: Some(operation_type.to_owned()),
            input: Some(to_json(input).unwrap()),
            ..Operation::default()
        })
    }

    pub fn submit_operation(&self, operation: Operation) -> Uuid {
        let id = Uuid::new_v4();
        self.change(|state| state.ready.push_back(Operation { id, ..operation }));
        id
    }

    pub fn submit_many(&self, operation_type: &str, count: usize) {
        let operation = || Operation {
            id: Uuid::new_v4(),
            operation_type: Some(operation_type.to_owned()),
            ..Operation::default()
        };
        self.change(|state| state.ready.extend(std::iter::repeat_with(operation).take(count)));
    }

    /// Every report of this operation and status is answered so from now on.
    pub fn answer(&self, id: Uuid, status: Status, outcome: Outcome) {
        self.change(|state| state.outcomes.insert((id, status), Outcome { id, ..outcome }));
    }

    pub fn notify(&self, notice: Notice) {
        self.change(|state| state.notices.push(notice));
    }

    pub fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.change(|state| state.faults.extend(faults));
    }

    /// Every exchange that reports this status is answered so late.
    pub fn slow_down(&self, status: Status, delay: Duration) {
        self.change(|state| state.slow = Some((status, delay)));
    }

    /// Nothing is answered while the server is down.
    pub fn set_down(&self, down: bool) {
        self.change(|state| state.down = down);
    }

    pub fn log(&self) -> Vec<Seen> {
        self.0.state.lock().unwrap().log.clone()
    }

    /// Every report that reached the server about this operation.
    pub fn reports(&self, id: Uuid) -> Vec<Report> {
        self.log()
            .into_iter()
            .flat_map(|seen| seen.request.reports)
            .filter(|report| report.id == id)
            .collect()
    }

    /// Waits until something is so.
    pub async fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let mut changes = self.0.changes.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = look(self) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
    }

    /// Waits for a report of this status, and the exchange it came with.
    pub async fn report(&self, id: Uuid, status: Status) -> (Report, Seen) {
        self.until(&format!("{status} of {id}"), |server| {
            server.log().into_iter().find_map(|seen| {
                let report = seen.request.reports.iter().find(|r| r.id == id && r.status == status)?;
                Some((report.clone(), seen.clone()))
            })
        })
        .await
    }

    /// Waits until a claim without reports hangs here.
    pub async fn idle(&self) {
        self.until("a hanging claim", |server| server.0.state.lock().unwrap().hanging.clone()).await;
    }

    fn receive(&self, request: &ExchangeRequest) -> Fault {
        self.change(|state| {
            state.log.push(Seen { at: Instant::now(), request: request.clone() });
            let slow = state.slow.filter(|(status, _)| request.reports.iter().any(|r| r.status == *status));
            match slow {
                _ if state.down => Fault::Error(lost()),
                Some((_, delay)) => Fault::Slow(delay),
                None => state.faults.pop_front().unwrap_or(Fault::Fine),
            }
        })
    }

    async fn act(&self, request: ExchangeRequest) -> ExchangeAnswer {
        let outcomes = request.reports.iter().map(|report| self.outcome(report)).collect();
        let mut answer = ExchangeAnswer { outcomes, ..ExchangeAnswer::default() };
        let Some(claim) = request.claim else { return answer };
        let wait = if request.reports.is_empty() { claim.wait_seconds } else { 0 };
        let until = Instant::now() + Duration::from_secs(wait.into());
        let mut changes = self.0.changes.subscribe();
        self.change(|state| state.hanging = Some(claim.id.clone()).filter(|_| wait > 0));
        loop {
            answer.operations = self.claim(&claim);
            answer.notices = self.change(|state| std::mem::take(&mut state.notices));
            let superseded = wait > 0 && self.0.state.lock().unwrap().hanging.as_ref() != Some(&claim.id);
            let empty = answer.operations.is_empty() && answer.notices.is_empty();
            changes.mark_unchanged();
            if !empty || superseded || tokio::time::timeout_at(until, changes.changed()).await.is_err() {
                break;
            }
        }
        self.change(|state| state.hanging.take_if(|id| *id == claim.id));
        answer
    }

    fn outcome(&self, report: &Report) -> Outcome {
        let state = self.0.state.lock().unwrap();
        let running = report.status == Status::Running;
        let usual = Outcome { id: report.id, lease_seconds: running.then_some(30.0), ..Outcome::default() };
        state.outcomes.get(&(report.id, report.status)).cloned().unwrap_or(usual)
    }

    fn claim(&self, claim: &Claim) -> Vec<ClaimedOperation> {
        let mut state = self.0.state.lock().unwrap();
        if let Some(held) = state.claims.get(&claim.id) {
            return held.clone();
        }
        let mut claimed = Vec::new();
        while claimed.len() < claim.limit as usize {
            let Some(operation) = state.ready.pop_front() else { break };
            state.tokens += 1;
            let lease = Lease { token: state.tokens, seconds: claim.lease_seconds.into() };
            claimed.push(ClaimedOperation { operation, lease });
        }
        if !claimed.is_empty() {
            state.claims.insert(claim.id.clone(), claimed.clone());
        }
        claimed
    }
}

#[async_trait]
impl Exchange for Server {
    async fn exchange(&self, request: ExchangeRequest, _: Duration) -> Result<ExchangeAnswer, ExchangeError> {
        match self.receive(&request) {
            Fault::Error(error) => Err(error),
            Fault::Fine => Ok(self.act(request).await),
            Fault::Slow(delay) => {
                let answer = self.act(request).await;
                tokio::time::sleep(delay).await;
                Ok(answer)
            }
            Fault::NoOutcomes => Ok(ExchangeAnswer { outcomes: Vec::new(), ..self.act(request).await }),
            Fault::AnswerLost => {
                self.act(request).await;
                Err(lost())
            }
        }
    }
}

pub fn lost() -> ExchangeError {
    ExchangeError::Lost { message: "cut".to_owned(), retry_after: None }
}

/// A worker that runs.
pub struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<Stats, WorkerError>>,
}

pub fn worker(server: &Server) -> WorkerBuilder {
    Worker::over(server.clone()).concurrency(4)
}

pub fn start(worker: WorkerBuilder) -> Running {
    let (worker, shutdown) = (worker.build().unwrap(), CancellationToken::new());
    let task = tokio::spawn(worker.run_until(shutdown.clone()));
    Running { shutdown, task }
}

impl Running {
    /// Begins the shutdown.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits for the end of a worker that ends by itself or was shut down.
    pub async fn ended(self) -> Result<Stats, WorkerError> {
        timeout(PATIENCE, self.task).await.expect("the worker never ended").unwrap()
    }

    /// Shuts the worker down and waits for its end.
    pub async fn stop(self) -> Stats {
        self.shut_down();
        self.ended().await.unwrap()
    }
}

/// Waits in a handler until it is told to stop.
pub async fn stopped(context: &longrun_sdk::Context) -> longrun_sdk::StopReason {
    context.cancellation().cancelled().await;
    context.reason().unwrap()
}

/// What a handler has to tell, within the patience of a test.
pub async fn hear<T>(told: &mut mpsc::Receiver<T>) -> T {
    timeout(PATIENCE, told.recv()).await.expect("never told").expect("the handler is gone")
}
