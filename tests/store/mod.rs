//! What every store must do, promise by promise.

mod conformance;
mod drafts;
mod turn;
mod view;
mod world;
