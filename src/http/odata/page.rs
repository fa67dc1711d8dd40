//! `$skiptoken`: where a page begins, and of which list. Opaque to clients; it says nothing that its list does not show.

use sha2::{Digest, Sha256};

use crate::operation::{Seq, Timestamp};
use crate::store::query::{Order, Position};

/// Hexadecimal digits of each of the three parts.
const DIGITS: usize = 16;

/// Writes the place that the next page comes after.
pub fn write(after: Position, filter: Option<&str>, order: Order) -> String {
    let parts = [fingerprint(filter, order), after.created.ticks(), after.seq.0];
    parts.map(|part| format!("{part:016x}")).concat()
}

/// Reads what [`write`] wrote for the same filter and order; none: it did not.
pub fn read(token: &str, filter: Option<&str>, order: Order) -> Option<Position> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if token.len() != 3 * DIGITS || !token.bytes().all(is_digit) {
        return None;
    }
    let part = |n: usize| {
        let digits = &token[n * DIGITS..(n + 1) * DIGITS];
        u64::from_str_radix(digits, 16).ok().map(u64::cast_signed)
    };
    let after = Position { created: Timestamp::from_ticks(part(1)?), seq: Seq(part(2)?) };
    (part(0)? == fingerprint(filter, order)).then_some(after)
}

/// Of the list that a page is of.
fn fingerprint(filter: Option<&str>, order: Order) -> i64 {
    let order = match order {
        Order::NewestFirst => b"desc",
        Order::OldestFirst => b"asc ",
    };
    let hash = Sha256::new().chain_update(order).chain_update(filter.unwrap_or_default()).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(first)
}
