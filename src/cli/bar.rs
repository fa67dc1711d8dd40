//! How far something is, an operation mostly, in the last line of a person's terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use longrun_sdk::wire::Operation;

use super::{output, view};

/// With a percentage.
const KNOWN: &str = "[{bar:30}] {pos:>3} %  {wide_msg}";
/// Without one: it only shows that something lives.
const UNKNOWN: &str = "{spinner} {wide_msg}";
/// Between two pictures of it.
const PULSE: Duration = Duration::from_millis(200);

/// The bar. Gone from the terminal when dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// One that stands there.
    pub(super) fn on(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(100), target);
        bar.enable_steady_tick(PULSE);
        Self(bar)
    }

    /// Shows how an operation stands.
    pub(super) fn show(&self, operation: &Operation) {
        self.advance(operation.percent_complete, &view::standing(operation));
    }

    /// Shows how far something is, and what.
    pub(super) fn advance(&self, percent: Option<f64>, what: &str) {
        let template = if percent.is_some() { KNOWN } else { UNKNOWN };
        // Both are templates: a test has shown them.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style.progress_chars("=> "));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Cut to what a bar can show.
        self.0.set_position(percent.unwrap_or(0.0).clamp(0.0, 100.0) as u64);
        self.0.set_message(output::plain(what));
    }

    /// Takes it away while something else is written, which then stands above it.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_pictures_are_templates() {
        for template in [KNOWN, UNKNOWN] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
