//! Random turns, played on the model in memory and on each other store by the same clock. Nothing that a turn is given, and
//! nothing that a reader sees after it, may differ.
//!
//! `PROPTEST_CASES` says how many lives are played. What once failed is played first: `proptest-regressions`.

mod plan;
mod play;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use longrun::operation::EventKind;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::world::World;
use plan::{Fate, Plan, lives};
use play::play;

/// Lives that every run plays; each costs some dozen real commits.
const CASES: u32 = 96;
/// Of those over a database, which each life begins with making.
const DATABASE_CASES: u32 = 32;
/// ... and over one behind a pooler: the statements are the same.
const POOLED_CASES: u32 = 8;

fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig::default();
    if asked { config } else { ProptestConfig { cases, ..config } }
}

/// A turn that takes so long was not slow, the machine stood still: a database gives a turn up after five seconds.
const STOOD_STILL: Duration = Duration::from_secs(4);
/// So often a life is played again for that.
const AGAIN: usize = 3;

/// Plays a life on both; anew where the machine stood still in the middle of one that does not agree.
fn agree(model: fn() -> World, other: fn() -> World, plans: &[Plan]) -> Result<(), TestCaseError> {
    for _ in 0..AGAIN {
        let mut longest = Duration::ZERO;
        let life = || live(&mut model(), &mut other(), plans, &mut longest);
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(life)) {
            Ok(Ok(())) => return Ok(()),
            _ if longest >= STOOD_STILL => {}
            Ok(differs) => return differs,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    Err(TestCaseError::fail("the machine stood still each time"))
}

/// Plays a life on both, and stops at the first line that differs.
fn live(
    model: &mut World,
    other: &mut World,
    plans: &[Plan],
    longest: &mut Duration,
) -> Result<(), TestCaseError> {
    for (turn, plan) in plans.iter().enumerate() {
        let _timed = Timed { began: Instant::now(), longest };
        let (expected, found) = (play(model, plan), play(other, plan));
        if expected.text != found.text {
            let reason = format!("turn {turn}: {plan:#?}\n{}", difference(&expected.text, &found.text));
            return Err(TestCaseError::fail(reason));
        }
    }
    Ok(())
}

/// Measures a turn, whether or not it panics.
struct Timed<'l> {
    began: Instant,
    longest: &'l mut Duration,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        *self.longest = self.began.elapsed().max(*self.longest);
    }
}

/// The first lines that differ, with the heading they stand under.
fn difference(expected: &str, found: &str) -> String {
    let mut heading = "";
    let mut found = found.lines();
    for line in expected.lines() {
        if line.contains(": ") || line.ends_with(':') && !line.starts_with(' ') {
            heading = line;
        }
        let other = found.next().unwrap_or("(the end)");
        if line != other {
            return format!("under {heading}\n  the model: {line}\n  the store: {other}");
        }
    }
    format!("the store goes on: {}", found.next().unwrap_or_default())
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn sqlite_and_the_model_agree_on_everything_that_can_be_seen(plans in lives()) {
        live(&mut World::memory(), &mut World::sqlite(), &plans, &mut Duration::default())?;
    }
}

proptest! {
    #![proptest_config(config(DATABASE_CASES))]

    #[test]
    fn postgres_and_the_model_agree_on_everything_that_can_be_seen(plans in lives()) {
        agree(World::shared_memory, World::postgres, &plans)?;
    }
}

proptest! {
    #![proptest_config(config(POOLED_CASES))]

    #[test]
    fn behind_a_pooler_postgres_and_the_model_agree_as_well(plans in lives()) {
        agree(World::shared_memory, World::pooled, &plans)?;
    }
}

/// The lives reach what they are about: a comparison that never met its case has shown nothing.
#[test]
fn the_random_turns_meet_every_kind_of_event_and_fate() {
    let mut runner = TestRunner::deterministic();
    let (mut kinds, mut fates, mut restarts, mut pruned, mut woken) = (HashSet::new(), 0, 0, 0, 0);
    for _ in 0..CASES {
        let plans = lives().new_tree(&mut runner).expect("a life").current();
        let mut world = World::memory();
        for plan in &plans {
            let seen = play(&mut world, plan);
            kinds.extend(seen.events);
            pruned += seen.pruned;
            woken += seen.woken;
            fates += usize::from(plan.fate != Fate::Committed);
            restarts += usize::from(matches!(plan.fate, Fate::Restarted | Fate::Crashed));
        }
    }
    let missing: Vec<EventKind> = EventKind::ALL.into_iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "no life had {missing:?}");
    assert!(pruned > 50, "{pruned} operations were pruned");
    assert!(woken > 20, "{woken} operations were ready for waiting claims");
    assert!(
        fates > 100 && restarts > 50,
        "{fates} turns were not simply committed, {restarts} met a restart"
    );
}
