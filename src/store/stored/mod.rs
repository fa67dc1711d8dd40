//! What the rows of a store say, the same in both stores: their tables have the same columns, in these words.
//!
//! [`Fields`] reads the columns of a row one after the other, a [`Bind`] takes the values of one. [`row`] makes an
//! operation of its row and a row of an operation, [`event`] and [`lease`] do the same, [`record`] for what a deleted
//! operation leaves behind; [`codes`] are the numbers that stand for words, [`text`] the columns with more in them than
//! themselves, [`table`] the tables for who carries all of them. A row that holds what no version writes is [`Damaged`], and left aside ([`damage`]).

pub(super) mod codes;
pub(super) mod damage;
pub(super) mod event;
pub(super) mod fields;
pub(super) mod lease;
pub(super) mod record;
pub(super) mod registry;
pub(super) mod row;
pub(super) mod table;
pub(super) mod text;

pub(super) use damage::Damage;
pub(super) use fields::{Bind, Columns, Fields, narrow};

/// A row holds what no version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Damaged(pub(super) &'static str);

/// What reading a row gives.
pub(super) type Result<T> = std::result::Result<T, Damaged>;
