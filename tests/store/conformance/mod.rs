//! One suite, run against every store alike. Each case is a promise of the trait, as a sentence.

/// Stamps each case out for every store: cargo then names the store that broke the promise.
macro_rules! every_store {
    ($($promise:ident)*) => {
        mod memory {
            $(#[test] fn $promise() { super::$promise(&mut crate::store::world::World::memory()); })*
        }
        mod sqlite {
            $(#[test] fn $promise() { super::$promise(&mut crate::store::world::World::sqlite()); })*
        }
    };
}

mod counting;
mod deleting;
mod due;
mod events;
mod leases;
mod listing;
mod loading;
mod payloads;
mod pruning;
mod queues;
mod ready;
mod registry;
mod restart;
