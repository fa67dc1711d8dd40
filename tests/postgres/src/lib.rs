//! Real PostgreSQL for the tests: servers in directories of their own, on free ports of this machine, with a standby or a
//! `PgBouncer` beside them; ended and cleared away with the process that started them, however that ends.

mod ask;
mod bouncer;
mod guarded;
mod programs;
mod server;
mod standby;
mod tls;

pub use ask::{Database, ask, execute};
pub use bouncer::PgBouncer;
pub use programs::program;
pub use server::{Postgres, SHARED, Stop, either};
