//! The one clock of an embedded store: it follows the machine's wall clock, but never steps back and is not fooled by
//! a large step either way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::operation::Timestamp;

/// A wall clock further than this from where it is expected has stepped.
const STEP: Duration = Duration::from_hours(1);
/// A step ahead is believed once it has held for this long.
const BELIEVED_AFTER: Duration = Duration::from_hours(1);
/// A wall clock further than this ahead of the mark at start counts as a step; a server may well have been off for less.
const ABSENCE_MAX: Duration = Duration::from_hours(30 * 24);
/// While the wall clock lies a little behind, this clock loses one part in so many until they meet, and never stands still.
const SLEW: u32 = 8;

/// Where the clock reads from: the machine, or a test.
pub trait TimeSource: Send + Sync {
    /// The wall clock.
    fn wall(&self) -> Timestamp;
    /// Time since some fixed moment, which nobody can set.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct Machine(Instant);

impl Default for Machine {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl TimeSource for Machine {
    fn wall(&self) -> Timestamp {
        Timestamp::wall()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The machine's clocks, and what a test has set them ahead by.
#[derive(Debug, Default)]
pub struct SetAhead {
    machine: Machine,
    ahead: Mutex<Duration>,
}

impl SetAhead {
    /// Sets both clocks ahead, as if so much time had passed.
    pub fn advance(&self, by: Duration) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    fn ahead(&self) -> Duration {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimeSource for SetAhead {
    fn wall(&self) -> Timestamp {
        self.machine.wall().plus(self.ahead())
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic() + self.ahead()
    }
}

/// How a store's clock stands to the machine's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockState {
    /// It follows the wall clock.
    Following,
    /// The wall clock stepped by more than an hour; time goes on without it.
    Stepped {
        /// What the wall clock shows.
        wall: Timestamp,
        /// What the store goes by.
        now: Timestamp,
    },
}

#[derive(Debug)]
struct Reading {
    last: Timestamp,
    at: Duration,
    /// Since when (monotonic) the wall clock stands apart.
    apart_since: Option<Duration>,
}

/// How the machine's clock fits the latest time that a store has shown, when a server starts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is believed.
    Fits,
    /// It is behind that, by so much, and not believed.
    Behind(Duration),
    /// It is so far ahead that it is not believed for an hour.
    Ahead(Duration),
}

/// How a machine's clock fits the latest time of a store.
pub fn fit(wall: Timestamp, mark: Timestamp) -> Fit {
    if wall < mark {
        Fit::Behind(mark.since(wall))
    } else if wall.since(mark) > ABSENCE_MAX {
        Fit::Ahead(wall.since(mark))
    } else {
        Fit::Fits
    }
}

/// The clock. Shared by the halves of a store.
pub struct Clock {
    source: Arc<dyn TimeSource>,
    reading: Mutex<Reading>,
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Clock").finish_non_exhaustive()
    }
}

impl Clock {
    /// A clock that goes on from `mark`, the latest time its store has shown; without one it takes the wall clock's word.
    pub fn new(source: Arc<dyn TimeSource>, mark: Option<Timestamp>) -> Self {
        let (wall, at) = (source.wall(), source.monotonic());
        let (last, apart_since) = match mark {
            Some(mark) if fit(wall, mark) != Fit::Fits => (mark, Some(at)),
            _ => (wall, None),
        };
        if apart_since.is_some() {
            tracing::warn!(%wall, %last, "the wall clock does not fit the time this store last saw; going on without it");
        }
        Self { source, reading: Mutex::new(Reading { last, at, apart_since }) }
    }

    /// The time. Never earlier than it ever was.
    pub fn now(&self) -> Timestamp {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, at) = (self.source.wall(), self.source.monotonic());
        let passed = at.saturating_sub(reading.at);
        let expected = reading.last.plus(passed);
        let ahead = wall.since(expected);
        let behind = expected.since(wall);
        if ahead <= STEP && behind <= STEP {
            if reading.apart_since.take().is_some() {
                tracing::info!(%wall, "the wall clock fits again");
            }
            // A little behind: lose time gently instead of standing still, or leases would never end.
            reading.last = wall.max(reading.last.plus(passed / SLEW * (SLEW - 1)));
        } else {
            let since = *reading.apart_since.get_or_insert_with(|| {
                tracing::warn!(%wall, %expected, "the wall clock stepped by more than an hour; going on without it");
                at
            });
            let believed = ahead > STEP && at.saturating_sub(since) >= BELIEVED_AFTER;
            reading.last = if believed { wall } else { expected };
        }
        reading.at = at;
        reading.last
    }

    /// Whether it follows the wall clock.
    pub fn state(&self) -> ClockState {
        let now = self.now();
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match reading.apart_since {
            Some(_) => ClockState::Stepped { wall: self.source.wall(), now },
            None => ClockState::Following,
        }
    }
}

/// A clock of the tests: it stands until it is moved.
#[derive(Debug)]
pub struct Manual(Mutex<(Timestamp, Duration)>);

impl Manual {
    /// A clock that shows this.
    pub fn at(wall: Timestamp) -> Self {
        Self(Mutex::new((wall, Duration::ZERO)))
    }

    /// Time passes.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = (now.0.plus(by), now.1 + by);
    }

    /// Somebody sets the wall clock.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = wall;
    }
}

impl TimeSource for Manual {
    fn wall(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const HOUR: Duration = Duration::from_hours(1);

    fn start() -> Timestamp {
        Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
    }

    fn clock(mark: Option<Timestamp>) -> (Arc<Manual>, Clock) {
        let source = Arc::new(Manual::at(start()));
        (source.clone(), Clock::new(source, mark))
    }

    #[test]
    fn a_small_step_ahead_is_followed_and_one_back_is_slewed() {
        let (source, clock) = clock(None);
        source.set_wall(start().plus(MINUTE));
        assert_eq!(clock.now(), start().plus(MINUTE));
        source.set_wall(start());
        let before = clock.now();
        source.advance(8 * MINUTE);
        assert_eq!(clock.now(), before.plus(7 * MINUTE));
        source.advance(8 * MINUTE);
        assert_eq!(clock.now(), source.wall().max(before.plus(14 * MINUTE)));
    }

    #[test]
    fn a_year_ahead_is_not_believed_before_it_has_held_for_an_hour() {
        let (source, clock) = clock(None);
        source.set_wall(start().plus(365 * 24 * HOUR));
        source.advance(10 * Duration::from_secs(1));
        assert_eq!(clock.now(), start().plus(Duration::from_secs(10)));
        assert!(matches!(clock.state(), ClockState::Stepped { .. }));
        source.advance(59 * MINUTE);
        assert_eq!(clock.now(), start().plus(Duration::from_secs(10) + 59 * MINUTE));
        source.advance(MINUTE);
        assert_eq!(clock.now(), source.wall());
    }

    #[test]
    fn a_step_far_back_never_turns_time_back() {
        let (source, clock) = clock(None);
        source.set_wall(start().plus(MINUTE));
        clock.now();
        source.set_wall(Timestamp::parse("2025-01-01T00:00:00Z").unwrap());
        source.advance(2 * HOUR);
        assert_eq!(clock.now(), start().plus(MINUTE + 2 * HOUR));
    }

    #[test]
    fn at_start_the_mark_outranks_a_wall_clock_behind_it_or_a_month_ahead() {
        let later = start().plus(MINUTE);
        assert_eq!(clock(Some(later)).1.now(), later);
        let long_ago = Timestamp::parse("2025-01-01T00:00:00Z").unwrap();
        assert_eq!(clock(Some(long_ago)).1.now(), long_ago);
        let yesterday = Timestamp::parse("2025-12-31T00:00:00Z").unwrap();
        assert_eq!(clock(Some(yesterday)).1.now(), start());
    }
}
