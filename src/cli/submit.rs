//! `longrun submit`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use longrun_sdk::ClientError;
use longrun_sdk::wire::{self, Json};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::bulk;
use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::wait::{self, Patience};
use super::watch;
use crate::limits;

/// Hand an operation in
///
/// Once this ends with 0 or 4, the operation is kept whatever happens. With --wait it ends with 1 when the operation is
/// Failed, and with 4 when it has not ended in time; with --watch as `longrun watch` does. The variable TRACEPARENT goes
/// along: where in a trace it is submitted.
#[derive(clap::Args)]
pub(super) struct Submit {
    /// Its type, by which a worker's handler is found [default: noop]
    #[arg(value_name = "TYPE")]
    operation_type: Option<String>,

    /// Hand many in: a JSON document a line, of a file or of stdin, each as the body of a request would be
    ///
    /// What became of each line is written as a line. Interrupted, it goes on where it was when it is run again with the
    /// same input and the same --key.
    #[arg(long, value_name = "FILE|-", conflicts_with_all = [
        "operation_type", "queue", "input", "id", "labels", "priority", "start", "expires", "timeout", "max_attempts",
        "external", "wait", "watch",
    ])]
    bulk: Option<PathBuf>,

    /// The queue that it waits in [default: default]
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,

    /// What its handler works on: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    input: Option<String>,

    /// Key under which this may be repeated without making a second operation [default: a random one]
    #[arg(long)]
    key: Option<String>,

    /// Id of your own making [default: made by the server]
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,

    /// Label to find it by; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,

    /// From -100 to 100, higher goes first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = priority())]
    priority: Option<i32>,

    /// Earliest start, as in 2026-01-31T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    start: Option<String>,

    /// It fails when it still waits by then
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires: Option<String>,

    /// Seconds that one attempt may take
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    timeout: Option<u32>,

    /// How often it is tried in all [default: 3]
    #[arg(long, value_name = "N", value_parser = attempts())]
    max_attempts: Option<u32>,

    /// Carried out elsewhere: it enters no queue, and you advance it by PATCH
    #[arg(long)]
    external: bool,

    /// Wait until it has ended, at most for so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = Patience::FOREVER)]
    wait: Option<Patience>,

    /// Show each of its events until it has ended
    #[arg(long, conflicts_with = "wait")]
    watch: bool,

    #[command(flatten)]
    connection: Connection,
}

impl Submit {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        // Made here, so that it can be told where the answer is lost.
        let key = self.key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        if let Some(from) = &self.bulk {
            return bulk::submit(&client, &self.connection, from, &key, output).await;
        }
        let submit = self.to_wire()?;
        let submitted = client.submit(submit.idempotency_key(&key)).await;
        let mut found = submitted.map_err(|error| {
            let mut failure = self.connection.failure(&error);
            if error.is_transient() || matches!(error, ClientError::Deadline) {
                let hint = format!("; whether it was accepted is not known, so repeat it with --key {key}");
                failure.message.push_str(&hint);
            }
            failure
        })?;
        if found.replayed {
            output.note("it was submitted before under this key or id; this is how it stands");
        }
        if self.watch {
            return watch::to_its_end(&client, found.operation.id, None, &self.connection, output).await;
        }
        if let Some(patience) = self.wait
            && !found.operation.status.is_terminal()
        {
            found = wait::until_ended(&client, found.operation.id, patience, output)
                .await
                .map_err(|error| self.connection.failure(&error))?;
        }
        wait::conclude(&found.operation, self.wait.is_some(), output)
    }

    fn to_wire(&self) -> Result<wire::Submit, Failure> {
        let mut labels = BTreeMap::new();
        for (name, value) in &self.labels {
            if labels.insert(name.clone(), value.clone()).is_some() {
                return Err(Failure::usage(format!("the label {name} is given twice")));
            }
        }
        Ok(wire::Submit {
            id: self.id,
            queue: self.queue.clone(),
            operation_type: self.operation_type.clone(),
            is_external: self.external.then_some(true),
            input: self.input.as_deref().map(|given| input(given, &mut io::stdin())).transpose()?,
            priority: self.priority,
            start_date_time: self.start.clone(),
            expiration_date_time: self.expires.clone(),
            timeout_seconds: self.timeout,
            max_attempts: self.max_attempts,
            labels,
            traceparent: std::env::var("TRACEPARENT").ok(),
            ..wire::Submit::default()
        })
    }
}

/// Reads the JSON of `--input`, from the flag itself, a file or stdin.
fn input(given: &str, stdin: &mut dyn Read) -> Result<Json, Failure> {
    let (source, text) = match given.strip_prefix('@') {
        Some(path) => {
            let text = File::open(path).and_then(|mut file| read(&mut file));
            (path, text.map_err(|error| Failure::usage(format!("{path} cannot be read: {error}")))?)
        }
        None if given == "-" => {
            let text = read(stdin);
            ("stdin", text.map_err(|error| Failure::usage(format!("stdin cannot be read: {error}")))?)
        }
        None => ("--input", given.to_owned()),
    };
    let json: Box<RawValue> = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{source} does not hold JSON: {error}")))?;
    Ok(Json::from(json))
}

/// What is larger than a whole request is not read to its end: the server would refuse it.
fn read(from: &mut dyn Read) -> io::Result<String> {
    let max = limits::BODY_BYTES_MAX;
    let mut text = String::new();
    from.take(max as u64 + 1).read_to_string(&mut text)?;
    if text.len() > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {max} bytes")));
    }
    Ok(text)
}

pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn time(text: &str) -> Result<String, String> {
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("must be a time such as 2026-01-31T09:30:00Z".to_owned()),
    }
}

fn priority() -> clap::builder::RangedI64ValueParser<i32> {
    let max = i64::from(limits::PRIORITY_MAX);
    clap::builder::RangedI64ValueParser::new().range(-max..=max)
}

fn seconds() -> clap::builder::RangedI64ValueParser<u32> {
    clap::builder::RangedI64ValueParser::new().range(1..=i64::from(limits::DURATION_SECONDS_MAX))
}

fn attempts() -> clap::builder::RangedI64ValueParser<u32> {
    clap::builder::RangedI64ValueParser::new().range(1..=i64::from(limits::ATTEMPTS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_comes_from_the_flag_a_file_or_stdin() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, b"{\"from\": \"file\"}\n").unwrap();
        let path = format!("@{}", file.path().display());
        let read = |given: &str| input(given, &mut &b" [1.50]"[..]).map(|json| json.get().to_owned());
        assert_eq!(read("{\"a\":1}").unwrap(), "{\"a\":1}");
        assert_eq!(read("-1").unwrap(), "-1");
        assert_eq!(read("-").unwrap(), "[1.50]");
        assert_eq!(read(&path).unwrap(), "{\"from\": \"file\"}");
    }

    #[test]
    fn input_that_is_no_json_is_a_mistake_of_usage() {
        let mut endless = io::repeat(b' ');
        for (given, word) in [("{a", "--input"), ("", "--input"), ("@/nowhere", "/nowhere"), ("-", "bytes")] {
            let failure = input(given, &mut endless).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{given}");
            assert!(failure.message.contains(word), "{}", failure.message);
        }
    }
}
