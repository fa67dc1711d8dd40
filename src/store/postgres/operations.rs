//! Whole operations as they are read: the row, its lease where it has one, its lane.

use std::sync::{Arc, LazyLock};

use tokio_postgres::Row;

use super::columns::{fields, fields_after};
use super::error::Result;
use super::lanes::{LaneId, Lanes};
use crate::operation::{Operation, Seq};
use crate::store::stored::{Damage, Damaged, lease, row};

/// The columns of an operation `o` and, after them, those of its lease `le`: what [`read`] reads. They come from [`FROM`].
pub(super) static COLUMNS: LazyLock<String> = LazyLock::new(|| columns(row::OPERATION));

/// The same with neither input nor result.
pub(super) static BARE_COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let bare = COLUMNS.replace("o.input, o.input_bytes", "NULL::bytea, NULL::bigint");
    bare.replace("o.result, o.result_bytes", "NULL::bytea, NULL::bigint")
});

/// An operation and its lease.
pub(super) const FROM: &str = "longrun.operation o LEFT JOIN longrun.lease le USING (seq)";

/// How many columns an operation has: its lease's come after them.
static WIDTH: LazyLock<usize> = LazyLock::new(|| names(row::OPERATION).count());

/// How many columns there are of both.
pub(super) fn width() -> usize {
    *WIDTH + lease::LEASE.len()
}

fn names(columns: &str) -> impl Iterator<Item = &str> {
    columns.split(',').map(str::trim)
}

fn columns(operation: &str) -> String {
    let own = names(operation).map(|name| format!("o.{name}"));
    let leases = lease::LEASE.iter().map(|name| format!("le.{name}"));
    own.chain(leases).collect::<Vec<_>>().join(", ")
}

/// The lane of a row, which is to be met before it is read.
pub(super) fn lane_of(row: &Row) -> Option<LaneId> {
    row.try_get(1).ok()
}

/// The number of a row.
pub(super) fn seq_of(row: &Row) -> Result<Seq> {
    Ok(Seq(fields(row).int()?))
}

/// Reads a row. Of one that is damaged is told.
pub(super) fn read(row: &Row, lanes: &Lanes, damage: &Damage) -> Result<Operation> {
    let seq = seq_of(row)?;
    damage.heard_of("operation", seq, decode(row, seq, lanes))
}

fn decode(row: &Row, seq: Seq, lanes: &Lanes) -> Result<Operation> {
    let mut fields = fields_after(row, 1);
    let lane: Arc<_> = lanes.get(fields.int()?)?;
    let lease = || -> Result<_> {
        let mut fields = fields_after(row, *WIDTH);
        lease::read(&mut fields).map_err(|_| Damaged("a running operation has no lease").into())
    };
    row::operation(&mut fields, seq, lane, lease)
}
