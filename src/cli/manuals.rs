//! `longrun manuals`, for packages: a page for each subcommand.

use std::path::PathBuf;

use clap::CommandFactory;

use super::exit::{Exit, Failure};
use super::output::Output;

/// Write the manual pages of this program
///
/// One for the program and one for each subcommand, in the format of man(7), section 1.
#[derive(clap::Args)]
pub(super) struct Manuals {
    /// Where to; made when it is not there
    directory: PathBuf,
}

impl Manuals {
    pub(super) fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let failed = |error: std::io::Error| {
            let what = format!("{} cannot be written: {error}", self.directory.display());
            Failure::new(Exit::Failed, what)
        };
        std::fs::create_dir_all(&self.directory).map_err(failed)?;
        clap_mangen::generate_to(super::Arguments::command(), &self.directory).map_err(failed)?;
        output.note(&format!("Read them by: man -l {}", self.directory.join("longrun.1").display()));
        Ok(Exit::Done)
    }
}
