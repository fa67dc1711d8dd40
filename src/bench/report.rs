//! What was measured, as a table for people or JSON for programs.

use comfy_table::{Table, presets};
use serde::Serialize;

use super::load::{LoadError, Measured};

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
    /// What it may be at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<f64>,
}

impl Figure {
    fn is_beyond(&self) -> bool {
        self.bound.is_some_and(|bound| self.value > bound)
    }
}

impl Report {
    /// Adds a figure.
    pub(super) fn add(&mut self, name: &str, value: f64, unit: &'static str, detail: impl Into<String>) {
        let (name, detail) = (name.to_owned(), detail.into());
        self.figures.push(Figure { name, value, unit, detail, bound: None });
    }

    /// Adds a figure that must not be beyond a bound.
    pub(super) fn bounded(&mut self, name: &str, value: f64, unit: &'static str, bound: f64, detail: String) {
        self.figures.push(Figure { name: name.to_owned(), value, unit, detail, bound: Some(bound) });
    }

    /// An error that names what is beyond its bound.
    pub(super) fn verdict(&self) -> Result<(), LoadError> {
        let beyond = self.figures.iter().filter(|figure| figure.is_beyond());
        let names: Vec<&str> = beyond.map(|figure| &*figure.name).collect();
        if names.is_empty() {
            Ok(())
        } else {
            Err(LoadError::Other(format!("beyond the bound: {}", names.join("; "))))
        }
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
