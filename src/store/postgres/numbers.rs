//! Numbers of operations: each node takes a block of them at a time.

/// Numbers of operations in a block: as many as the sequence of the schema goes on by.
pub(super) const BLOCK: i64 = 4096;

/// The numbers set aside for this node's operations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) next: i64,
    pub(super) end: i64,
}

impl Numbers {
    pub(super) const NONE: Self = Self { next: 0, end: 0 };

    pub(super) fn block(first: i64) -> Self {
        Self { next: first, end: first + BLOCK }
    }

    pub(super) fn left(self) -> i64 {
        self.end - self.next
    }
}
