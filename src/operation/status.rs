//! The words for where an operation stands and how it ended.

/// The four words of the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, utoipa::ToSchema)]
pub enum Status {
    /// Waiting in a queue, or for its owner.
    NotStarted,
    /// Carried out under a lease, or by its owner.
    Running,
    /// Ended well.
    Completed,
    /// Ended otherwise.
    Failed,
}

impl Status {
    /// All four, in the order of an operation's life.
    pub const ALL: [Self; 4] = [Self::NotStarted, Self::Running, Self::Completed, Self::Failed];

    /// Reads the exact word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// The word of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "NotStarted",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    /// Whether nothing but a person's retry or a delete can follow.
    pub fn is_terminal(self) -> bool {
        self >= Self::Completed
    }
}

/// How a failed operation, or an attempt, ended. Kept apart from the error's code, which is its worker's own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// Its worker or owner said so.
    Failed,
    /// On request.
    Canceled,
    /// Still waiting at its `expirationDateTime`.
    Expired,
    /// Longer than its `timeoutSeconds`.
    TimedOut,
    /// Its worker went silent.
    LeaseExpired,
    /// Its worker gave it back (of an attempt only).
    Released,
}

impl Outcome {
    /// The word of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::TimedOut => "timedOut",
            Self::LeaseExpired => "leaseExpired",
            Self::Released => "released",
        }
    }
}
