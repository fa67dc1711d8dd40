//! The statements that write a turn. Each takes arrays, one for each column, and writes all rows of its kind at once.

use std::sync::LazyLock;

use crate::store::stored::row::{PLACE, SPEC_WRITTEN, STANDING, WAKE};
use crate::store::stored::{event, lease, registry};

pub(super) const ADD_LANES: &str = "INSERT INTO longrun.lane (tenant, queue, operation_type) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS l (t, q, o) ORDER BY t, q, o ON CONFLICT DO NOTHING";
/// Takes the lock, and tells in microseconds when that was asked for and when it was so. A row's columns are made from left
/// to right.
pub(super) const ORDER: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, \
     pg_advisory_xact_lock(7804106202), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
/// From one that is known on, so that older partitions are not looked into.
pub(super) const LAST_CURSOR: &str = "SELECT set_config('longrun.last_cursor', greatest($1, \
     (SELECT max(cursor) FROM longrun.event WHERE cursor > $1), \
     (SELECT value FROM longrun.meta WHERE key = 'pruned_upto'))::text, true)::bigint";

/// A statement that gives one row for each that it changed, and how many those are to be.
fn guarded(sql: &str, expected: &str) -> String {
    format!(
        "WITH changed AS ({sql} RETURNING 1) SELECT longrun.expect((SELECT count(*) FROM changed), {expected})"
    )
}

/// `$1, $2, …` as arrays of a row's columns.
fn unnest(columns: usize) -> String {
    let holes: Vec<String> = (1..=columns).map(|number| format!("${number}")).collect();
    format!("unnest({})", holes.join(", "))
}

fn insert(table: &str, columns: &[&str]) -> String {
    let names = columns.join(", ");
    let values: Vec<String> = columns.iter().map(|name| placed(&format!("v.{name}"))).collect();
    format!(
        "INSERT INTO longrun.{table} ({names}) SELECT {} FROM {} AS v ({names})",
        values.join(", "),
        unnest(columns.len())
    )
}

/// Cursors are told relative to the turn's place.
fn placed(column: &str) -> String {
    if column == "v.cursor" || column == "v.previous" {
        format!("longrun.placed({column})")
    } else {
        column.to_owned()
    }
}

fn replacing(table: &str, columns: &[&str], key: &[&str]) -> String {
    let rest: Vec<String> = columns
        .iter()
        .filter(|name| !key.contains(name))
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    format!("{} ON CONFLICT ({}) DO UPDATE SET {}", insert(table, columns), key.join(", "), rest.join(", "))
}

pub(super) static INSERT: LazyLock<String> =
    LazyLock::new(|| insert("operation", &[&STANDING[..], &PLACE, &WAKE, &SPEC_WRITTEN].concat()));
pub(super) static UPDATE: LazyLock<String> = LazyLock::new(|| {
    let columns = [&STANDING[..], &PLACE, &WAKE].concat();
    let set: Vec<String> =
        columns.iter().map(|name| format!("{name} = {}", placed(&format!("v.{name}")))).collect();
    let count = columns.len() + 2;
    guarded(
        &format!(
            "UPDATE longrun.operation o SET {} FROM {} AS v ({}, seq, loaded) \
             WHERE o.seq = v.seq AND o.version = v.loaded",
            set.join(", "),
            unnest(count),
            columns.join(", ")
        ),
        &format!("${}", count + 1),
    )
});
pub(super) static DELETE: LazyLock<String> = LazyLock::new(|| {
    guarded(
        "DELETE FROM longrun.operation o USING unnest($1::bigint[], $2::bigint[]) AS v (seq, loaded) \
         WHERE o.seq = v.seq AND o.version = v.loaded",
        "$3",
    )
});
pub(super) static DELETE_DEPOSITS: LazyLock<String> =
    LazyLock::new(|| guarded("DELETE FROM longrun.inbox WHERE n = ANY ($1)", "$2"));
pub(super) const DELETE_PAYLOADS: &str = "DELETE FROM longrun.payload WHERE slot IN (SELECT unnest($1::bigint[]) * 2 UNION ALL SELECT unnest($1::bigint[]) * 2 + 1)";
pub(super) const DELETE_CHECKPOINTS: &str = "DELETE FROM longrun.checkpoint WHERE seq = ANY ($1)";
pub(super) const DELETE_ATTEMPTS: &str = "DELETE FROM longrun.attempt WHERE seq = ANY ($1)";
pub(super) const FORGET_ATTEMPTS: &str = "DELETE FROM longrun.attempt a USING unnest($1::bigint[], $2::bigint[]) AS v (seq, last) \
     WHERE a.seq = v.seq AND a.token < (SELECT k.token FROM longrun.attempt k WHERE k.seq = v.seq \
         ORDER BY k.token DESC LIMIT 1 OFFSET v.last)";

pub(super) static PAYLOAD: LazyLock<String> = LazyLock::new(|| insert("payload", &["slot", "json"]));
pub(super) static CHECKPOINT: LazyLock<String> =
    LazyLock::new(|| replacing("checkpoint", &["seq", "json"], &["seq"]));
pub(super) static EVENT: LazyLock<String> = LazyLock::new(|| insert("event", &event::WRITTEN));
pub(super) static COUNTER: LazyLock<String> =
    LazyLock::new(|| insert("counter", &["tenant", "queue", "status", "held", "external", "n"]));
pub(super) static ATTEMPT: LazyLock<String> = LazyLock::new(|| insert("attempt", &registry::ATTEMPT));
pub(super) static WORKER: LazyLock<String> =
    LazyLock::new(|| replacing("worker", &registry::WORKER, &["tenant", "id"]));
pub(super) static CREDENTIAL: LazyLock<String> =
    LazyLock::new(|| replacing("credential", &registry::CREDENTIAL, &["id"]));
pub(super) const USED: &str = "UPDATE longrun.credential c SET used = greatest(c.used, v.used) \
     FROM unnest($1::text[], $2::bigint[]) AS v (id, used) WHERE c.id = v.id";
pub(super) static QUEUE: LazyLock<String> =
    LazyLock::new(|| replacing("queue", &registry::QUEUE, &["tenant", "name"]));
pub(super) const FORGET_WORKERS: &str = "DELETE FROM longrun.worker w USING unnest($1::text[], $2::text[]) AS v (tenant, id) \
     WHERE w.tenant = v.tenant AND w.id = v.id";
pub(super) const FORGET_QUEUES: &str = "DELETE FROM longrun.queue q USING unnest($1::text[], $2::text[]) AS v (tenant, name) \
     WHERE q.tenant = v.tenant AND q.name = v.name";
pub(super) static META: LazyLock<String> = LazyLock::new(|| {
    "INSERT INTO longrun.meta (key, value) SELECT * FROM unnest($1::text[], $2::bigint[]) \
     ON CONFLICT (key) DO UPDATE SET value = greatest(longrun.meta.value, excluded.value)"
        .to_owned()
});

pub(super) static ADD_LEASES: LazyLock<String> =
    LazyLock::new(|| insert("lease", &[&["lane", "seq"], &lease::LEASE[..]].concat()));
pub(super) static MOVE_LEASES: LazyLock<String> = LazyLock::new(|| {
    guarded(
        "UPDATE longrun.lease le SET until = v.until, cap = v.cap, pending_until = v.pending_until, \
         pending_percent = v.pending_percent, pending_detail = v.pending_detail \
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[]) \
         AS v (until, cap, pending_until, pending_percent, pending_detail, seq, token) \
         WHERE le.seq = v.seq AND le.token = v.token",
        "$8",
    )
});
pub(super) static END_LEASES: LazyLock<String> = LazyLock::new(|| {
    guarded(
        "DELETE FROM longrun.lease le USING unnest($1::bigint[], $2::bigint[]) AS v (seq, token) \
         WHERE le.seq = v.seq AND le.token = v.token",
        "$3",
    )
});
