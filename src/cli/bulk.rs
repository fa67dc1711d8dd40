//! `longrun submit --bulk`: a file of operations, a JSON document a line.
//!
//! It goes in parts of so many lines, each under a key made of the one that was given and the part's number. A part whose
//! answer is lost is sent again, and so is all of it when it is run again: nothing is made twice.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use longrun_sdk::Client;
use longrun_sdk::wire::LineOutcome;
use serde::Serialize;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::limits;

/// Lines and bytes of a part. Another number would make other keys: it stays.
const PART_LINES: usize = 1000;
const PART_BYTES: usize = 4 << 20;
/// How long lines for which there is no room are tried again, and after which pause.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(1);
/// Refusals that a person is told of.
const TOLD: u64 = 20;

/// What it came to.
#[derive(Default, Serialize)]
struct Summary {
    accepted: u64,
    replayed: u64,
    refused: u64,
}

/// Submits all lines.
pub(super) async fn submit(
    client: &Client,
    connection: &Connection,
    from: &Path,
    key: &str,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let mut parts = Parts::open(from)?;
    let mut summary = Summary::default();
    while let Some(part) = parts.next()? {
        let key = format!("{key}/{}", part.number);
        let outcomes = settle(client, &key, &part).await.map_err(|error| {
            let mut failure = connection.failure(&error);
            let whole = key.rsplit_once('/').map_or(&*key, |(whole, _)| whole);
            let done = part.first - 1;
            let hint = format!("; {done} lines are done: to go on, repeat it with --key {whole}");
            failure.message.push_str(&hint);
            failure
        })?;
        if outcomes.len() != part.documents {
            let message = format!("{} outcomes came for {} lines", outcomes.len(), part.documents);
            return Err(Failure::new(Exit::Unreachable, message));
        }
        for mut outcome in outcomes {
            outcome.line += part.first - 1;
            tell(&outcome, &mut summary, output)?;
        }
        output.advance(parts.percent(), &progress(&summary));
    }
    output.end_progress();
    if output.has_bar() {
        output.write(&progress(&summary))?;
    }
    Ok(if summary.refused > 0 { Exit::Failed } else { Exit::Done })
}

/// Sends a part until each of its lines is accepted or refused for good, or the time is over.
async fn settle(
    client: &Client,
    key: &str,
    part: &Part,
) -> Result<Vec<LineOutcome>, longrun_sdk::ClientError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let outcomes = client.submit_lines(key, part.lines.clone()).await?;
        if !outcomes.iter().any(LineOutcome::is_transient) || Instant::now() + PAUSE > until {
            return Ok(outcomes);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn tell(outcome: &LineOutcome, summary: &mut Summary, output: &mut Output<'_>) -> Result<(), Failure> {
    match &outcome.error {
        None => {
            summary.accepted += 1;
            summary.replayed += u64::from(outcome.replayed);
        }
        Some(error) => {
            summary.refused += 1;
            if summary.refused <= TOLD {
                output.note(&format!("line {}: {} ({})", outcome.line, error.message, error.code));
            }
        }
    }
    // Of what a person sees the sum is enough.
    if output.has_bar() { Ok(()) } else { output.show(outcome, |_| String::new()) }
}

fn progress(summary: &Summary) -> String {
    let Summary { accepted, replayed, refused } = summary;
    format!("{accepted} accepted ({replayed} of them before), {refused} refused")
}

/// The parts of a file.
struct Parts {
    from: Box<dyn BufRead>,
    /// Its bytes, where that is known, and those that were read.
    bytes: (Option<u64>, u64),
    number: u64,
    lines: u64,
}

/// Some of its lines.
struct Part {
    number: u64,
    /// The number of its first line.
    first: u64,
    lines: Bytes,
    /// Lines that are not blank.
    documents: usize,
}

impl Parts {
    fn open(from: &Path) -> Result<Self, Failure> {
        let (reader, bytes): (Box<dyn BufRead>, _) = if from == Path::new("-") {
            (Box::new(BufReader::new(io::stdin())), None)
        } else {
            let file = File::open(from).map_err(|error| unreadable(from, &error))?;
            let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
            (Box::new(BufReader::new(file)), bytes)
        };
        Ok(Self { from: reader, bytes: (bytes, 0), number: 0, lines: 0 })
    }

    fn next(&mut self) -> Result<Option<Part>, Failure> {
        let (first, mut lines, mut documents) = (self.lines + 1, Vec::new(), 0);
        let mut count = 0;
        while count < PART_LINES && lines.len() < PART_BYTES {
            let before = lines.len();
            let mut line = io::Read::take(&mut self.from, limits::BODY_BYTES_MAX as u64 + 2);
            let read = line.read_until(b'\n', &mut lines);
            let read = read.map_err(|error| unreadable(Path::new("the input"), &error))?;
            if read == 0 {
                break;
            }
            self.bytes.1 += read as u64;
            count += 1;
            if read > limits::BODY_BYTES_MAX + 1 {
                let message = format!(
                    "line {} has more than {} bytes",
                    self.lines + count as u64,
                    limits::BODY_BYTES_MAX
                );
                return Err(Failure::usage(message));
            }
            documents += usize::from(!lines[before..].trim_ascii().is_empty());
        }
        if count == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.lines += count as u64;
        Ok(Some(Part { number: self.number, first, lines: lines.into(), documents }))
    }

    fn percent(&self) -> Option<f64> {
        let (whole, read) = self.bytes;
        #[allow(clippy::cast_precision_loss)] // Cut to what a bar can show.
        whole.map(|whole| read as f64 * 100.0 / whole.max(1) as f64)
    }
}

fn unreadable(from: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{} cannot be read: {error}", from.display()))
}
