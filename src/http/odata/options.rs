//! The options of a list, from the query of its URL.

use percent_encoding::percent_decode_str;

use super::select::Select;
use super::{filter, order, page};
use crate::http::error::{ApiError, Code, shown};
use crate::limits;
use crate::operation::TenantId;
use crate::store::query::{Filter, Order, Position, Query};

const SKIP_TOKEN: &str = "$skiptoken";

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `$filter`, as it was sent and as it was read.
    pub filter: Option<(String, Filter)>,
    /// `$orderby`.
    pub order: Order,
    /// `$top`.
    pub top: Option<usize>,
    /// `$select`.
    pub select: Select,
    /// `$count`.
    pub count: bool,
    /// `$skiptoken`.
    pub after: Option<Position>,
}

/// Which options a route takes.
const OF_LIST: [&str; 6] = ["$filter", "$orderby", "$top", "$select", "$count", SKIP_TOKEN];
const OF_COUNT: [&str; 1] = ["$filter"];

impl Options {
    /// Those of a list.
    pub fn of_list(query: Option<&str>) -> Result<Self, ApiError> {
        Self::read(query, &OF_LIST)
    }

    /// Those of a count.
    pub fn of_count(query: Option<&str>) -> Result<Self, ApiError> {
        Self::read(query, &OF_COUNT)
    }

    fn read(query: Option<&str>, known: &[&'static str]) -> Result<Self, ApiError> {
        let mut options = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        let mut token = None;
        for (name, value) in pairs(query) {
            // Without a dollar it is none of ours: `api-version`, a cache's own.
            let Some(name) = decoded(name).filter(|name| name.starts_with('$')) else { continue };
            let Some(option) = known.iter().find(|option| **option == name) else {
                let message = format!("this option is not known here; known are {}", known.join(", "));
                return Err(refused(shown(&name), &message));
            };
            if seen.contains(option) {
                return Err(refused(*option, "must be given once"));
            }
            seen.push(option);
            let value = decoded(value).ok_or_else(|| refused(*option, "is not UTF-8, percent-encoded"))?;
            if *option == SKIP_TOKEN { token = Some(value) } else { options.set(option, value)? }
        }
        if let Some(token) = token {
            let after = page::read(&token, options.filter_text(), options.order);
            options.after = Some(after.ok_or_else(no_page)?);
        }
        Ok(options)
    }

    fn set(&mut self, name: &'static str, value: String) -> Result<(), ApiError> {
        match name {
            "$filter" => {
                let filter = filter::parse(&value).map_err(|misread| refused(name, &misread.to_string()))?;
                self.filter = Some((value, filter));
            }
            "$orderby" => {
                let expected = || refused(name, &format!("must be {}", order::EXPECTED));
                self.order = order::parse(&value).ok_or_else(expected)?;
            }
            "$top" => {
                let top = value.parse().ok().filter(|top| (1..=limits::LIST_TOP_MAX).contains(top));
                let expected =
                    || refused(name, &format!("must be a whole number from 1 to {}", limits::LIST_TOP_MAX));
                self.top = Some(top.ok_or_else(expected)?);
            }
            "$select" => {
                let none = |name| refused("$select", &format!("'{}' is no property of a list", shown(name)));
                self.select = Select::parse(&value).map_err(none)?;
            }
            _ => self.count = read_flag(&value).ok_or_else(|| refused(name, "must be true or false"))?,
        }
        Ok(())
    }

    fn filter_text(&self) -> Option<&str> {
        self.filter.as_ref().map(|(text, _)| text.as_str())
    }

    /// What the store is asked.
    pub fn query(&self, tenant: &TenantId) -> Query {
        Query {
            tenant: tenant.clone(),
            filter: self.filter.as_ref().map(|(_, filter)| filter.clone()),
            order: self.order,
            after: self.after,
            limit: self.top.unwrap_or(limits::LIST_TOP_DEFAULT),
            payloads: self.select.names("input") || self.select.names("result"),
            count: self.count,
        }
    }

    /// The query of the next page's URL: this one's, every other parameter as it was sent.
    pub fn next(&self, query: Option<&str>, after: Position) -> String {
        let is_other = |(name, _): &(&str, &str)| decoded(name).as_deref() != Some(SKIP_TOKEN);
        let others = pairs(query).filter(is_other).map(|(name, value)| format!("{name}={value}&"));
        let token = page::write(after, self.filter_text(), self.order);
        format!("{}{SKIP_TOKEN}={token}", others.collect::<String>())
    }
}

/// Names and values, as they were sent.
fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// As forms and most clients write it: a plus is a blank. None: it is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let blanks = text.replace('+', " ");
    percent_decode_str(&blanks).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn read_flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn refused(option: impl Into<std::borrow::Cow<'static, str>>, what: &str) -> ApiError {
    let option = option.into();
    ApiError::new(Code::InvalidFilter, format!("{option}: {what}")).target(option)
}

fn no_page() -> ApiError {
    let message = "$skiptoken: not one of this list; take @odata.nextLink as it is, and for another $filter or \
                   $orderby begin anew";
    ApiError::new(Code::InvalidCursor, message).target(SKIP_TOKEN)
}
