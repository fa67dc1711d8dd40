//! How long to wait before the next try: exponential, jittered, and never sooner than the server asks.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);
/// A server that asks for more is not believed: a worker that rests for hours looks dead.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// The delays of one call that is repeated until it succeeds.
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The delay before the next try. Jitter is added on top of what the server asked for, and spreads
    /// our own delays between half and the whole, so that a thousand workers do not come back as one.
    pub(crate) fn delay(&mut self, retry_after: Option<Duration>) -> Duration {
        let own = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(LONGEST);
        match retry_after {
            Some(asked) => asked.min(RETRY_AFTER_MAX) + own.mul_f64(0.5),
            None => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_two_seconds_and_no_further() {
        let mut backoff = Backoff::new();
        let delays: Vec<_> = (0..12).map(|_| backoff.delay(None)).collect();
        assert!(delays[0] >= FIRST / 2 && delays[0] <= FIRST);
        assert!(delays[11] >= LONGEST / 2 && delays[11] <= LONGEST);
    }

    #[test]
    fn never_sooner_than_the_server_asks() {
        let asked = Duration::from_secs(3);
        assert!(Backoff::new().delay(Some(asked)) >= asked);
    }
}
