//! `$filter`: conditions joined by `and`, `or`, `not` and parentheses.
//!
//! `property op literal` with `eq ne gt ge lt le`, `property in (literal, …)`, `startswith(property, 'text')`. Names of
//! properties are exact, operators in lower case. `not` binds closest, then `and`, then `or`.

use std::sync::Arc;

use super::scanner::{Misread, Scanner};
use crate::limits;
use crate::operation::{Name, Status, Timestamp};
use crate::store::query::{Filter, Relation, Test, TextField, TimeField};

const PROPERTY: &str = "a property (status, queue, operationType, priority, createdDateTime, lastActionDateTime, \
     labels/NAME), startswith(…), not or a parenthesis";
const OPERATOR: &str = "an operator (eq, ne, gt, ge, lt, le, in)";
const STRING: &str = "a string in single quotes";
const STATUS: &str = "'NotStarted', 'Running', 'Completed' or 'Failed'";
const INTEGER: &str = "a whole number";
const INSTANT: &str =
    "a date-time without quotes, such as 2026-01-31T09:30:00Z (in a URL a + is written %2B)";

/// Reads a filter.
pub fn parse(text: &str) -> Result<Filter, Misread> {
    let mut scanner = Scanner::new(text);
    let most = limits::FILTER_BYTES_MAX;
    if text.len() > most {
        return Err(
            scanner.misread_at(text.floor_char_boundary(most), format!("the end within {most} bytes"))
        );
    }
    let filter = any(&mut scanner, 0)?;
    scanner.skip_blanks();
    if scanner.is_at_end() { Ok(filter) } else { Err(scanner.misread("and, or, or the end")) }
}

fn any(scanner: &mut Scanner<'_>, depth: usize) -> Result<Filter, Misread> {
    let first = all(scanner, depth)?;
    joined(scanner, "or", first, |scanner| all(scanner, depth), Filter::Any)
}

fn all(scanner: &mut Scanner<'_>, depth: usize) -> Result<Filter, Misread> {
    let first = one(scanner, depth)?;
    joined(scanner, "and", first, |scanner| one(scanner, depth), Filter::All)
}

fn joined(
    scanner: &mut Scanner<'_>,
    word: &str,
    first: Filter,
    next: impl Fn(&mut Scanner<'_>) -> Result<Filter, Misread>,
    join: fn(Vec<Filter>) -> Filter,
) -> Result<Filter, Misread> {
    let mut parts = vec![first];
    while scanner.takes_word(word) {
        parts.push(next(scanner)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
}

fn one(scanner: &mut Scanner<'_>, depth: usize) -> Result<Filter, Misread> {
    scanner.skip_blanks();
    let place = scanner.place();
    let nested = |scanner: &Scanner<'_>| {
        if depth < limits::FILTER_DEPTH_MAX {
            return Ok(depth + 1);
        }
        let most = limits::FILTER_DEPTH_MAX;
        Err(scanner.misread_at(place, format!("at most {most} parentheses and nots inside each other")))
    };
    if scanner.takes_word("not") {
        let depth = nested(scanner)?;
        return Ok(Filter::Not(Box::new(one(scanner, depth)?)));
    }
    if scanner.takes('(') {
        let depth = nested(scanner)?;
        let filter = any(scanner, depth)?;
        scanner.skip_blanks();
        if scanner.is_at_end() {
            return Err(scanner.misread("and, or, or ')'"));
        }
        scanner.expect(')')?;
        return Ok(filter);
    }
    if scanner.takes_word("startswith") {
        return starts_with(scanner);
    }
    condition(scanner)
}

/// What a condition is about.
enum Property {
    Status,
    Text(TextField),
    Priority,
    Time(TimeField),
}

fn property(scanner: &mut Scanner<'_>) -> Result<Property, Misread> {
    scanner.skip_blanks();
    let place = scanner.place();
    Ok(match scanner.word() {
        "status" => Property::Status,
        "queue" => Property::Text(TextField::Queue),
        "operationType" => Property::Text(TextField::OperationType),
        "priority" => Property::Priority,
        "createdDateTime" => Property::Time(TimeField::Created),
        "lastActionDateTime" => Property::Time(TimeField::LastAction),
        "labels" if scanner.takes_at_once('/') => {
            let place = scanner.place();
            let name = Name::parse(scanner.name());
            Property::Text(TextField::Label(
                name.map_err(|_| scanner.misread_at(place, "the name of a label"))?,
            ))
        }
        "labels" => return Err(scanner.misread("'/' and the name of a label")),
        _ => return Err(scanner.misread_at(place, PROPERTY)),
    })
}

fn starts_with(scanner: &mut Scanner<'_>) -> Result<Filter, Misread> {
    scanner.expect('(')?;
    scanner.skip_blanks();
    let place = scanner.place();
    let property = property(scanner)?;
    if matches!(property, Property::Priority | Property::Time(_)) {
        return Err(scanner.misread_at(place, "a property that is text"));
    }
    scanner.expect(',')?;
    let start = string(scanner)?;
    scanner.expect(')')?;
    Ok(match property {
        Property::Text(field) => Filter::StartsWith(field, start),
        _ => statuses(|word| word.starts_with(&*start)),
    })
}

fn condition(scanner: &mut Scanner<'_>) -> Result<Filter, Misread> {
    let property = property(scanner)?;
    scanner.skip_blanks();
    let place = scanner.place();
    let relation = match scanner.word() {
        "in" => None,
        "eq" => Some(Relation::Eq),
        "ne" => Some(Relation::Ne),
        "gt" => Some(Relation::Gt),
        "ge" => Some(Relation::Ge),
        "lt" => Some(Relation::Lt),
        "le" => Some(Relation::Le),
        _ => return Err(scanner.misread_at(place, OPERATOR)),
    };
    Ok(match property {
        Property::Text(field) => Filter::Text(field, test(scanner, relation, string)?),
        Property::Priority => Filter::Priority(test(scanner, relation, integer)?),
        Property::Time(field) => Filter::Time(field, test(scanner, relation, instant)?),
        Property::Status => {
            // Of those that come before or after a word, any word may be asked for.
            let exact = matches!(relation, None | Some(Relation::Eq | Relation::Ne));
            let test = test(scanner, relation, if exact { status } else { string })?;
            statuses(|word| test.holds(word))
        }
    })
}

/// The statuses whose words are so.
fn statuses(are: impl Fn(&str) -> bool) -> Filter {
    Filter::Status(Status::ALL.into_iter().filter(|status| are(status.as_str())).collect())
}

fn test<T>(
    scanner: &mut Scanner<'_>,
    relation: Option<Relation>,
    literal: impl Fn(&mut Scanner<'_>) -> Result<T, Misread>,
) -> Result<Test<T>, Misread> {
    if let Some(relation) = relation {
        return Ok(Test::Is(relation, literal(scanner)?));
    }
    scanner.expect('(')?;
    let mut literals = vec![literal(scanner)?];
    while scanner.takes(',') {
        literals.push(literal(scanner)?);
    }
    if scanner.takes(')') { Ok(Test::In(literals)) } else { Err(scanner.misread("',' or ')'")) }
}

fn string(scanner: &mut Scanner<'_>) -> Result<Arc<str>, Misread> {
    scanner.skip_blanks();
    scanner.string()?.map(Arc::from).ok_or_else(|| scanner.misread(STRING))
}

fn status(scanner: &mut Scanner<'_>) -> Result<Arc<str>, Misread> {
    scanner.skip_blanks();
    let place = scanner.place();
    let word = string(scanner).map_err(|error| Misread { expected: STATUS.into(), ..error })?;
    if Status::parse(&word).is_some() { Ok(word) } else { Err(scanner.misread_at(place, STATUS)) }
}

fn integer(scanner: &mut Scanner<'_>) -> Result<i64, Misread> {
    scanner.skip_blanks();
    let place = scanner.place();
    scanner.bare().parse().map_err(|_| scanner.misread_at(place, INTEGER))
}

fn instant(scanner: &mut Scanner<'_>) -> Result<Timestamp, Misread> {
    scanner.skip_blanks();
    let place = scanner.place();
    Timestamp::parse(scanner.bare()).map_err(|_| scanner.misread_at(place, INSTANT))
}
