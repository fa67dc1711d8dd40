//! `docs/testing-handlers.md`: the test that it shows in each language, run as a reader runs it.

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::language::{Language, ROOT};
use crate::support::{Server, example};

const GUIDE: &str = "docs/testing-handlers.md";

pub fn carry_out(language: Language) -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let shown = shown(language)?;
    let mut test = match language {
        Language::Rust => {
            let file = std::fs::read_to_string(Path::new(ROOT).join("workers/rust/tests/guide.rs"))?;
            if file != shown {
                return Err(format!("{GUIDE} shows another test than workers/rust/tests/guide.rs").into());
            }
            Command::new(example::guide_test())
        }
        Language::Python => {
            std::fs::write(directory.path().join("test_thumbnail.py"), shown)?;
            let mut test = language.interpreter()?;
            test.args(["-m", "pytest", "-p", "no:cacheprovider", "test_thumbnail.py"]);
            test
        }
        Language::TypeScript => {
            std::fs::write(directory.path().join("thumbnail.test.mjs"), shown)?;
            let modules = directory.path().join("node_modules");
            std::fs::create_dir(&modules)?;
            let package = Path::new(ROOT).join("workers/typescript");
            std::os::unix::fs::symlink(package, modules.join("longrun-sdk"))?;
            let mut test = language.interpreter()?;
            test.args(["--test", "thumbnail.test.mjs"]);
            test
        }
    };
    let server = Server::start_with_test_clock(&["--workers", "0"]);
    test.current_dir(&directory).env("LONGRUN_URL", &server.url).env_remove("LONGRUN_TOKEN");
    let output = test.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    // A run that found no test would be no success.
    let passed = ["1 passed", "# pass 1"].iter().any(|words| said.contains(words));
    if output.status.success() && passed {
        return Ok(());
    }
    Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)).into())
}

/// The block of code in that language.
fn shown(language: Language) -> Result<String, Failed> {
    let guide = std::fs::read_to_string(Path::new(ROOT).join(GUIDE))?;
    let fence = match language {
        Language::Rust => "```rust\n",
        Language::Python => "```python\n",
        Language::TypeScript => "```js\n",
    };
    let block = guide.split_once(fence).and_then(|(_, rest)| rest.split_once("```\n"));
    Ok(block.ok_or("the guide has no test in this language")?.0.to_owned())
}
