//! What the server promises, a file a promise. What must run alone is in a module `alone`.

mod backed_up;
mod clock;
mod cluster;
mod damaged;
mod durable;
mod followed;
mod full_disk;
mod inside;
mod limited;
mod moved;
mod once;
mod outage;
mod overload;
mod programs;
mod read_your_writes;
mod refusals;
mod reports;
mod retention;
mod synced;
mod upgraded;
mod watch;
mod workers;
