//! Measures a server as real clients drive it, and shows its speed as ratios within one run: machines differ, and so do
//! days. [`load`] is the clients, [`process`] the servers in processes of their own, [`yardstick`] what they are held
//! against; one file a figure; [`report`] prints them.

mod abuse;
mod claims;
mod creates;
mod disk;
mod generate;
mod idle;
mod lifecycles;
mod lists;
mod load;
mod memory;
mod polls;
mod process;
mod progress;
mod report;
mod restart;
mod retention;
mod starts;
mod watches;
mod workers;
mod yardstick;

use std::path::PathBuf;
use std::time::Duration;

pub use load::LoadError;
use report::Report;

/// What is measured, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    figure: Figure,

    /// Seconds that each measurement runs [default: 5, abuse 20, retention 600]
    #[arg(long, global = true, value_name = "SECONDS")]
    seconds: Option<u64>,

    /// Connections that clients hold
    #[arg(long, global = true, default_value_t = 64, value_name = "N")]
    connections: usize,

    /// Directory below which data is kept while it runs; the disk that is measured
    #[arg(long, global = true, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// The figures, and the processes that serve them.
#[derive(Debug, Clone, clap::Subcommand)]
enum Figure {
    /// Durable creates a second, beside a server that answers from memory
    Create,
    /// Polls a second of a live operation, beside the same
    Poll,
    /// Whole lives a second: submitted one by one, carried out, completed, with no backlog growing
    Lifecycle {
        /// Carry them out in the server's own tasks instead of a remote worker
        #[arg(long)]
        in_process: bool,
    },
    /// How fast one remote worker empties a backlog
    Drain {
        /// How many operations wait
        #[arg(long, default_value_t = 100_000)]
        waiting: usize,
    },
    /// From a create to the start of its handler, with nothing else to do
    Start,
    /// The cost of a claim over stores of different sizes
    Claim {
        /// How many operations wait in the largest store
        #[arg(long, default_value_t = 1_000_000)]
        waiting: usize,
        /// Claims of each measurement
        #[arg(long, default_value_t = 10_000)]
        claims: usize,
    },
    /// From the start of a server to its readiness, over a store of all statuses
    Restart {
        /// How many operations it holds
        #[arg(long, default_value_t = 1_000_000)]
        operations: usize,
    },
    /// The cost of a page of a list, by question
    List {
        /// How many operations the store holds
        #[arg(long, default_value_t = 1_000_000)]
        operations: usize,
    },
    /// Memory that a server holds with many operations waiting
    Memory {
        /// How many of them
        #[arg(long, default_value_t = 1_000_000)]
        waiting: usize,
    },
    /// What workers cost that wait for something to do, and how many of them one operation wakes
    Idle {
        /// How many of them
        #[arg(long, default_value_t = 1_000)]
        workers: usize,
    },
    /// What watchers cost, and how soon they hear of a change
    Watch {
        /// How many of them are idle
        #[arg(long, default_value_t = 5_000)]
        watchers: usize,
    },
    /// The SDKs beside one another: each language's worker program in turn
    Workers {
        /// Programs as `workers/scenarios/README.md` describes them
        #[arg(value_name = "NAME=COMMAND", default_values = workers::OURS)]
        programs: Vec<workers::Program>,
        /// How many operations wait
        #[arg(long, default_value_t = 20_000)]
        waiting: usize,
    },
    /// The slowest creates over minutes of load, with pruning and a slow list beside them
    Retention,
    /// What progress of an operation with a large input costs the log
    Progress,
    /// What good clients notice of slowhttptest and of floods, with bounds; needs slowhttptest
    Abuse,
    /// A server that keeps what is over for seconds only; ends with its standard input
    #[command(hide = true)]
    Brief {
        /// Directory of its data
        #[arg(long)]
        data: PathBuf,
        /// How long
        #[arg(long)]
        kept: u64,
    },
    /// A server to hold others against; ends with its standard input
    #[command(hide = true)]
    Yardstick {
        /// `null` or `axum`
        which: String,
    },
    /// A remote worker that does nothing, fast; ends with its standard input
    #[command(hide = true)]
    Worker {
        /// The server
        #[arg(long)]
        url: String,
        /// Operations at a time
        #[arg(long)]
        concurrency: usize,
    },
}

impl Arguments {
    /// Whether this process is what is measured, rather than what measures.
    pub fn serves(&self) -> bool {
        matches!(self.figure, Figure::Yardstick { .. } | Figure::Brief { .. } | Figure::Claim { .. })
    }
}

/// What every figure is measured with.
#[derive(Debug, Clone)]
struct Plan {
    span: Duration,
    connections: usize,
    scratch: Option<PathBuf>,
}

/// Measures, and prints what was measured; an error where that is beyond a bound.
pub async fn run(arguments: Arguments, json: bool) -> Result<(), LoadError> {
    let seconds = arguments.seconds.unwrap_or(match arguments.figure {
        Figure::Retention => 600,
        Figure::Abuse => 20,
        _ => 5,
    });
    let plan = Plan {
        span: Duration::from_secs(seconds),
        connections: arguments.connections,
        scratch: arguments.scratch,
    };
    let report: Report = match arguments.figure {
        Figure::Create => creates::measure(&plan).await?,
        Figure::Poll => polls::measure(&plan).await?,
        Figure::Lifecycle { in_process } => lifecycles::balanced(&plan, in_process).await?,
        Figure::Drain { waiting } => lifecycles::drain(&plan, waiting).await?,
        Figure::Start => starts::measure(&plan).await?,
        Figure::Claim { waiting, claims } => claims::measure(&plan, waiting, claims).await?,
        Figure::Restart { operations } => restart::measure(&plan, operations)?,
        Figure::List { operations } => lists::measure(&plan, operations).await?,
        Figure::Memory { waiting } => memory::measure(&plan, waiting).await?,
        Figure::Idle { workers } => idle::measure(&plan, workers).await?,
        Figure::Watch { watchers } => watches::measure(&plan, watchers).await?,
        Figure::Workers { programs, waiting } => workers::measure(&plan, &programs, waiting).await?,
        Figure::Retention => retention::measure(&plan).await?,
        Figure::Progress => progress::measure(&plan).await?,
        Figure::Abuse => abuse::measure(&plan).await?,
        Figure::Brief { data, kept } => return retention::serve(&data, kept).await,
        Figure::Yardstick { which } => return yardstick::serve(&which).await,
        Figure::Worker { url, concurrency } => return lifecycles::worker(&url, concurrency).await,
    };
    report.print(json);
    report.verdict()
}
