//! Random lives: a submission, and commands at moving times.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

/// One step of a random life. Tokens are told relative to the last one given.
#[derive(Debug, Clone)]
pub(super) enum Move {
    Pass { millis: u64 },
    Claim { own: bool, seconds: u32 },
    Report { back: i64, kind: ReportKind, percent: Option<u8>, checkpoint: bool },
    Return { back: i64 },
    Cancel,
    Retry,
    Patch(Patch),
    Delete,
    Tick,
}

/// A step that was taken: what was, what was asked, what came of it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) before: Operation,
    pub(super) command: Command,
    pub(super) did: Result<Did, Refusal>,
    pub(super) now: Timestamp,
    pub(super) attempt: Option<Attempt>,
}

impl Taken {
    pub(super) fn changed(&self) -> Option<EventKind> {
        match self.did {
            Ok(Did::Changed(event)) => Some(event),
            _ => None,
        }
    }
}

/// Lives a life through, and shows every step with the life as it is after it. It ends with a delete.
pub(super) fn walk(submission: &Submission, moves: &[Move], mut see: impl FnMut(&Taken, &Life)) {
    let mut life = Life::of(submission);
    for (place, next) in moves.iter().enumerate() {
        let Some(command) = command(next, &mut life) else { continue };
        life.jitter = f64::from(u32::try_from(place % 8).unwrap()) / 8.0;
        let before = life.operation.clone();
        let attempts = life.attempts.len();
        let did = life.attempt(&command);
        let attempt = life.attempts.get(attempts).cloned();
        let deleted = did == Ok(Did::Changed(EventKind::Deleted));
        see(&Taken { before, command, did, now: life.now, attempt }, &life);
        if deleted {
            return;
        }
    }
}

fn command(next: &Move, life: &mut Life) -> Option<Command> {
    let token = |back| LeaseToken(life.operation.token.0 - back);
    Some(match next {
        Move::Pass { millis } => {
            life.now = life.now.plus(Duration::from_millis(*millis));
            return None;
        }
        Move::Claim { own, seconds } => {
            let mut claim = claim(*seconds);
            if let Command::Claim { own: flag, .. } = &mut claim {
                *flag = *own;
            }
            claim
        }
        Move::Report { back, kind, percent, checkpoint } => {
            let progress = percent.map(|percent| Progress { percent: Some(percent), detail: None });
            let checkpoint = checkpoint.then(|| json("{}"));
            let report = Report { kind: kind.clone(), checkpoint, progress };
            Command::Report { token: token(*back), report }
        }
        Move::Return { back } => Command::Return { token: token(*back) },
        Move::Cancel => Command::Cancel,
        Move::Retry => Command::Retry,
        Move::Patch(patch) => Command::Patch(patch.clone()),
        Move::Delete => Command::Delete,
        Move::Tick => Command::Tick,
    })
}

pub(super) fn lives() -> impl Strategy<Value = (Submission, Vec<Move>)> {
    (submissions(), vec(moves(), 1..60))
}

fn submissions() -> impl Strategy<Value = Submission> {
    let opening = prop_oneof![
        6 => Just(Opening::Waiting),
        1 => Just(Opening::Running),
        1 => Just(Opening::Failed(None)),
    ];
    let times = (option::of(0_u8..20), option::of(20_u8..90), option::of(-20_i8..20), option::of(1_u32..60));
    (prop::bool::weighted(0.15), opening, times, 1_u16..5, option::of(0_u8..30)).prop_map(
        |(external, opening, (start, expires, last_action, timeout), max_attempts, delay)| {
            let mut submission = submission();
            submission.spec.external = external;
            submission.spec.max_attempts = max_attempts;
            submission.spec.timeout_seconds = timeout;
            submission.spec.retry = delay.map(|delay| RetryPolicy {
                initial_delay_seconds: f64::from(delay),
                ..RetryPolicy::default()
            });
            submission.start_at = start.map(|start| at(f64::from(start)));
            submission.expires = expires.map(|expires| at(f64::from(expires)));
            let ahead = |seconds: i8| Timestamp::from_ticks(START + i64::from(seconds) * 10_000_000);
            submission.last_action = last_action.map(ahead);
            submission.opening = opening;
            submission
        },
    )
}

fn kinds() -> impl Strategy<Value = ReportKind> {
    let delay = option::of((0_u64..40).prop_map(Duration::from_secs));
    let failed = (any::<bool>(), delay).prop_map(|(retryable, retry_after)| ReportKind::Failed {
        failure: Arc::new(Failure::new("upstream", "It did not answer.")),
        retryable,
        retry_after,
    });
    prop_oneof![
        6 => Just(ReportKind::Running),
        1 => Just(completed()),
        3 => failed,
        4 => Just(ReportKind::Released),
    ]
}

fn patches() -> impl Strategy<Value = Patch> {
    let status = option::of(prop::sample::select(&Status::ALL));
    (status, option::of(0_u8..4), any::<bool>(), any::<bool>()).prop_map(
        |(status, percent, result, error)| Patch {
            status,
            percent,
            result: result.then(|| json("1")),
            failure: error.then(|| failure("theirs")),
            ..Patch::default()
        },
    )
}

fn moves() -> impl Strategy<Value = Move> {
    let millis = prop_oneof![0_u64..400, 400_u64..9_000, 9_000_u64..70_000];
    // Mostly the running attempt, sometimes one before or one that never was.
    let back = || prop_oneof![8 => Just(0_i64), 2 => Just(1), 1 => Just(2), 1 => Just(-1)];
    let report = (back(), kinds(), option::of(0_u8..5), any::<bool>())
        .prop_map(|(back, kind, percent, checkpoint)| Move::Report { back, kind, percent, checkpoint });
    prop_oneof![
        6 => millis.prop_map(|millis| Move::Pass { millis }),
        6 => (any::<bool>(), 1_u32..60).prop_map(|(own, seconds)| Move::Claim { own, seconds }),
        12 => report,
        1 => back().prop_map(|back| Move::Return { back }),
        1 => Just(Move::Cancel),
        2 => Just(Move::Retry),
        2 => patches().prop_map(Move::Patch),
        1 => Just(Move::Delete),
        5 => Just(Move::Tick),
    ]
}
