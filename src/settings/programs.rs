//! The programs that the server's own worker tasks carry operations out with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use serde::Deserialize;

use super::SettingsError;
use crate::limits;
use crate::operation::{Name, TenantId};

/// Types that are built in.
const RESERVED: [&str; 2] = ["noop", "sleep"];
/// What the server tells each program itself.
const OWN_VARIABLES: [&str; 5] = [
    "LONGRUN_OPERATION_ID",
    "LONGRUN_ATTEMPT",
    "LONGRUN_LEASE_TOKEN",
    "LONGRUN_CHECKPOINT_FILE",
    "TRACEPARENT",
];

/// A program, as a table of the settings file names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct GivenProgram {
    path: PathBuf,
    #[serde(default)]
    args: Vec<String>,
    tenants: Option<Vec<String>>,
    timeout: Option<u32>,
    concurrency: Option<usize>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    inherit: Option<Vec<String>>,
}

/// The programs of one source, by the operation type that each carries out.
pub(super) type GivenPrograms = BTreeMap<String, GivenProgram>;

/// A program that carries out the operations of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The type, which is the program's name.
    pub operation_type: Name,
    /// Where it is; absolute, and executable when the server was started.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Whose operations it carries out; never empty, each once.
    pub tenants: Vec<TenantId>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How many may run at a time, of all tenants; as many as there are worker tasks where it is not said.
    pub concurrency: Option<usize>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// Variables that it inherits of the server's environment, if not the usual ones.
    pub inherited: Option<Vec<String>>,
}

/// Reads `NAME=PATH`.
pub(super) fn named_path(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => Err("must be NAME=PATH, such as resize=/usr/local/bin/resize.sh".to_owned()),
    }
}

/// What holds: those of the flags, then those of the file that no flag names. Each is looked at.
pub(super) fn settle(
    flags: Vec<(String, PathBuf)>,
    mut programs: GivenPrograms,
    workers: usize,
) -> Result<Vec<Program>, SettingsError> {
    for (name, path) in flags {
        programs.insert(name, GivenProgram { path, ..GivenProgram::default() });
    }
    let settled = programs
        .into_iter()
        .map(|(name, given)| given.settle(&name).map_err(|message| SettingsError::Program { name, message }));
    let settled: Vec<Program> = settled.collect::<Result<_, _>>()?;
    let wrong = |message: String| Err(SettingsError::Value { name: "programs", message });
    if workers == 0 && !settled.is_empty() {
        return wrong("it is the server's own worker tasks that start them, and workers is 0".to_owned());
    }
    let mut counts: BTreeMap<&TenantId, usize> = BTreeMap::new();
    for tenant in settled.iter().flat_map(|program| &program.tenants) {
        let count = counts.entry(tenant).or_default();
        *count += 1;
        if *count > limits::PROGRAMS_PER_TENANT_MAX {
            let most = limits::PROGRAMS_PER_TENANT_MAX;
            return wrong(format!("at most {most} for one tenant, and {tenant} has more"));
        }
    }
    Ok(settled)
}

impl GivenProgram {
    fn settle(self, name: &str) -> Result<Program, String> {
        let operation_type = Name::parse(name).map_err(|error| format!("its name {error}"))?;
        if RESERVED.contains(&name) {
            return Err("the operation types noop and sleep are built in".to_owned());
        }
        check_executable(&self.path)?;
        check_words(&self.args, &self.environment, self.inherit.as_deref().unwrap_or_default())?;
        if self.timeout.is_some_and(|seconds| !(1..=limits::DURATION_SECONDS_MAX).contains(&seconds)) {
            return Err(format!("timeout: 1 to {} seconds", limits::DURATION_SECONDS_MAX));
        }
        if self.concurrency.is_some_and(|slots| !(1..=limits::WORKER_TASKS_MAX).contains(&slots)) {
            return Err(format!("concurrency: 1 to {}", limits::WORKER_TASKS_MAX));
        }
        Ok(Program {
            operation_type,
            path: self.path,
            arguments: self.args,
            tenants: tenants(self.tenants)?,
            timeout: self.timeout.map(|seconds| Duration::from_secs(seconds.into())),
            concurrency: self.concurrency,
            environment: self.environment.into_iter().collect(),
            inherited: self.inherit,
        })
    }
}

/// Whether there is a program at this path. It is looked at once, at the start: to find a wrong path when it is made, not
/// at the first operation.
///
/// # Errors
///
/// Why it cannot be one.
pub fn check_executable(path: &Path) -> Result<(), String> {
    let shown = path.display();
    if !path.is_absolute() {
        return Err(format!("its path must be absolute, not {shown}"));
    }
    let found = path.metadata().map_err(|error| format!("{shown}: {error}"))?;
    if !found.is_file() {
        return Err(format!("{shown} is no file"));
    }
    access(path, Access::EXEC_OK).map_err(|_| format!("{shown} may not be executed; chmod +x?"))
}

/// What the system takes as arguments and environment.
fn check_words(
    arguments: &[String],
    environment: &BTreeMap<String, String>,
    inherited: &[String],
) -> Result<(), String> {
    if arguments.iter().chain(environment.values()).any(|text| text.contains('\0')) {
        return Err("args and environment may not hold U+0000".to_owned());
    }
    environment.keys().chain(inherited).try_for_each(|name| check_variable(name))
}

/// Whether a program may be given a variable of this name.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_variable(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("{name:?} is no name of a variable"));
    }
    if OWN_VARIABLES.contains(&name) {
        return Err(format!("{name} is set for each attempt"));
    }
    Ok(())
}

fn tenants(given: Option<Vec<String>>) -> Result<Vec<TenantId>, String> {
    let Some(given) = given else { return Ok(vec![TenantId::default()]) };
    if given.is_empty() {
        return Err("tenants: at least one".to_owned());
    }
    let parsed =
        given.iter().map(|name| TenantId::parse(name).map_err(|error| format!("tenants: each {error}")));
    let mut tenants: Vec<TenantId> = parsed.collect::<Result<_, _>>()?;
    tenants.sort_unstable();
    tenants.dedup();
    Ok(tenants)
}
