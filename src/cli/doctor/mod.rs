//! `longrun doctor`: what is wrong, and what to do.

mod certificate;
mod database;
mod directory;
mod running;
mod settings;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::wait_for;
use crate::settings::Given;

/// Look for what is wrong with a server's settings and data, and say what to do
///
/// It takes the settings of `longrun serve`, looks at the certificate and reads the whole store that they name, whether a server
/// holds it or not, and changes nothing. It ends with 1 where something must be done, with 0 where at most something should be.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(subcommand_help_heading = "Subcommands", subcommand_value_name = "SUBCOMMAND")]
pub(super) struct Doctor {
    #[command(subcommand)]
    of: Option<Of>,

    #[command(flatten)]
    given: Given,
}

#[derive(clap::Subcommand)]
enum Of {
    Server(Running),
}

/// Look at a running server, from wherever it can be reached
///
/// A token with Operation.Manage shows the queues and workers of its tenant, one with Server.Manage what the server counts.
#[derive(clap::Args)]
struct Running {
    #[command(flatten)]
    connection: Connection,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
enum Level {
    /// All is well.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// Something should be done.
    Warning,
    /// Something must be done.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    level: Level,
    /// What was looked at.
    about: &'static str,
    /// What was found.
    found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// Everything that was looked at.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, about: &'static str, found: impl Into<String>) {
        self.0.push(Finding { level: Level::Ok, about, found: found.into(), advice: None });
    }

    fn bad(
        &mut self,
        level: Level,
        about: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.0.push(Finding { level, about, found: found.into(), advice: Some(advice.into()) });
    }

    fn worst(&self) -> Level {
        self.0.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }
}

impl Doctor {
    pub(super) fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let mut findings = Findings::default();
        match self.of {
            Some(Of::Server(Running { connection })) => {
                wait_for(async {
                    running::look(&connection, &mut findings).await?;
                    Ok(Exit::Done)
                })?;
            }
            None => {
                if let Some(settings) = settings::look(self.given, &mut findings) {
                    if let Some(files) = &settings.tls {
                        certificate::look(files, &mut findings);
                    }
                    match &settings.database {
                        Some(to) => database::look(&to.url, &mut findings),
                        None => directory::look(&settings, &mut findings),
                    }
                }
            }
        }
        output.show_all(&findings.0, table)?;
        Ok(if findings.worst() == Level::Problem { Exit::Failed } else { Exit::Done })
    }
}

fn table(findings: &[Finding]) -> String {
    let mut rows = Vec::new();
    for Finding { level, about, found, advice } in findings {
        let word = match level {
            Level::Ok => "ok",
            Level::Unknown => "unknown",
            Level::Warning => "warning",
            Level::Problem => "PROBLEM",
        };
        rows.push([word.to_owned(), (*about).to_owned(), found.clone()]);
        rows.extend(advice.iter().map(|advice| [String::new(), String::new(), format!("→ {advice}")]));
    }
    output::table(&[], rows)
}

/// So much time, as people say it: the two largest units of it.
fn span(of: std::time::Duration) -> String {
    let text = humantime::format_duration(std::time::Duration::from_secs(of.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
