//! The small numbers that stand for words in a store. They never change their meaning.

use super::{Damaged, Result};
use crate::operation::{EventKind, Hold, Outcome, Status, Via};

/// `NotStarted` is 0: the ready index says so too.
pub(in crate::store) fn status(status: Status) -> i64 {
    match status {
        Status::NotStarted => 0,
        Status::Running => 1,
        Status::Completed => 2,
        Status::Failed => 3,
    }
}

pub(in crate::store) fn status_of(code: i64) -> Option<Status> {
    word(&Status::ALL, code)
}

/// 0: may start.
pub(in crate::store) fn hold(hold: Option<Hold>) -> i64 {
    match hold {
        None => 0,
        Some(Hold::Delayed) => 1,
        Some(Hold::RetryBackoff) => 2,
        Some(Hold::External) => 3,
    }
}

pub(in crate::store) fn hold_of(code: i64) -> Result<Option<Hold>> {
    match code {
        0 => Ok(None),
        1 => Ok(Some(Hold::Delayed)),
        2 => Ok(Some(Hold::RetryBackoff)),
        3 => Ok(Some(Hold::External)),
        _ => Err(Damaged("a hold has no word")),
    }
}

const OUTCOMES: [Outcome; 6] = [
    Outcome::Failed,
    Outcome::Canceled,
    Outcome::Expired,
    Outcome::TimedOut,
    Outcome::LeaseExpired,
    Outcome::Released,
];

pub(in crate::store) fn outcome(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Failed => 0,
        Outcome::Canceled => 1,
        Outcome::Expired => 2,
        Outcome::TimedOut => 3,
        Outcome::LeaseExpired => 4,
        Outcome::Released => 5,
    }
}

pub(in crate::store) fn outcome_of(code: i64) -> Option<Outcome> {
    word(&OUTCOMES, code)
}

pub(in crate::store) fn kind(kind: EventKind) -> i64 {
    match kind {
        EventKind::Created => 0,
        EventKind::Started => 1,
        EventKind::Progress => 2,
        EventKind::Retrying => 3,
        EventKind::Released => 4,
        EventKind::Canceling => 5,
        EventKind::Completed => 6,
        EventKind::Failed => 7,
        EventKind::Updated => 8,
        EventKind::Deleted => 9,
    }
}

pub(in crate::store) fn kind_of(code: i64) -> Option<EventKind> {
    word(&EventKind::ALL, code)
}

pub(in crate::store) fn via(via: Via) -> i64 {
    match via {
        Via::Http => 0,
        Via::Work => 1,
        Via::Cli => 2,
        Via::Tick => 3,
        Via::Database => 4,
    }
}

pub(in crate::store) fn via_of(code: i64) -> Option<Via> {
    word(&Via::ALL, code)
}

fn word<T: Copy>(words: &[T], code: i64) -> Option<T> {
    words.get(usize::try_from(code).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_was_written() {
        for word in Status::ALL {
            assert_eq!(status_of(status(word)), Some(word));
        }
        for word in [None, Some(Hold::Delayed), Some(Hold::RetryBackoff), Some(Hold::External)] {
            assert_eq!(hold_of(hold(word)).unwrap(), word);
        }
        for word in OUTCOMES {
            assert_eq!(outcome_of(outcome(word)), Some(word));
        }
        for word in EventKind::ALL {
            assert_eq!(kind_of(kind(word)), Some(word));
        }
        for word in Via::ALL {
            assert_eq!(via_of(via(word)), Some(word));
        }
        assert_eq!((status_of(4), kind_of(10)), (None, None));
        assert!(hold_of(-1).is_err());
    }
}
