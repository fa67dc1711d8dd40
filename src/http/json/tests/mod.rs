//! What the strict reader takes and refuses.

mod fields;
mod property;
mod scan;
