//! What a node does for one request: it locks and reads, and asks the state machine what is to be written and answered.

use std::sync::{Arc, LazyLock};

use longrun::operation::{
    self, ClaimId, Command, Context, EndedBy, EventKind, Failure, Lane, LeaseToken, Name, Opening, Operation,
    OperationId, Outcome, Progress, Report, ReportKind, Seq, Spec, State as Standing, Step, Submission,
    TenantId, Timestamp, WorkerId,
};
use uuid::Uuid;

use crate::state::{Lock, Number, Request, Row, Said, State, Token, Verdict};
use crate::{Cluster, Guard};

/// Attempts that an operation gets.
pub(crate) const ATTEMPTS_MAX: u16 = 2;
const LEASE_SECONDS: u32 = 30;

/// What a node is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Somebody's request.
    Request(Request),
    /// A lease that is over.
    Tick(Number),
}

/// A turn between its reading and its commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turn {
    /// What for.
    pub work: Work,
    /// What it will write.
    pub write: Option<Write>,
    /// What it will say.
    pub answer: Answer,
    /// The number of its event, once it has one.
    pub cursor: Option<u8>,
    /// It has been said already.
    pub answered: bool,
}

/// What a turn writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// Which row.
    pub number: Number,
    /// The version that was read; none: it is new.
    pub read: Option<i64>,
    /// As it will be.
    pub row: Row,
    /// The event; none: only a lease moves.
    pub event: Option<EventKind>,
}

/// What a turn says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Nobody asked, or nobody minds.
    Nothing,
    /// To a client: this is your operation.
    Operation(Number),
    /// To a worker: this is yours now.
    Claimed(Option<(Number, Token)>),
    /// To a worker: that is what your report did.
    Told(Verdict),
}

impl Turn {
    /// Begins one, as far as the locks of others let it.
    pub(crate) fn begin(cluster: &Cluster, state: &mut State, node: usize, work: Work) -> Option<Self> {
        let (write, answer) = match work {
            Work::Request(Request::Submit { key, .. }) => submit(cluster, state, node, key)?,
            Work::Request(Request::Claim { worker, life, claim }) => {
                claim_one(cluster, state, node, worker, life, claim)?
            }
            Work::Request(Request::Report { row, token, said, .. }) => {
                report(cluster, state, node, row, token, said)?
            }
            Work::Request(Request::Cancel { row }) => cancel(cluster, state, node, row)?,
            Work::Tick(row) => tick(cluster, state, node, row)?,
        };
        Some(Self { work, write, answer, cursor: None, answered: false })
    }
}

fn lock(state: &mut State, node: usize, lock: Lock) -> Option<()> {
    match state.locks.get(&lock) {
        Some(holder) if *holder != node => None,
        _ => {
            state.locks.insert(lock, node);
            Some(())
        }
    }
}

/// Reads a row to write it.
fn read(cluster: &Cluster, state: &mut State, node: usize, number: Number) -> Option<Row> {
    if cluster.has(Guard::RowLocked) {
        lock(state, node, Lock::Row(number))?;
    }
    state.rows.get(&number).cloned()
}

type Begun = (Option<Write>, Answer);

fn submit(cluster: &Cluster, state: &mut State, node: usize, key: u8) -> Option<Begun> {
    if cluster.has(Guard::KeyLocked) {
        lock(state, node, Lock::Key(key))?;
    }
    if let Some((number, _)) = state.rows.iter().find(|(_, row)| row.key == key) {
        return Some((None, Answer::Operation(*number)));
    }
    let number = state.next_row;
    state.next_row += 1;
    let operation = operation::submit(&SUBMISSION, Seq(number), at(*START));
    let row = Row { key, operation: Arc::new(operation) };
    let write = Write { number, read: None, row, event: Some(EventKind::Created) };
    Some((Some(write), Answer::Operation(number)))
}

fn claim_one(
    cluster: &Cluster,
    state: &mut State,
    node: usize,
    worker: usize,
    life: u8,
    claim: u8,
) -> Option<Begun> {
    let (worker, claim) = (worker_id(worker, life), claim_id(claim));
    if cluster.has(Guard::ClaimRemembered) {
        let held = state.rows.iter().find_map(|(number, row)| {
            let lease = row.operation.lease()?;
            (lease.worker == worker && lease.claim == claim).then_some((*number, lease.token.0))
        });
        if held.is_some() {
            return Some((None, Answer::Claimed(held)));
        }
    }
    let free = |number: &Number| {
        !cluster.has(Guard::RowLocked)
            || state.locks.get(&Lock::Row(*number)).is_none_or(|holder| *holder == node)
    };
    let ready = state.rows.iter().find(|(number, row)| row.operation.rank().is_some() && free(number));
    let Some(number) = ready.map(|(number, _)| *number) else {
        return Some((None, Answer::Claimed(None)));
    };
    let row = read(cluster, state, node, number)?;
    let command = Command::Claim { worker, claim, own: false, lease_seconds: LEASE_SECONDS };
    let (mut write, _) = applied(number, &row, &command, *START);
    if let Some(write) = &mut write
        && !cluster.has(Guard::AttemptCountedAtClaim)
    {
        Arc::make_mut(&mut write.row.operation).attempts = row.operation.attempts;
    }
    let claimed = write.as_ref().map(|write| (number, write.row.operation.token.0));
    Some((write, Answer::Claimed(claimed)))
}

fn report(
    cluster: &Cluster,
    state: &mut State,
    node: usize,
    number: Number,
    token: Token,
    said: Said,
) -> Option<Begun> {
    let mut row = read(cluster, state, node, number)?;
    let token = match row.operation.lease() {
        Some(lease) if !cluster.has(Guard::TokenCompared) => lease.token,
        _ => LeaseToken(token),
    };
    if !cluster.has(Guard::ReportRemembered) {
        Arc::make_mut(&mut row.operation).ended_by = None::<EndedBy>;
    }
    let kind = match said {
        Said::Alive => ReportKind::Running,
        Said::Done => ReportKind::Completed { result: None, resource_location: None },
        Said::GaveUp => ReportKind::Failed { failure: FAILURE.clone(), retryable: false, retry_after: None },
    };
    let command = Command::Report { token, report: Report { kind, checkpoint: None, progress: None } };
    let (write, verdict) = applied(number, &row, &command, *START);
    Some((write, Answer::Told(verdict)))
}

fn cancel(cluster: &Cluster, state: &mut State, node: usize, number: Number) -> Option<Begun> {
    let row = read(cluster, state, node, number)?;
    let (write, verdict) = applied(number, &row, &Command::Cancel, *START);
    if verdict == Verdict::Refused && !cluster.has(Guard::TerminalFrozen) {
        let mut after = row.clone();
        let operation = Arc::make_mut(&mut after.operation);
        operation.version += 1;
        operation.state =
            Standing::Failed { failure: FAILURE.clone(), outcome: Outcome::Canceled, at: *START };
        let read = Some(row.operation.version);
        let write = Write { number, read, row: after, event: Some(EventKind::Failed) };
        return Some((Some(write), Answer::Nothing));
    }
    Some((write, Answer::Nothing))
}

/// A tick found a lease over by looking around without a lock. It locks, and looks again.
fn tick(cluster: &Cluster, state: &mut State, node: usize, number: Number) -> Option<Begun> {
    let row = read(cluster, state, node, number)?;
    let is_over = state.over.contains(&(number, row.operation.token.0));
    if !is_over && cluster.has(Guard::TickLooksAgain) {
        return Some((None, Answer::Nothing));
    }
    Some((applied(number, &row, &Command::Tick, *LATER).0, Answer::Nothing))
}

/// What the state machine makes of a command.
fn applied(number: Number, row: &Row, command: &Command, now: Timestamp) -> (Option<Write>, Verdict) {
    let write = |operation: Box<Operation>, event| {
        let row = Row { key: row.key, operation: Arc::new(*operation) };
        Some(Write { number, read: None, row, event })
    };
    let (made, verdict) = match operation::apply(&row.operation, command, at(now)) {
        Ok(Step::Changed { operation, event, .. }) => (write(operation, Some(event)), Verdict::Taken),
        Ok(Step::Touched(operation)) => (write(operation, None), Verdict::Taken),
        Ok(Step::Unchanged | Step::Pruned) => (None, Verdict::Repeated),
        Err(_) => (None, Verdict::Refused),
    };
    let read = Some(row.operation.version);
    (made.map(|write| Write { read, ..write }), verdict)
}

fn at(now: Timestamp) -> Context {
    Context { now, jitter: 0.0 }
}

/// When everything happens but for the ends of leases.
static START: LazyLock<Timestamp> = LazyLock::new(|| Timestamp::from_ticks(17_000_000_000_000_000));
/// After the end of every lease.
static LATER: LazyLock<Timestamp> = LazyLock::new(|| START.plus_seconds(LEASE_SECONDS + 1));

static FAILURE: LazyLock<Arc<Failure>> = LazyLock::new(|| Arc::new(Failure::new("failed", "on purpose")));

static SUBMISSION: LazyLock<Submission> = LazyLock::new(|| {
    let name = || Name::parse("a").expect("it is a name");
    let lane =
        Lane { tenant: TenantId::parse("a").expect("it is a name"), queue: name(), operation_type: name() };
    let spec = Spec {
        id: OperationId(Uuid::nil()),
        lane: Arc::new(lane),
        external: false,
        key: None,
        fingerprint: None,
        created: *START,
        received: *START,
        input: None,
        priority: 0,
        timeout_seconds: None,
        max_attempts: ATTEMPTS_MAX,
        retry: None,
        labels: None,
        traceparent: None,
        submitted_by: Arc::from("a client"),
    };
    Submission {
        spec,
        last_action: None,
        start_at: None,
        expires: None,
        progress: Progress::default(),
        opening: Opening::Waiting,
    }
});

fn worker_id(worker: usize, life: u8) -> WorkerId {
    static IDS: LazyLock<Vec<WorkerId>> =
        LazyLock::new(|| (0..16).map(|n| WorkerId::parse(&format!("w{n}")).expect("it is an id")).collect());
    IDS[worker * 4 + usize::from(life)].clone()
}

fn claim_id(claim: u8) -> ClaimId {
    static IDS: LazyLock<Vec<ClaimId>> =
        LazyLock::new(|| (0..16).map(|n| ClaimId::parse(&format!("c{n}")).expect("it is an id")).collect());
    IDS[usize::from(claim)].clone()
}
