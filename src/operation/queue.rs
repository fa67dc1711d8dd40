//! What an operator sets for a queue, and what that lets through.

/// The pause and the limits of one queue. Without any, as by default, everything goes through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Controls {
    /// Nothing is claimed from it; what runs goes on, and new operations are taken in.
    pub paused: bool,
    /// How many of its operations may run at a time.
    pub max_running: Option<u32>,
    /// How many may wait in it, those that may not start yet included, before new ones are refused.
    pub max_waiting: Option<u32>,
}

/// A change of them: what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ControlsChange {
    /// Whether it is paused.
    pub paused: Option<bool>,
    /// The new limit; `Some(None)` clears it.
    pub max_running: Option<Option<u32>>,
    /// The same.
    pub max_waiting: Option<Option<u32>>,
}

/// Whether a queue lets another of its operations start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// So many more at this moment, at least one.
    Open(usize),
    /// It is paused.
    Paused,
    /// As many run as may.
    Full,
}

impl Gate {
    /// How many may start.
    pub fn room(self) -> usize {
        match self {
            Self::Open(room) => room,
            Self::Paused | Self::Full => 0,
        }
    }
}

impl Controls {
    /// Whether so many running operations leave room for another: for a claim, and for whoever wants to know why an
    /// operation waits.
    pub fn gate(&self, running: usize) -> Gate {
        if self.paused {
            return Gate::Paused;
        }
        match self.max_running.map(|max| (max as usize).saturating_sub(running)) {
            None => Gate::Open(usize::MAX),
            Some(0) => Gate::Full,
            Some(room) => Gate::Open(room),
        }
    }

    /// Whether another operation may come to wait beside so many.
    pub fn admits(&self, waiting: u64) -> bool {
        self.max_waiting.is_none_or(|max| waiting < u64::from(max))
    }

    /// As they are after a change.
    #[must_use]
    pub fn with(self, change: ControlsChange) -> Self {
        Self {
            paused: change.paused.unwrap_or(self.paused),
            max_running: change.max_running.unwrap_or(self.max_running),
            max_waiting: change.max_waiting.unwrap_or(self.max_waiting),
        }
    }

    /// Whether they let everything through.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(max_running: u32) -> Controls {
        Controls { max_running: Some(max_running), ..Controls::default() }
    }

    #[test]
    fn a_queue_without_controls_lets_everything_through() {
        assert_eq!(Controls::default().gate(usize::MAX), Gate::Open(usize::MAX));
        assert!(Controls::default().admits(u64::MAX));
    }

    #[test]
    fn a_limited_queue_lets_through_what_is_missing_to_its_limit() {
        assert_eq!(limited(3).gate(1), Gate::Open(2));
        assert_eq!(limited(3).gate(3), Gate::Full);
        assert_eq!(limited(3).gate(9), Gate::Full, "the limit was lowered under what runs");
        assert_eq!(limited(0).gate(0), Gate::Full);
    }

    #[test]
    fn a_paused_queue_lets_nothing_through_whatever_its_limit_says() {
        assert_eq!(Controls { paused: true, ..limited(3) }.gate(0), Gate::Paused);
        assert_eq!(Controls { paused: true, ..Controls::default() }.gate(0).room(), 0);
    }

    #[test]
    fn the_last_place_in_a_queue_is_taken_and_the_next_one_refused() {
        let controls = Controls { max_waiting: Some(2), ..Controls::default() };
        assert_eq!([0, 1, 2, 3].map(|waiting| controls.admits(waiting)), [true, true, false, false]);
    }

    #[test]
    fn a_change_leaves_alone_what_it_does_not_name() {
        let before = Controls { paused: true, max_running: Some(3), max_waiting: Some(9) };
        assert_eq!(before.with(ControlsChange::default()), before);
        let change = ControlsChange { max_running: Some(None), ..ControlsChange::default() };
        assert_eq!(before.with(change), Controls { max_running: None, ..before });
        let change = ControlsChange { paused: Some(false), max_waiting: Some(Some(1)), ..change };
        assert_eq!(before.with(change), Controls { max_waiting: Some(1), ..Controls::default() });
    }
}
