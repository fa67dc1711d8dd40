//! `$orderby`: lists know one order and its reverse.

use crate::store::query::Order;

/// What it may say.
pub const EXPECTED: &str = "createdDateTime, createdDateTime asc or createdDateTime desc";

/// Reads an order; without a direction it is ascending, as OData has it (4.01, part 2, 5.1.5). None: it is another.
pub fn parse(text: &str) -> Option<Order> {
    let mut words = text.split_ascii_whitespace();
    let order = match (words.next(), words.next()) {
        (Some("createdDateTime"), None | Some("asc")) => Order::OldestFirst,
        (Some("createdDateTime"), Some("desc")) => Order::NewestFirst,
        _ => return None,
    };
    words.next().is_none().then_some(order)
}
