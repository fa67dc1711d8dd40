//! What is kept apart from the row: larger inputs and results, and the latest checkpoint.

use rusqlite::{Connection, OptionalExtension};

use super::error::Result;
use crate::operation::{Json, Payload, Seq, State};
use crate::store::Payloads;
use crate::store::stored::row::stands_apart;
use crate::store::stored::{Damaged, text};
use crate::store::turn::Touched;

const ADD: &str = "INSERT INTO payload (slot, json) VALUES (?1, ?2)";
const GET: &str = "SELECT json FROM payload WHERE slot = ?1";
const IS_APART: &str = "SELECT 1 FROM operation WHERE seq = ?1 AND input_bytes IS NOT NULL";
const RESULT: &str = "SELECT result FROM operation WHERE seq = ?1";
const FORGET: &str = "DELETE FROM payload WHERE slot IN (?1 * 2, ?1 * 2 + 1)";
const PUT_CHECKPOINT: &str = "INSERT INTO checkpoint (seq, json) VALUES (?1, ?2) \
     ON CONFLICT DO UPDATE SET json = excluded.json";
const GET_CHECKPOINT: &str = "SELECT json FROM checkpoint WHERE seq = ?1";
const FORGET_CHECKPOINT: &str = "DELETE FROM checkpoint WHERE seq = ?1";

/// Where an operation's input stands.
fn input_slot(seq: Seq) -> i64 {
    seq.0 * 2
}

/// Where its result stands.
fn result_slot(seq: Seq) -> i64 {
    seq.0 * 2 + 1
}

/// Writes the large inputs of new operations, the large results of those that end by this turn (both are at hand then
/// only), and the checkpoints.
pub(super) fn write(connection: &Connection, operations: &[Touched]) -> Result<()> {
    let put = |slot: i64, payload: Option<&Payload>| -> Result<()> {
        if let Some(json) = payload.and_then(Payload::inline).filter(|json| stands_apart(json)) {
            connection.prepare_cached(ADD)?.execute((slot, json.get().as_bytes()))?;
        }
        Ok(())
    };
    for touched in operations.iter().filter(|touched| touched.row_changed()) {
        let Some(after) = &touched.after else { continue };
        if touched.before.is_none() {
            put(input_slot(after.seq), after.spec.input.as_ref())?;
        }
        if touched.before.as_ref().is_none_or(|before| before.result().is_none()) {
            put(result_slot(after.seq), after.result())?;
        }
    }
    checkpoints(connection, operations)
}

/// The latest one stays until the operation completes: a person may have a failed one tried again.
fn checkpoints(connection: &Connection, operations: &[Touched]) -> Result<()> {
    let mut forget = connection.prepare_cached(FORGET_CHECKPOINT)?;
    for touched in operations {
        let Some(after) = &touched.after else { continue };
        if let State::Completed { .. } = after.state {
            if touched.before.is_some() {
                forget.execute([after.seq.0])?;
            }
        } else if let Some(checkpoint) = &after.checkpoint {
            let bound = (after.seq.0, checkpoint.get().as_bytes());
            connection.prepare_cached(PUT_CHECKPOINT)?.execute(bound)?;
        }
    }
    Ok(())
}

/// The operation is deleted.
pub(super) fn forget(connection: &Connection, seq: Seq) -> Result<()> {
    connection.prepare_cached(FORGET)?.execute([seq.0])?;
    connection.prepare_cached(FORGET_CHECKPOINT)?.execute([seq.0])?;
    Ok(())
}

/// Its input, if that stands apart.
pub(super) fn input(connection: &Connection, seq: Seq) -> Result<Option<Json>> {
    get(connection, GET, input_slot(seq))
}

/// Its result, if that stands apart.
pub(super) fn result(connection: &Connection, seq: Seq) -> Result<Option<Json>> {
    get(connection, GET, result_slot(seq))
}

/// Its result, wherever it stands; none too where the operation is gone.
pub(super) fn result_of(connection: &Connection, seq: Seq) -> Result<Option<Json>> {
    let mut statement = connection.prepare_cached(RESULT)?;
    let bytes: Option<Option<Vec<u8>>> = statement.query_row([seq.0], |row| row.get(0)).optional()?;
    match bytes {
        Some(Some(bytes)) => Ok(Some(text::json(&bytes)?)),
        Some(None) => result(connection, seq),
        None => Ok(None),
    }
}

/// What the answer to a claim needs of an operation.
pub(super) fn payloads(connection: &Connection, seq: Seq) -> Result<Payloads> {
    let input = input(connection, seq)?;
    if input.is_none() && connection.prepare_cached(IS_APART)?.exists([seq.0])? {
        return Err(Damaged("its input is not there").into());
    }
    let checkpoint = get(connection, GET_CHECKPOINT, seq.0)?;
    Ok(Payloads { seq, input, checkpoint })
}

fn get(connection: &Connection, sql: &str, key: i64) -> Result<Option<Json>> {
    let mut statement = connection.prepare_cached(sql)?;
    let bytes: Option<Vec<u8>> = statement.query_row([key], |row| row.get(0)).optional()?;
    Ok(bytes.as_deref().map(text::json).transpose()?)
}
