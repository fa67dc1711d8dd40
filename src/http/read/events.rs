//! Which events a stream of many shows.

use crate::http::error::{ApiError, shown};
use crate::limits;
use crate::operation::{Event, Name, OperationId, Status};

/// Which of a tenant's events: those that every list covers. An empty list covers all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Filter {
    queues: Vec<Name>,
    operation_types: Vec<Name>,
    statuses: Vec<Status>,
    ids: Vec<OperationId>,
}

impl Filter {
    /// Reads a query: `queue`, `operationType`, `status`, `ids`, each a list with commas. Whatever else is asked for is
    /// refused: a stream that was asked to leave something out must not show it.
    pub(in crate::http) fn read(query: &str) -> Result<Self, ApiError> {
        let mut filter = Self::default();
        let mut seen = Vec::new();
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            if seen.contains(&name) {
                return Err(ApiError::at(
                    shown(&name),
                    "must be given once; names are put in one list, with commas",
                ));
            }
            match &*name {
                "queue" => filter.queues = list(&name, &text, |one| Name::parse(one).ok())?,
                "operationType" => filter.operation_types = list(&name, &text, |one| Name::parse(one).ok())?,
                "status" => filter.statuses = list(&name, &text, Status::parse)?,
                "ids" => filter.ids = list(&name, &text, |one| OperationId::parse(one).ok())?,
                _ => {
                    return Err(ApiError::at(
                        shown(&name),
                        "is not one of queue, operationType, status, ids",
                    ));
                }
            }
            seen.push(name);
        }
        Ok(filter)
    }

    /// Whether it shows this event. A status is that before it or that after it.
    pub(in crate::http) fn covers(&self, event: &Event) -> bool {
        fn lists<T: PartialEq>(list: &[T], one: &T) -> bool {
            list.is_empty() || list.contains(one)
        }
        let (spec, after) = (&event.operation.spec, event.operation.status());
        lists(&self.queues, &spec.lane.queue)
            && lists(&self.operation_types, &spec.lane.operation_type)
            && lists(&self.ids, &spec.id)
            && (lists(&self.statuses, &after)
                || event.status_before.is_some_and(|before| lists(&self.statuses, &before)))
    }
}

fn list<T>(name: &str, text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ApiError> {
    let one = |one: &str| {
        parse(one).ok_or_else(|| ApiError::at(name.to_string(), format!("'{}' is none", shown(one))))
    };
    let list = text.split(',').map(one).collect::<Result<Vec<T>, _>>()?;
    if list.len() > limits::STREAM_IDS_MAX {
        let most = limits::STREAM_IDS_MAX;
        return Err(ApiError::at(name.to_string(), format!("must not be more than {most}")));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_is_shown_and_nothing_else_is_taken() {
        let id = "7986a22f-a22f-7986-2fa2-86792fa28679";
        let query = format!("queue=a,b&operationType=t&status=Failed%2CCompleted&ids={id}");
        let filter = Filter::read(&query).unwrap();
        assert_eq!((filter.queues.len(), filter.statuses.len()), (2, 2));
        assert_eq!(filter.ids, [OperationId::parse(id).unwrap()]);
        assert_eq!(Filter::read("").unwrap(), Filter::default());
        for bad in ["queue=", "queue=a,", "queue=a&queue=b", "status=failed", "ids=7", "api-version=1", "x"] {
            assert!(Filter::read(bad).is_err(), "{bad}");
        }
    }
}
