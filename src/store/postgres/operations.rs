//! Whole operations as they are read: the row, its lease where it has one, its lane.

use std::sync::{Arc, LazyLock};

use tokio_postgres::Row;

use super::columns::{fields, fields_after};
use super::error::Result;
use super::lanes::{LaneId, Lanes};
use crate::operation::{Operation, Payload, Seq};
use crate::store::stored::{Damage, Damaged, lease, row};

/// The columns of an operation `o` and, after them, those of its lease `le`: what [`read`] reads. They come from [`FROM`].
pub(super) static COLUMNS: LazyLock<String> = LazyLock::new(|| columns(row::OPERATION));

/// The same with neither input nor result.
pub(super) static BARE_COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let bare = COLUMNS.replace("o.input, o.input_bytes", "NULL::bytea, NULL::bigint");
    bare.replace("o.result, o.result_bytes", "NULL::bytea, NULL::bigint")
});

/// The same with the payloads that stand apart, too: what [`whole`] reads. They come from [`WHOLE_FROM`].
pub(super) static WHOLE: LazyLock<String> = LazyLock::new(|| {
    let whole = COLUMNS.replace("o.input,", "coalesce(o.input, input.json),");
    whole.replace("o.result,", "coalesce(o.result, result.json),")
});

/// An operation and its lease.
pub(super) const FROM: &str = "longrun.operation o LEFT JOIN longrun.lease le USING (seq)";

/// An operation, its lease, and its payloads where they stand apart.
pub(super) const WHOLE_FROM: &str = "longrun.operation o LEFT JOIN longrun.lease le USING (seq) \
     LEFT JOIN longrun.payload input ON o.input_bytes IS NOT NULL AND input.slot = o.seq * 2 \
     LEFT JOIN longrun.payload result ON o.result_bytes IS NOT NULL AND result.slot = o.seq * 2 + 1";

/// Names operations `o` by tenant and id, given as the parameters of these numbers. What is compared so has but one index to
/// be found by: any other that begins with the tenant reads all that the tenant has, and with statistics of an empty table
/// one is as good as the other.
pub(super) fn by_id([tenants, ids]: [u8; 2]) -> String {
    format!(
        "JOIN unnest(${tenants}::text[], ${ids}::bytea[]) WITH ORDINALITY AS named (tenant, id, place) \
         ON o.id = named.id AND o.tenant IS NOT DISTINCT FROM named.tenant"
    )
}

/// Names operations `o` by tenant and key. Of a key that many tenants use all of theirs are read.
pub(super) fn by_key([tenants, keys]: [u8; 2]) -> String {
    format!(
        "JOIN unnest(${tenants}::text[], ${keys}::text[]) AS named (tenant, key) \
         ON o.key = named.key AND o.tenant IS NOT DISTINCT FROM named.tenant"
    )
}

/// The leases `le` under the claims that are `named`: apart, so that they are found by those and nothing else.
pub(super) const UNDER_CLAIMS: &str = "CROSS JOIN LATERAL (SELECT * FROM longrun.lease le \
     WHERE le.worker = named.worker AND le.claim = named.claim OFFSET 0) le";

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

/// Reads a row of an operation with its payloads. One of which a payload is missing is damaged.
pub(super) fn whole(row: &Row, lanes: &Lanes, damage: &Damage) -> Result<Operation> {
    let seq = seq_of(row)?;
    let whole = decode(row, seq, lanes).and_then(|operation| {
        let apart = |payload: Option<&Payload>| matches!(payload, Some(Payload::Stored { .. }));
        if apart(operation.spec.input.as_ref()) || apart(operation.result()) {
            return Err(Damaged("a payload is not there").into());
        }
        Ok(operation)
    });
    damage.heard_of("operation", seq, whole)
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
