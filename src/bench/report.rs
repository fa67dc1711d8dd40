//! What was measured, as a table for people or JSON for programs.

use comfy_table::{Table, presets};
use serde::Serialize;

use super::load::Measured;

/// The figures of one run.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    figures: Vec<Figure>,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl Report {
    /// Adds a figure.
    pub(super) fn add(&mut self, name: &str, value: f64, unit: &'static str, detail: impl Into<String>) {
        self.figures.push(Figure { name: name.to_owned(), value, unit, detail: detail.into() });
    }

    /// Adds a rate with its latencies.
    pub(super) fn rate(&mut self, name: &str, measured: &Measured) {
        let [p50, p99] = [0.5, 0.99].map(|part| measured.latencies.quantile(part));
        self.add(name, measured.rate(), "/s", format!("p50 {p50:.0?}, p99 {p99:.0?}"));
    }

    /// Prints it on standard output.
    pub(super) fn print(&self, json: bool) {
        if json {
            // Names, numbers and units have no way to fail.
            println!("{}", serde_json::to_string_pretty(self).unwrap_or_default());
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["figure", "value", "", "detail"]);
        for figure in &self.figures {
            let value = if figure.value.abs() >= 100.0 {
                format!("{:.0}", figure.value)
            } else {
                format!("{:.3}", figure.value)
            };
            table.add_row([&figure.name, &value, figure.unit, &figure.detail]);
        }
        println!("{table}");
    }
}
