//! The model as a store: maps in memory. The oracle of the tests.
