//! How long to wait before the next attempt.

use std::time::Duration;

use crate::limits;

/// Backoff between attempts: `initialDelaySeconds × factor^(attempt − 1)`, at most `maxDelaySeconds`, jitter on top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Before the second attempt.
    pub initial_delay_seconds: f64,
    /// By what each further delay grows; at least 1.
    pub factor: f64,
    /// The longest delay, before jitter.
    pub max_delay_seconds: f64,
    /// Up to this part of the delay is added at random; 0 to 1.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { initial_delay_seconds: 1.0, factor: 2.0, max_delay_seconds: 3600.0, jitter: 0.2 }
    }
}

impl RetryPolicy {
    /// How long an operation waits after its `attempts`-th attempt failed: never sooner than `asked`;
    /// `jitter` is drawn from 0 to 1 by the caller.
    pub fn delay(&self, attempts: u16, asked: Option<Duration>, jitter: f64) -> Duration {
        // Bounded, since no delay times an infinite growth is no number.
        let growth = self.factor.powi(i32::from(attempts.saturating_sub(1))).min(f64::MAX);
        let backoff = (self.initial_delay_seconds * growth).min(self.max_delay_seconds);
        let base = backoff.max(asked.map_or(0.0, |asked| asked.as_secs_f64()));
        let seconds = base * (1.0 + self.jitter * jitter);
        let longest = 2.0 * f64::from(limits::DURATION_SECONDS_MAX);
        Duration::from_secs_f64(seconds.clamp(0.0, longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_maximum_and_jitter_comes_on_top() {
        let policy = RetryPolicy::default();
        let seconds = |attempts, jitter| policy.delay(attempts, None, jitter).as_secs_f64();
        assert!((seconds(1, 0.0) - 1.0).abs() < 1e-9);
        assert!((seconds(3, 0.0) - 4.0).abs() < 1e-9);
        assert!((seconds(1000, 0.0) - 3600.0).abs() < 1e-9);
        assert!((seconds(1000, 1.0) - 4320.0).abs() < 1e-9);
    }

    #[test]
    fn a_policy_without_delay_stays_without_however_much_it_grows() {
        let policy = RetryPolicy { initial_delay_seconds: 0.0, factor: 10.0, ..RetryPolicy::default() };
        assert_eq!(policy.delay(1000, None, 1.0), Duration::ZERO);
    }

    #[test]
    fn a_delay_is_never_sooner_than_asked() {
        let policy = RetryPolicy { jitter: 0.0, ..RetryPolicy::default() };
        let asked = Some(Duration::from_secs(30));
        assert_eq!(policy.delay(1, asked, 1.0), Duration::from_secs(30));
        assert_eq!(policy.delay(10, asked, 0.0), Duration::from_secs(512));
    }
}
