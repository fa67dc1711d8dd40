//! The part of OData that lists speak: `$filter`, `$orderby`, `$top`, `$select`, `$count`, `$skiptoken`.
//!
//! [`options`] takes a query string apart, [`filter`] reads a condition with the help of [`scanner`], [`order`] an order,
//! and [`page`] the token of a page. Every error says where it lies and what would have been understood. Rules are those
//! of OData 4.01, part 2 and its ABNF, as far as they are spoken here.

pub mod filter;
pub mod options;
pub mod order;
pub mod page;
pub mod scanner;
pub mod select;
#[cfg(test)]
mod tests;

pub use filter::parse as parse_filter;
pub use options::Options;
