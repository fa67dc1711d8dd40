//! What a process costs the machine, by the names that collectors know from everybody. Where the system does not tell
//! (`/proc`), nothing is told.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// This process, as it is now and since when it runs.
pub(super) fn process(started: SystemTime) -> Registry {
    let mut registry = Registry::default();
    let since = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    registry.register(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970",
        ConstGauge::new(since),
    );
    if let Some(seconds) = cpu_seconds() {
        let help = "Time of processors that the process has used";
        registry.register("process_cpu_seconds", help, ConstCounter::new(seconds));
    }
    let mut gauge = |name: &str, help: &str, value: Option<u64>| {
        if let Some(value) = value.and_then(|value| i64::try_from(value).ok()) {
            registry.register(name, help, ConstGauge::new(value));
        }
    };
    gauge("process_resident_memory_bytes", "Memory that the process holds", resident_bytes());
    gauge("process_open_fds", "Files that the process has open, connections included", open_files());
    gauge("process_max_fds", "Files that it may have open", getrlimit(Resource::Nofile).current);
    registry
}

/// Fields 14 and 15 of `proc_pid_stat(5)`, counted behind the name of the process, which may hold anything.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    #[allow(clippy::cast_precision_loss)] // It is 100, or so.
    Some((f64::from(user) + f64::from(system)) / clock_ticks_per_second() as f64)
}

fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * page_size() as u64)
}

fn open_files() -> Option<u64> {
    // One of them is the directory that is read here.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}
