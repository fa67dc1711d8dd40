//! `longrun config`: what `serve` would be told, and by whom.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::output::{self, Output};
use crate::settings::Given;

/// What stands before every variable that is ours.
const PREFIX: &str = "LONGRUN_";
/// The table of the settings file that no flag has.
const PROGRAMS: &str = "programs";

/// Show or check the settings that `longrun serve` would have
#[derive(clap::Args)]
#[command(subcommand_help_heading = "Subcommands", subcommand_value_name = "SUBCOMMAND")]
pub(super) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    Show(Box<Show>),
    Check(Box<Check>),
}

/// Show each setting, its value, and where that is from
///
/// It takes the flags, the variables and the file that `longrun serve` takes. Of a password only that there is one.
#[derive(clap::Args)]
struct Show {
    #[command(flatten)]
    told: Told,
}

/// Say whether `longrun serve` would take these settings
///
/// It ends with 2 where it would not. `longrun doctor` looks at what they name, too.
#[derive(clap::Args)]
struct Check {
    #[command(flatten)]
    told: Told,
}

/// The settings as they were given, each with its source.
struct Told {
    given: Given,
    config: Option<PathBuf>,
    values: Vec<Setting>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Setting {
    name: String,
    value: String,
    source: String,
}

impl Args for Told {
    fn augment_args(command: Command) -> Command {
        Given::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Given::augment_args_for_update(command)
    }
}

impl FromArgMatches for Told {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let command = Given::augment_args(Command::new("serve"));
        let values = command.get_arguments().map(|arg| told(arg, matches)).collect();
        let config = matches.try_get_one::<PathBuf>("config").ok().flatten().cloned();
        Ok(Self { given: Given::from_arg_matches(matches)?, config, values })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Config {
    pub(super) fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        match self.action {
            Action::Show(show) => {
                let values = show.told.with_file()?;
                output.show_all(&values, table)?;
            }
            Action::Check(check) => {
                let check = check.told;
                check.given.settle().map_err(|error| Failure::usage(error.to_string()))?;
                for name in strangers(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
                    output.tell(&format!("nothing reads the variable {name}"));
                }
                output.show(&serde_json::json!({ "valid": true }), |_| {
                    "a server takes these settings".to_owned()
                })?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Told {
    /// What the file says where neither a flag nor a variable does.
    fn with_file(self) -> Result<Vec<Setting>, Failure> {
        let mut values = self.values;
        let Some(path) = &self.config else { return Ok(values) };
        let file = read(path)?;
        let source = format!("file {}", path.display());
        for setting in values.iter_mut().filter(|setting| setting.source == "default") {
            if let Some(value) = file.get(&setting.name) {
                setting.value = shown(value.to_string().trim_matches('"'));
                setting.source.clone_from(&source);
            }
        }
        let programs = file.get(PROGRAMS).and_then(toml::Value::as_table).into_iter().flatten();
        values.extend(programs.map(|(name, program)| Setting {
            name: format!("{PROGRAMS}.{name}"),
            value: program.get("path").and_then(toml::Value::as_str).unwrap_or_default().to_owned(),
            source: source.clone(),
        }));
        Ok(values)
    }
}

fn read(path: &Path) -> Result<toml::Table, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("the settings file {} cannot be read: {error}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    text.parse().map_err(|error| failed(&error))
}

/// A setting by its flag or its variable, else what its help says that it is then.
fn told(arg: &Arg, matches: &ArgMatches) -> Setting {
    let id = arg.get_id().as_str();
    let name = arg.get_long().unwrap_or(id).to_owned();
    let given = || {
        let values = matches.get_raw(id).into_iter().flatten().map(OsStr::to_string_lossy);
        values.map(|value| shown(&value)).collect::<Vec<_>>().join(", ")
    };
    match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Setting { value: given(), source: format!("flag --{name}"), name },
        Some(ValueSource::EnvVariable) => {
            let variable = arg.get_env().map(OsStr::to_string_lossy).unwrap_or_default();
            Setting { value: given(), source: format!("variable {variable}"), name }
        }
        _ => {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let default = help.rsplit_once("[default: ").and_then(|(_, rest)| rest.strip_suffix(']'));
            Setting { value: default.unwrap_or("none").to_owned(), source: "default".to_owned(), name }
        }
    }
}

/// A value without the password that a URL may hold.
fn shown(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    // A password may have a slash or another @ in it.
    let (user, place) = place.rfind('@').map_or(("", place), |at| place.split_at(at));
    let user = user.split_once(':').map_or_else(|| user.to_owned(), |(user, _)| format!("{user}:…"));
    let secret = |part: &str| match part.split_once('=') {
        Some((name, _)) if name.contains("password") => format!("{name}=…"),
        _ => part.to_owned(),
    };
    let query = query.map(|query| format!("?{}", query.split('&').map(secret).collect::<Vec<_>>().join("&")));
    format!("{scheme}://{user}{place}{}", query.unwrap_or_default())
}

/// Variables that look like ours and that nothing reads, as one with a slip in its name.
fn strangers(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut known = Vec::new();
    gather(&super::Arguments::command(), &mut known);
    let mut strangers: Vec<String> =
        names.filter(|name| name.starts_with(PREFIX) && !known.contains(name)).collect();
    strangers.sort_unstable();
    strangers
}

fn gather(command: &Command, known: &mut Vec<String>) {
    let variables = command.get_arguments().filter_map(Arg::get_env);
    known.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    command.get_subcommands().for_each(|subcommand| gather(subcommand, known));
}

fn table(values: &[Setting]) -> String {
    let rows = values.iter().map(|value| [value.name.clone(), value.value.clone(), value.source.clone()]);
    output::table(&["SETTING", "VALUE", "FROM"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_nowhere() {
        assert_eq!(shown("postgres://longrun:s3cret@db/longrun"), "postgres://longrun:…@db/longrun");
        assert_eq!(shown("postgres://longrun:a@b:c@db,db2/longrun"), "postgres://longrun:…@db,db2/longrun");
        assert_eq!(shown("postgres://longrun:a/b@c@db/longrun"), "postgres://longrun:…@db/longrun");
        let in_query = "postgres://db/longrun?user=a&password=s3cret&sslmode=require";
        assert_eq!(shown(in_query), "postgres://db/longrun?user=a&password=…&sslmode=require");
        for plain in ["postgres://db/longrun", "postgres://longrun@db/a", "https://longrun.example", "7d"] {
            assert_eq!(shown(plain), plain);
        }
    }

    #[test]
    fn a_variable_that_nothing_reads_is_found() {
        let names = ["LONGRUN_LISTEN", "LONGRUN_LITSEN", "LONGRUN_TOKEN", "PATH"];
        assert_eq!(strangers(names.into_iter().map(str::to_owned)), ["LONGRUN_LITSEN"]);
    }

    #[test]
    fn every_setting_says_what_it_is_when_nothing_is_said() {
        let command = Given::augment_args(Command::new("serve"));
        let without: Vec<&str> = command
            .get_arguments()
            .filter(|arg| !arg.get_help().unwrap().to_string().contains("[default: "))
            .filter_map(Arg::get_long)
            .collect();
        // There is none of them then.
        for name in without {
            let optional =
                ["store", "public-url", "cors-origin", "first-token-file", "program", "config", "tls-key"];
            assert!(optional.contains(&name), "{name}");
        }
    }
}
