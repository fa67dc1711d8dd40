//! The data directory of an embedded server, whether that runs or not.

use std::path::Path;

use bytesize::ByteSize;
use rustix::fs::statfs;

use super::{Findings, Level, span};
use crate::auth::check_listen;
use crate::settings::Settings;
use crate::store::examine::{self, Examined, Fit, sqlite};

const INTEGRITY: &str = "integrity";
const OPERATIONS: &str = "operations";
const DISK: &str = "disk";
/// Rows and lanes that are named.
const NAMED: usize = 10;
/// A log of so many times the bound of its length.
const LONG_LOG: u64 = 4 * (64 << 20);
/// File systems of other machines, by their magic numbers: NFS, SMB and CIFS.
const REMOTE: [i64; 4] = [0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42];

/// What helps where the file itself is at fault.
const RESTORE: &str = "keep a copy of the data directory, then restore the last backup: `longrun restore`";

pub(super) fn look(settings: &Settings, findings: &mut Findings) {
    let directory = &settings.data;
    if !sqlite::is_there(directory) {
        let found = format!("there is no store in {}: a server would make one", directory.display());
        findings.bad(Level::Warning, "data", found, "give --data where there is one already");
        return tokens(settings, false, findings);
    }
    let examined = match examine::directory(directory) {
        Ok(examined) => examined,
        Err(error) => {
            let advice = match error {
                sqlite::OpenError::Corrupt { .. } => RESTORE,
                sqlite::OpenError::Moved { .. } => "its operations go on in that database",
                sqlite::OpenError::Newer { .. } => "this binary is older than the data: run the newer one",
                _ => "run this as root or the server's user",
            };
            return findings.bad(Level::Problem, "data", error.to_string(), advice);
        }
    };
    data(&examined, directory, findings);
    integrity(&examined, findings);
    if examined.served {
        operations(&examined, findings);
    }
    clock(&examined, findings);
    disk(&examined, settings, findings);
    tokens(settings, examined.tokens != Some(0), findings);
}

fn data(examined: &Examined, directory: &Path, findings: &mut Findings) {
    let shown = directory.display();
    let (found, known) = examined.schema;
    if found < known {
        let what = format!("{shown} has schema {found}: the next start of this version brings it to {known}");
        findings.bad(
            Level::Warning,
            "data",
            what,
            "back it up before; an older binary refuses it from then on",
        );
    } else if examined.served {
        findings.ok("data", format!("a server runs over {shown}"));
    } else {
        findings.ok("data", format!("no server runs over {shown}"));
    }
    if examined.open_to_others {
        let found = format!("others than its owner may enter {shown}");
        findings.bad(Level::Warning, "data", found, format!("chmod 700 {shown}"));
    }
}

fn integrity(examined: &Examined, findings: &mut Findings) {
    for flaw in &examined.flaws {
        findings.bad(Level::Problem, INTEGRITY, flaw.clone(), RESTORE);
    }
    for (table, row) in examined.unreadable.iter().take(NAMED) {
        let found = format!("row {row} of the table {table} cannot be read; the server leaves it aside");
        findings.bad(Level::Problem, INTEGRITY, found, RESTORE);
    }
    if examined.unreadable.len() > NAMED {
        let found = format!("{} rows cannot be read in all", examined.unreadable.len());
        findings.bad(Level::Problem, INTEGRITY, found, RESTORE);
    }
    for (count, what) in &examined.disagreements {
        findings.bad(Level::Problem, INTEGRITY, format!("{count} {what}"), RESTORE);
    }
    if examined.schema.0 < examined.schema.1 && examined.flaws.is_empty() {
        findings.ok(INTEGRITY, "the file is whole; rows of an older schema were not looked at");
    } else if examined.flaws.is_empty() && examined.unreadable.is_empty() && examined.disagreements.is_empty()
    {
        findings.ok(INTEGRITY, format!("the file and all of {} operations are whole", examined.operations));
    }
}

/// What does not move on.
fn operations(examined: &Examined, findings: &mut Findings) {
    if examined.overdue > 0 {
        let found = format!("{} leases and starts are due for a minute and more", examined.overdue);
        let advice = "the server does nothing about them: see its log, and start it again";
        findings.bad(Level::Problem, OPERATIONS, found, advice);
    }
    for left in examined.left.iter().take(NAMED) {
        let found = format!(
            "{} of type {} wait in queue {} of tenant {}, the oldest for {}",
            left.ready,
            left.lane.operation_type,
            left.lane.queue,
            left.lane.tenant,
            span(left.waited)
        );
        let advice = if left.paused {
            format!("the queue is paused: `longrun queues resume {}`", left.lane.queue)
        } else {
            format!("no worker asks for them: start one that takes type {}", left.lane.operation_type)
        };
        findings.bad(Level::Warning, OPERATIONS, found, advice);
    }
    if examined.left.len() > NAMED {
        let found = format!("{} lanes of operations wait for nobody in all", examined.left.len());
        findings.bad(Level::Warning, OPERATIONS, found, "`longrun queues` and `longrun workers` show more");
    }
    if examined.overdue == 0 && examined.left.is_empty() {
        findings.ok(OPERATIONS, "none is stuck");
    }
}

fn clock(examined: &Examined, findings: &mut Findings) {
    match examined.clock {
        Fit::Fits => findings.ok("clock", "the machine's clock fits what the store has seen"),
        Fit::Behind(by) => {
            let found = format!("the machine's clock is {} behind what the store has seen", span(by));
            let level = if by.as_secs() < 60 { Level::Warning } else { Level::Problem };
            findings.bad(level, "clock", found, "set it: until then the server goes on by its own");
        }
        Fit::Ahead(by) => {
            let found = format!("the store was last served {} ago, by the machine's clock", span(by));
            let advice = "if the clock is right, a server that starts believes it after an hour";
            findings.bad(Level::Warning, "clock", found, advice);
        }
    }
}

fn disk(examined: &Examined, settings: &Settings, findings: &mut Findings) {
    let file = &examined.file;
    let (min, free) = (settings.min_free_bytes, file.free_bytes.unwrap_or(u64::MAX));
    let room = free.saturating_add(file.reusable_bytes);
    let sizes = format!(
        "the store has {}, its log {}; {} are free",
        ByteSize(file.bytes),
        ByteSize(file.log_bytes),
        file.free_bytes
            .map_or_else(|| "an unknown number of bytes".to_owned(), |free| ByteSize(free).to_string())
    );
    let more = "make room, shorten `retain`, or move to a larger disk";
    if room < min {
        findings.bad(
            Level::Problem,
            DISK,
            format!("{sizes}: with less than {} no operation is accepted", ByteSize(min)),
            more,
        );
    } else if free < min.saturating_mul(4) {
        findings.bad(Level::Warning, DISK, sizes, more);
    } else {
        findings.ok(DISK, sizes);
    }
    if file.log_bytes > LONG_LOG {
        let advice = "somebody reads for long, as a backup does; else see the server's log";
        findings.bad(Level::Warning, DISK, "the log has not been emptied for long", advice);
    }
    if examined.served && !examined.reserve {
        let found = "the reserve by which running work ends on a full disk is not there";
        findings.bad(Level::Warning, DISK, found, "the server makes it again once there is room");
    }
    #[allow(clippy::cast_possible_wrap, clippy::unnecessary_cast)] // Its type differs by machine.
    if statfs(&settings.data).is_ok_and(|system| REMOTE.contains(&(system.f_type as i64))) {
        let found =
            "the data directory is on another machine's disk, on which locks and syncs are not to be trusted";
        findings.bad(Level::Problem, DISK, found, "move it to a disk of this machine");
    }
}

fn tokens(settings: &Settings, has_tokens: bool, findings: &mut Findings) {
    let open = !has_tokens && settings.first_token_file.is_none();
    if let Err(error) = check_listen(settings.listen, open) {
        findings.bad(Level::Problem, "tokens", error.to_string(), "make one: `longrun token create`");
    } else if open {
        findings.ok("tokens", "none was made: the server serves this machine only, and whoever is on it");
    }
}
