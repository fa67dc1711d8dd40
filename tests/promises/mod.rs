//! What the server promises, a file a promise. What must run alone is in a module `alone`.

mod durable;
mod once;
mod reports;
mod synced;
