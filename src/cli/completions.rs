//! `longrun completions`.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::exit::{Exit, Failure};
use super::output::Output;

/// Write what a shell needs to complete command lines of this program
#[derive(clap::Args)]
#[command(after_help = "For bash: longrun completions bash > /etc/bash_completion.d/longrun")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut super::Arguments::command(), "longrun", &mut script);
        output.write(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
