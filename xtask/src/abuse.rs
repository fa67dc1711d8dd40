//! `cargo xtask abuse`: good clients beside bad ones, as `longrun bench abuse` measures it. By hand, since it takes minutes and
//! the whole machine; of a release build, since that is what strangers meet.

use std::path::Path;

use crate::test::{process, tools};

pub(crate) fn run(root: &Path, install: bool) -> Result<(), String> {
    tools::ensure(root, &tools::ABUSE, install)?;
    process::run(root, &["cargo", "run", "--release", "--quiet", "--", "bench", "abuse"])
}
