//! Where in a request a value stands, for the `target` of an error: `reports[3].error.code`.

use std::fmt;

use crate::http::error::{ApiError, shown};

/// Deeper than this no request object of ours goes; what would be deeper is named by what it is in.
const STEPS: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

/// A place in a request. Copied on the way down, so that a request without errors pays no allocation for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'a> {
    steps: [Step<'a>; STEPS],
    length: usize,
}

impl<'a> Path<'a> {
    pub(super) const ROOT: Self = Self { steps: [Step::Item(0); STEPS], length: 0 };

    pub(super) fn is_root(self) -> bool {
        self.length == 0
    }

    pub(super) fn field(self, name: &'a str) -> Self {
        self.then(Step::Field(name))
    }

    pub(super) fn item(self, index: usize) -> Self {
        self.then(Step::Item(index))
    }

    fn then(mut self, step: Step<'a>) -> Self {
        if let Some(next) = self.steps.get_mut(self.length) {
            *next = step;
            self.length += 1;
        }
        self
    }

    /// The error that this place holds something else than it should.
    pub(super) fn refuse(self, what: impl fmt::Display) -> ApiError {
        if self.length == 0 {
            ApiError::invalid(what.to_string())
        } else {
            ApiError::at(self.to_string(), what)
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.steps[..self.length].iter().enumerate() {
            match step {
                Step::Field(name) if n == 0 => out.write_str(&shown(name))?,
                Step::Field(name) => write!(out, ".{}", shown(name))?,
                Step::Item(index) => write!(out, "[{index}]")?,
            }
        }
        Ok(())
    }
}
