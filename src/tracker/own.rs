//! What this node committed of late, where others write the store, too: it is published from memory, and read from the store
//! only where another node's events lie between.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::recent::{self, Told};
use crate::limits;
use crate::store::turn::Changes;

/// The commits of this node that were not published yet, in their order.
#[derive(Debug, Default)]
pub(super) struct Own {
    commits: Mutex<Commits>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct Commits {
    waiting: VecDeque<Commit>,
    /// Of all that wait.
    bytes: usize,
    /// The cursors of the last ones, published or not: after one, up to another.
    lately: VecDeque<(i64, i64)>,
}

/// The events of a commit: all that there are after one cursor, up to another.
#[derive(Debug)]
pub(super) struct Commit {
    after: i64,
    pub(super) upto: i64,
    pub(super) told: Vec<Arc<Told>>,
    bytes: usize,
}

/// What comes after a cursor.
#[derive(Debug)]
pub(super) enum Next {
    /// A commit of this node, which may have begun before.
    Mine(Commit),
    /// Events that the store tells: another node's, or so many of this one that they are not at hand; after those, some of
    /// this node.
    Others,
    /// Nothing of this node.
    Unknown,
}

impl Own {
    /// The loop has committed this turn. Its events go.
    pub(super) fn committed(&self, changes: &mut Changes) {
        let Some((after, upto, told)) = recent::told(changes) else { return };
        let mut commits = self.lock();
        commits.remember(after, upto);
        let bytes = told.iter().map(|told| told.bytes()).sum();
        commits.bytes += bytes;
        commits.waiting.push_back(Commit { after, upto, told, bytes });
        // Nobody has published for long: the store tells as well.
        while commits.bytes > limits::RECENT_BYTES_MAX {
            commits.pop();
        }
        drop(commits);
        self.grown.notify_one();
    }

    /// What comes after a cursor, up to which everything was published.
    pub(super) fn next(&self, cursor: i64) -> Next {
        let mut commits = self.lock();
        while commits.waiting.front().is_some_and(|commit| commit.upto <= cursor) {
            commits.pop();
        }
        match commits.waiting.front() {
            None if commits.lately.back().is_some_and(|(_, last)| *last > cursor) => Next::Others,
            None => Next::Unknown,
            Some(commit) if commit.after > cursor => Next::Others,
            Some(_) => commits.pop().map_or(Next::Unknown, Next::Mine),
        }
    }

    /// Whether an event is of one of the last commits.
    pub(super) fn is_own(&self, cursor: i64) -> bool {
        let commits = self.lock();
        let place = commits.lately.partition_point(|(_, upto)| *upto < cursor);
        commits.lately.get(place).is_some_and(|(after, _)| *after < cursor)
    }

    /// Waits until there is more.
    pub(super) async fn grown(&self) {
        self.grown.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    fn remember(&mut self, after: i64, upto: i64) {
        match self.lately.back_mut() {
            Some(last) if last.1 == after => last.1 = upto,
            _ => self.lately.push_back((after, upto)),
        }
        // Of one that is forgotten the loop may hear a second time, which does no harm.
        if self.lately.len() > limits::OWN_RUNS_MAX {
            self.lately.pop_front();
        }
    }

    fn pop(&mut self) -> Option<Commit> {
        let commit = self.waiting.pop_front()?;
        self.bytes -= commit.bytes;
        Some(commit)
    }
}
