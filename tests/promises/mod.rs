//! What the server promises, a file a promise. What must run alone is in a module `alone`.

mod once;
mod reports;
