//! What every store must do: `conformance`, promise by promise, and `model`, where random turns go to the model in memory
//! and to each other store, and nothing that can be seen may differ. `waiting` holds what is told of a waiting operation
//! against the claim itself.

mod conformance;
mod drafts;
mod filters;
mod model;
mod turn;
mod view;
mod waiting;
mod world;
