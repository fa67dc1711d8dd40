//! `longrun list`.

use std::collections::BTreeMap;

use clap::ValueEnum;
use longrun_sdk::client::{Filter, ListQuery};
use longrun_sdk::wire::{Json, Operation, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::{submit, view, watch};

/// Operations of one page, the most that a server gives.
const PAGE: usize = 1000;

/// Show operations, the newest first
///
/// On a terminal as a table, in a pipe a line of JSON for each. What it shows is narrowed by the flags and by --filter
/// together.
#[derive(clap::Args)]
pub(super) struct List {
    /// Only those of this status; of several, those of any
    #[arg(long = "status", value_name = "STATUS", value_parser = watch::status)]
    statuses: Vec<Status>,

    /// Only those of this queue; of several, those of any
    #[arg(long = "queue", value_name = "NAME")]
    queues: Vec<String>,

    /// Only those of this type; of several, those of any
    #[arg(long = "type", value_name = "TYPE")]
    operation_types: Vec<String>,

    /// Only those with this label; of several, those with all
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = submit::label)]
    labels: Vec<(String, String)>,

    /// Only those that this OData filter lets through, as in "priority gt 0 and startswith(queue,'media')"
    #[arg(long)]
    filter: Option<String>,

    /// Which come first
    #[arg(long, value_enum, default_value_t = Order::Newest)]
    order: Order,

    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,

    /// All there are
    #[arg(long, conflicts_with = "top")]
    all: bool,

    /// Only these fields, with commas between; --select=input or result shows those, which a list leaves out otherwise
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    select: Vec<String>,

    /// Only how many there are
    #[arg(long, conflicts_with_all = ["order", "top", "all", "select"])]
    count: bool,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Newest,
    Oldest,
}

/// A listed operation with the fields that were selected, as they were sent.
type Fields = BTreeMap<String, Json>;

impl List {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        if self.count {
            let counted = self.connection.client()?.count(self.filter().as_ref()).await;
            let counted = counted.map_err(|error| self.connection.failure(&error))?;
            output.show(&counted, u64::to_string)?;
            return Ok(Exit::Done);
        }
        if self.select.is_empty() {
            return self.pages::<Operation>(&view::LIST_HEADER, view::list_row, output).await;
        }
        let names: Vec<&str> =
            std::iter::once("id").chain(self.select.iter().map(|name| name.trim())).collect();
        let row = |fields: &Fields| names.iter().map(|name| view::field(fields.get(*name))).collect();
        self.pages(&names, row, output).await
    }

    async fn pages<T: DeserializeOwned + Serialize>(
        &self,
        header: &[&str],
        row: impl Fn(&T) -> Vec<String>,
        output: &mut Output<'_>,
    ) -> Result<Exit, Failure> {
        let mut left = if self.all { usize::MAX } else { self.top as usize };
        let query = ListQuery {
            filter: self.filter(),
            oldest_first: self.order == Order::Oldest,
            page_size: u32::try_from(left.min(PAGE)).ok(),
            select: self.select.clone(),
            count: false,
        };
        let mut pages = self.connection.client()?.list_as::<T>(query);
        let mut header = header;
        while left > 0 && !output.is_closed() {
            let page = pages.next().await.map_err(|error| self.connection.failure(&error))?;
            let Some(mut page) = page else { break };
            let more = page.value.len() > left || !page.is_last();
            page.value.truncate(left);
            left -= page.value.len();
            output.show_all(&page.value, |operations| output::table(header, operations.iter().map(&row)))?;
            // The table goes on.
            header = &[];
            if page.value.is_empty() {
                output.note("There are none.");
            }
            if left == 0 && more {
                output.note("There are more: --all shows them.");
            }
        }
        Ok(Exit::Done)
    }

    /// What all flags together let through.
    fn filter(&self) -> Option<Filter> {
        let any = |filters: Vec<Filter>| filters.into_iter().reduce(Filter::or);
        let parts = [
            any(self.statuses.iter().map(|status| Filter::status(*status)).collect()),
            any(self.queues.iter().map(|name| Filter::queue(name)).collect()),
            any(self.operation_types.iter().map(|name| Filter::operation_type(name)).collect()),
            self.labels.iter().map(|(name, value)| Filter::label(name, value)).reduce(Filter::and),
            self.filter.as_ref().map(Filter::new),
        ];
        parts.into_iter().flatten().reduce(Filter::and)
    }
}
