//! A clock that is set ahead, for those who test their handlers: what would have happened on the way happens first, in its
//! order.

use super::entry::Entry;
use super::inbox::Journey;
use super::intake::{Chores, Intake};
use crate::operation::Timestamp;
use crate::store::StoreError;
use crate::store::clock::SetAhead;

impl Intake {
    /// Sets the clock ahead, from one moment at which something falls due to the next. The claims that wait hear of nothing
    /// before it has arrived: a lease that began on the way would run out on the way, before its worker could say a word.
    pub(super) fn travel(&mut self, (by, reply): Journey) -> Result<(), StoreError> {
        // Where time passes by itself only, whoever asks is told that nothing came of it.
        let Some(clock) = self.clock.clone() else { return Ok(()) };
        let waiting = self.claims.take_all();
        let arrival = self.reader.now().plus(by);
        while let Some(due) = self.next_due.filter(|due| *due <= arrival) {
            self.set_clock(&clock, due);
            self.turn(Vec::new(), Chores { due: true, ..Chores::default() })?;
        }
        self.set_clock(&clock, arrival);
        let claims =
            waiting.into_iter().map(|waiter| Entry::Exchange(waiter.exchange, waiter.reply)).collect();
        self.turn(claims, Chores::default())?;
        // Whoever asked may be gone; the clock stays where it is.
        let _ = reply.send(Ok(self.alive_at));
        Ok(())
    }

    /// It is no outage: nobody was away.
    fn set_clock(&mut self, clock: &SetAhead, to: Timestamp) {
        clock.advance(to.since(self.reader.now()));
        self.alive_at = self.reader.now();
    }
}
