//! Random turns, as data: what is touched, what is done, and how the turn ends.

use std::sync::Arc;
use std::time::Duration;

use longrun::operation::{
    Command, Controls, Failure, LeaseToken, Opening, Operation, Patch, Payload, Progress, Report, ReportKind,
    RetryPolicy, Status, Submission, Timestamp,
};
use longrun::store::queue::Queue;
use longrun::store::turn::{Prune, Touches, Want};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::store::drafts::{claim_id, draft, id, json_of, lane, name, start, tenant, want_of, worker};

pub(super) const TENANTS: [&str; 2] = ["default", "other"];
/// Operations of each tenant: few, so that ids come back.
pub(super) const NUMBERS: std::ops::Range<u128> = 1..7;
const KEYS: [&str; 3] = ["k1", "k2", "k3"];
const WORKERS: [&str; 2] = ["w1", "w2"];
const CLAIMS: [&str; 2] = ["c1", "c2"];

/// One turn.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Time that passes before it.
    pub(super) millis: u64,
    pub(super) rest_leases: bool,
    pub(super) due: usize,
    pub(super) prunes: Option<Prunes>,
    pub(super) acts: Vec<Act>,
    pub(super) asks: Vec<Ask>,
    /// Claims that wait.
    pub(super) waiting: Vec<Ask>,
    pub(super) jitter: f64,
    pub(super) fate: Fate,
    /// From where the history is read, and how much of it.
    pub(super) history: (i64, usize),
}

/// For how long what is over is kept, and how much of it goes at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prunes {
    pub(super) operations: (u64, usize),
    pub(super) events: (u64, usize),
}

impl Prunes {
    pub(super) fn at(self, now: Timestamp) -> Prune {
        Prune {
            ended_before: now.minus(Duration::from_millis(self.operations.0)),
            operations: self.operations.1,
            events_before: now.minus(Duration::from_millis(self.events.0)),
            events: self.events.1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    /// Never committed.
    Lost,
    /// Committed, and then the server starts again.
    Restarted,
    /// The server dies before the commit.
    Crashed,
}

/// Something that is done to one operation.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Submit(Box<Submission>),
    Command(&'static str, u128, Asked),
    Control(Queue),
}

/// A command; tokens are told relative to the last one given.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Report { back: i64, report: Report },
    Return { back: i64 },
    Plain(Command),
}

impl Asked {
    pub(super) fn of(&self, operation: &Operation) -> Command {
        let token = |back| LeaseToken(operation.token.0 - back);
        match self {
            Self::Report { back, report } => Command::Report { token: token(*back), report: report.clone() },
            Self::Return { back } => Command::Return { token: token(*back) },
            Self::Plain(command) => command.clone(),
        }
    }
}

/// A claim.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) want: Want,
    pub(super) command: Command,
    /// Whether it takes what it finds.
    pub(super) takes: bool,
}

impl Plan {
    pub(super) fn touches(&self, now: Timestamp) -> Touches {
        let prune = self.prunes.map(|prunes| prunes.at(now));
        let (due, rest_leases) = (self.due, self.rest_leases);
        let mut touches = Touches { due, rest_leases, prune, ..Touches::default() };
        for act in &self.acts {
            match act {
                Act::Submit(submission) => {
                    let spec = &submission.spec;
                    touches.ids.push((spec.lane.tenant.clone(), spec.id));
                    touches.keys.extend(spec.key.clone().map(|key| (spec.lane.tenant.clone(), key)));
                    touches.lanes.push(spec.lane.clone());
                }
                Act::Command(of, number, _) => touches.ids.push((tenant(of), id(*number))),
                Act::Control(queue) => touches.queues.push((queue.tenant.clone(), queue.name.clone())),
            }
        }
        for ask in &self.asks {
            touches.wants.push(ask.want.clone());
            if let Command::Claim { worker, claim, .. } = &ask.command {
                touches.claims.push((ask.want.tenant.clone(), worker.clone(), claim.clone()));
            }
        }
        touches.waiting = self.waiting.iter().map(|ask| ask.want.clone()).collect();
        touches
    }
}

pub(super) fn lives() -> impl Strategy<Value = Vec<Plan>> {
    vec(plans(), 1..24)
}

fn plans() -> impl Strategy<Value = Plan> {
    let millis = prop_oneof![3 => Just(0_u64), 3 => 1_u64..400, 3 => 400_u64..9_000, 1 => 9_000_u64..50_000];
    let due = prop_oneof![2 => Just(0_usize), 1 => 1_usize..3, 3 => Just(100)];
    let fate = prop_oneof![
        16 => Just(Fate::Committed),
        3 => Just(Fate::Lost),
        1 => Just(Fate::Restarted),
        1 => Just(Fate::Crashed),
    ];
    let kept = || (prop_oneof![1 => Just(0_u64), 3 => 1_u64..30_000], 0_usize..6);
    let prunes = (kept(), kept()).prop_map(|(operations, events)| Prunes { operations, events });
    let prunes = option::weighted(0.25, prunes);
    let claims = (vec(asks(), 0..4), vec(asks(), 0..2));
    let touches = (millis, prop::bool::weighted(0.15), (due, prunes), vec(acts(), 0..7), claims);
    (touches, 0.0..1.0_f64, fate, (0_i64..60, 0_usize..8)).prop_map(
        |((millis, rest_leases, (due, prunes), acts, (asks, waiting)), jitter, fate, history)| Plan {
            millis,
            rest_leases,
            due,
            prunes,
            acts,
            asks,
            waiting,
            jitter,
            fate,
            history,
        },
    )
}

fn acts() -> impl Strategy<Value = Act> {
    let of = || prop_oneof![4 => Just(TENANTS[0]), 1 => Just(TENANTS[1])];
    let command = (of(), NUMBERS, commands()).prop_map(|(of, number, asked)| Act::Command(of, number, asked));
    prop_oneof![
        2 => (of(), NUMBERS).prop_flat_map(submissions).prop_map(Box::new).prop_map(Act::Submit),
        4 => command,
        1 => controls().prop_map(Act::Control),
    ]
}

fn controls() -> impl Strategy<Value = Queue> {
    let of = prop_oneof![4 => Just(TENANTS[0]), 1 => Just(TENANTS[1])];
    let limit = || option::weighted(0.6, 0_u32..4);
    (of, select(vec!["a", "b"]), prop::bool::weighted(0.2), limit(), limit()).prop_map(
        |(of, queue, paused, max_running, max_waiting)| Queue {
            tenant: tenant(of),
            name: name(queue),
            controls: Controls { paused, max_running, max_waiting },
        },
    )
}

/// A payload of a size on either side of the limit.
fn sizes() -> impl Strategy<Value = Option<usize>> {
    option::of(prop_oneof![3 => Just(10_usize), 1 => 1020_usize..1030, 1 => Just(3000)])
}

fn submissions((of, number): (&'static str, u128)) -> impl Strategy<Value = Submission> {
    let place = (
        select(vec!["a", "b"]),
        select(vec!["t", "u"]),
        -2_i8..3,
        option::weighted(0.3, select(KEYS.to_vec())),
    );
    let opening = prop_oneof![
        8 => Just(Opening::Waiting),
        1 => Just(Opening::Running),
        1 => sizes().prop_map(|bytes| Opening::Completed {
            result: bytes.map(json_of),
            resource_location: bytes.map(|_| Arc::from("https://a/b")),
        }),
        1 => Just(Opening::Failed(None)),
    ];
    let times = (
        option::weighted(0.3, 0_u32..40),
        option::weighted(0.2, 1_u32..90),
        option::weighted(0.3, 1_u32..40),
    );
    let retry = option::of((0_u32..20).prop_map(|delay| RetryPolicy {
        initial_delay_seconds: f64::from(delay) / 7.0,
        ..RetryPolicy::default()
    }));
    (place, prop::bool::weighted(0.1), opening, times, sizes(), 1_u16..4, retry).prop_map(
        move |(
            (queue, operation_type, priority, key),
            external,
            opening,
            times,
            input,
            max_attempts,
            retry,
        )| {
            draft(number, |submission| {
                let spec = &mut submission.spec;
                spec.lane = lane(of, queue, operation_type);
                spec.external = external;
                spec.priority = priority;
                spec.key = key.map(Arc::from);
                spec.fingerprint = spec.key.is_some().then_some([9; 32]);
                spec.input = input.map(json_of).map(Payload::Inline);
                spec.max_attempts = max_attempts;
                spec.timeout_seconds = times.2;
                spec.retry = retry;
                submission.start_at = times.0.map(|seconds| start().plus_seconds(seconds));
                submission.expires = times.1.map(|seconds| start().plus_seconds(seconds));
                submission.opening = opening.clone();
            })
        },
    )
}

fn reports() -> impl Strategy<Value = Report> {
    let retry_after = option::of((0_u64..20).prop_map(Duration::from_secs));
    let failed = (prop::bool::weighted(0.8), retry_after).prop_map(|(retryable, retry_after)| {
        let failure = Arc::new(Failure::new("upstream", "It did not answer."));
        ReportKind::Failed { failure, retryable, retry_after }
    });
    let completed = sizes()
        .prop_map(|bytes| ReportKind::Completed { result: bytes.map(json_of), resource_location: None });
    let kind = prop_oneof![
        4 => Just(ReportKind::Running),
        2 => completed,
        2 => failed,
        1 => Just(ReportKind::Released),
    ];
    let progress = option::of((option::of(0_u8..4), option::of(Just(Arc::from("on its way")))));
    (kind, option::weighted(0.3, 10_usize..2000), progress).prop_map(|(kind, checkpoint, progress)| Report {
        kind,
        checkpoint: checkpoint.map(json_of),
        progress: progress.map(|(percent, detail)| Progress { percent, detail }),
    })
}

fn patches() -> impl Strategy<Value = Patch> {
    let status = option::of(select(Status::ALL.to_vec()));
    (status, option::of(0_u8..4), sizes(), any::<bool>()).prop_map(|(status, percent, result, failed)| {
        Patch {
            status,
            percent,
            result: result.map(json_of).filter(|_| status == Some(Status::Completed)),
            failure: failed.then(|| Arc::new(Failure::new("theirs", "Its owner says so."))),
            ..Patch::default()
        }
    })
}

fn commands() -> impl Strategy<Value = Asked> {
    // Mostly the running attempt, sometimes one before or one that never was.
    let back = || prop_oneof![10 => Just(0_i64), 1 => Just(1), 1 => Just(-1)];
    prop_oneof![
        10 => (back(), reports()).prop_map(|(back, report)| Asked::Report { back, report }),
        1 => back().prop_map(|back| Asked::Return { back }),
        3 => claims().prop_map(Asked::Plain),
        1 => Just(Asked::Plain(Command::Cancel)),
        1 => Just(Asked::Plain(Command::Retry)),
        1 => Just(Asked::Plain(Command::EndLinks)),
        2 => Just(Asked::Plain(Command::Delete)),
        3 => patches().prop_map(|patch| Asked::Plain(Command::Patch(patch))),
    ]
}

fn claims() -> impl Strategy<Value = Command> {
    (select(WORKERS.to_vec()), select(CLAIMS.to_vec()), prop::bool::weighted(0.2), 1_u32..60).prop_map(
        |(by, under, own, lease_seconds)| Command::Claim {
            worker: worker(by),
            claim: claim_id(under),
            own,
            lease_seconds,
        },
    )
}

fn asks() -> impl Strategy<Value = Ask> {
    let of = prop_oneof![4 => Just(TENANTS[0]), 1 => Just(TENANTS[1])];
    let queues = select(vec![vec![], vec!["a"], vec!["b", "a"], vec!["none", "b"]]);
    let types = select(vec![vec![], vec!["t"], vec!["u", "t"], vec!["u", "u"]]);
    (of, queues, types, 0_usize..5, claims(), prop::bool::weighted(0.7)).prop_map(
        |(of, queues, types, limit, command, takes)| Ask {
            want: Want { tenant: tenant(of), ..want_of(&queues, &types, limit) },
            command,
            takes,
        },
    )
}
