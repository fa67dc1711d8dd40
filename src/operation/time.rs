//! Instants: 100 ns counts since 1970, read and written as RFC 3339.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Datelike, Timelike, Utc};

/// Ticks of 100 ns in a second.
const TICKS_PER_SECOND: i64 = 10_000_000;
/// The years that a timestamp of seven fraction digits can name: 0001 to 9999.
const TICKS_MIN: i64 = -621_355_968_000_000_000;
const TICKS_MAX: i64 = 2_534_023_007_999_999_999;

/// An instant in UTC, to 100 ns: what the store keeps and the wire shows with seven fraction digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 date-time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date-time such as 2026-01-31T09:30:00Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The earliest instant.
    pub const MIN: Self = Self(TICKS_MIN);
    /// The latest instant.
    pub const MAX: Self = Self(TICKS_MAX);

    /// From a count of 100 ns since 1970-01-01T00:00:00Z; outside of the years 1 to 9999 the nearest end.
    pub fn from_ticks(ticks: i64) -> Self {
        Self(ticks.clamp(TICKS_MIN, TICKS_MAX))
    }

    /// The count of 100 ns since 1970-01-01T00:00:00Z.
    pub fn ticks(self) -> i64 {
        self.0
    }

    /// The machine's wall clock.
    pub fn wall() -> Self {
        let now = Utc::now();
        Self::from_ticks(now.timestamp() * TICKS_PER_SECOND + i64::from(now.nanosecond()) / 100)
    }

    /// Reads an RFC 3339 date-time with any offset; digits beyond the seventh of the fraction are cut.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTimestamp)?;
        let nanos = i64::from(parsed.timestamp_subsec_nanos()) / 100;
        Ok(Self::from_ticks(parsed.timestamp() * TICKS_PER_SECOND + nanos))
    }

    /// This instant moved later by `span`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let ticks = i64::try_from(span.as_nanos() / 100).unwrap_or(i64::MAX);
        Self::from_ticks(self.0.saturating_add(ticks))
    }

    /// This instant moved earlier by `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let ticks = i64::try_from(span.as_nanos() / 100).unwrap_or(i64::MAX);
        Self::from_ticks(self.0.saturating_sub(ticks))
    }

    /// This instant moved later by whole seconds.
    #[must_use]
    pub fn plus_seconds(self, seconds: u32) -> Self {
        self.plus(Duration::from_secs(u64::from(seconds)))
    }

    /// How long ago `earlier` was at this instant; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        let ticks = u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0);
        Duration::from_nanos(ticks.saturating_mul(100))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(TICKS_PER_SECOND);
        let fraction = self.0.rem_euclid(TICKS_PER_SECOND);
        let Some(at) = DateTime::from_timestamp(seconds, 0) else {
            return Err(fmt::Error);
        };
        let mut text = *b"0000-00-00T00:00:00.0000000Z";
        let year = u32::try_from(at.year()).map_err(|_| fmt::Error)?;
        for (start, width, value) in [
            (0, 4, year),
            (5, 2, at.month()),
            (8, 2, at.day()),
            (11, 2, at.hour()),
            (14, 2, at.minute()),
            (17, 2, at.second()),
            (20, 7, u32::try_from(fraction).map_err(|_| fmt::Error)?),
        ] {
            put_digits(&mut text[start..start + width], value);
        }
        out.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Writes `value` right-aligned into `digits`, which hold zeros.
fn put_digits(digits: &mut [u8], mut value: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_read_and_utc_written_with_seven_digits() {
        let at = Timestamp::parse("2017-01-01T00:02:27.6832592+03:00").unwrap();
        assert_eq!(at.to_string(), "2016-12-31T21:02:27.6832592Z");
        let cut = Timestamp::parse("2017-01-01T00:02:27.68325929Z").unwrap();
        assert_eq!(cut.to_string(), "2017-01-01T00:02:27.6832592Z");
        let whole = Timestamp::parse("1969-12-31T23:59:59Z").unwrap();
        assert_eq!(whole.to_string(), "1969-12-31T23:59:59.0000000Z");
        assert_eq!(whole.ticks(), -TICKS_PER_SECOND);
    }

    #[test]
    fn the_ends_of_time_are_written_and_read_again() {
        for end in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(Timestamp::parse(&end.to_string()), Ok(end));
        }
        assert_eq!(Timestamp::MAX.plus_seconds(1), Timestamp::MAX);
        assert!(Timestamp::parse("tomorrow").is_err());
        assert!(Timestamp::parse("2017-01-01").is_err());
    }
}
