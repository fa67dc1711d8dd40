//! Handlers of the types that every server carries out by itself; workers may register them as well. And, with
//! the feature `program`, operations that a program of any language carries out.

mod noop;
#[cfg(all(unix, feature = "program"))]
pub mod program;
mod sleep;

pub use noop::noop;
pub use sleep::sleep;
