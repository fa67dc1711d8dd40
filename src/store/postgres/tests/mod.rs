//! What the suite over all stores cannot see of this one, because it takes two nodes, or many who ask at once.

mod hints;
mod reads;
