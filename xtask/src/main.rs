//! The repository's own commands: `cargo xtask test`, `cargo xtask abuse` and `cargo xtask shape`.

mod abuse;
mod shape;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
The repository's own commands.

  cargo xtask test               format, lints, shape and every test
  cargo xtask test --fast        the same without the tests that must run alone
  cargo xtask test --install     first install what is missing (CI=true implies it)
  cargo xtask abuse              what good clients notice of slowhttptest and of floods, with bounds; --install as above
  cargo xtask shape              sizes, words and the arrows between the rooms of src
  cargo xtask shape --longest    the same, and name the longest files and functions
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test", flags @ ..] => {
            test::Options::parse(flags).and_then(|options| root().and_then(|root| test::run(&root, &options)))
        }
        ["abuse"] => root().and_then(|root| abuse::run(&root, false)),
        ["abuse", "--install"] => root().and_then(|root| abuse::run(&root, true)),
        ["shape"] => root().and_then(|root| shape::run(&root, false)),
        ["shape", "--longest"] => root().and_then(|root| shape::run(&root, true)),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{}", reason.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// The repository's root: the directory with `shape.toml`, at or above this package or the current directory.
///
/// Asked of the environment and not of the compiler, so that a moved or copied target directory stays right.
fn root() -> Result<PathBuf, String> {
    let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(package) => PathBuf::from(package),
        None => std::env::current_dir().map_err(|error| format!("current directory: {error}"))?,
    };
    start
        .ancestors()
        .find(|directory| directory.join("shape.toml").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("no shape.toml at or above {}", start.display()))
}
