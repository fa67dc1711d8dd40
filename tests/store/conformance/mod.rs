//! One suite, run against every store alike. Each case is a promise of the trait, as a sentence.

/// Stamps each case out for every store: cargo then names the store that broke the promise.
macro_rules! every_store {
    ($($promise:ident)*) => {
        mod memory {
            $(#[test] fn $promise() { super::$promise(&mut crate::store::world::World::memory()); })*
        }
        mod postgres {
            $(#[test] fn $promise() { super::$promise(&mut crate::store::world::World::postgres()); })*
        }
        mod sqlite {
            $(#[test] fn $promise() { super::$promise(&mut crate::store::world::World::sqlite()); })*
        }
    };
}

/// The same for those that have one server, whose start is the end of an outage.
macro_rules! every_embedded_store {
    ($($promise:ident)*) => {
        mod embedded_memory {
            $(#[test] fn $promise() { super::$promise(&mut crate::store::world::World::memory()); })*
        }
        mod embedded_sqlite {
            $(#[test] fn $promise() { super::$promise(&mut crate::store::world::World::sqlite()); })*
        }
    };
}

/// The same for those that several nodes share.
macro_rules! every_shared_store {
    ($($promise:ident)*) => {
        mod shared_memory {
            $(#[test] fn $promise() { super::$promise(&mut crate::store::world::World::shared_memory()); })*
        }
        mod shared_postgres {
            $(#[test] fn $promise() { super::$promise(&mut crate::store::world::World::postgres()); })*
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
