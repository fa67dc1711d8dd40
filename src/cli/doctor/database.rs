//! A database that nodes share, from outside of them.

use std::time::Duration;

use super::{Findings, Level, span};
use crate::store::examine::{DatabaseExamined, database};

const ABOUT: &str = "database";
/// A difference that matters to nobody: only the database's clock decides.
const APART: Duration = Duration::from_secs(5);

pub(super) fn look(url: &str, findings: &mut Findings) {
    let DatabaseExamined { name, schema, loses, clocks } = match database(url) {
        Ok(examined) => examined,
        Err(error) => {
            let advice = "no node starts on it like that; docs/scaling.md tells how a database is set up";
            return findings.bad(Level::Problem, ABOUT, error.to_string(), advice);
        }
    };
    match schema {
        (Some(found), known) if found == known => findings.ok(ABOUT, format!("{name} may be served")),
        (Some(found), known) => findings.ok(
            ABOUT,
            format!("{name} has schema {found}: the first node of this version brings it to {known}"),
        ),
        (None, _) => findings.ok(ABOUT, format!("{name} is empty: the first node makes its tables")),
    }
    if loses {
        let found = "it runs with synchronous_commit=off: what nodes acknowledge is lost in a crash of it";
        findings.bad(Level::Problem, ABOUT, found, "ALTER SYSTEM SET synchronous_commit = 'on'");
    }
    let (theirs, ours) = clocks;
    let apart = if theirs > ours { theirs.since(ours) } else { ours.since(theirs) };
    if apart > APART {
        let found = format!("its clock and this machine's are {} apart", span(apart));
        let advice = "only its clock decides what is due, so see that it is right";
        findings.bad(Level::Warning, "clock", found, advice);
    } else {
        findings.ok("clock", "its clock and this machine's agree");
    }
    findings.bad(
        Level::Unknown,
        "operations",
        "what goes on in it is for its nodes to say",
        "run `longrun doctor server` against one of them",
    );
}
