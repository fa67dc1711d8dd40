//! Pulls the plug on the embedded store. `kill -9` never loses the page cache, so a store without a sync would pass it;
//! here a layer under SQLite ([`vfs`], with the state of the pretended disk in [`disk`]) forgets what was not synced, and
//! fails where it is told to. [`load`] drives the real tracker over the real store, and [`mirror`] knows what must be there.

pub mod disk;
pub mod load;
pub mod mirror;
mod vfs;
