//! Handlers of the types that every server carries out by itself; workers may register them as well.

mod noop;
mod sleep;

pub use noop::noop;
pub use sleep::sleep;
