//! What a command needs beside Rust, and how it is installed on a bare Debian machine.

use std::env;
use std::path::Path;

use super::process;

/// What one command needs.
pub(crate) struct Needs {
    command: &'static str,
    programs: &'static [Program],
    components: &'static [Component],
}

pub(crate) const TEST: Needs =
    Needs { command: "cargo xtask test", programs: PROGRAMS, components: COMPONENTS };

pub(crate) const ABUSE: Needs = Needs {
    command: "cargo xtask abuse",
    programs: &[Program {
        name: "slowhttptest",
        debian_package: "slowhttptest",
        probe: &["sh", "-c", "command -v slowhttptest"],
        why: "it is the bad client",
    }],
    components: &[],
};

/// A program that is started.
struct Program {
    name: &'static str,
    debian_package: &'static str,
    /// Succeeds where the program is there, and new enough.
    probe: &'static [&'static str],
    why: &'static str,
}

/// Looks where `tests/postgres` does.
const POSTGRES: &str = r#"
for bin in "$LONGRUN_POSTGRES_BIN" /usr/lib/postgresql/*/bin "$(dirname "$(command -v postgres)")"; do
    "$bin/postgres" --version 2>/dev/null | grep -E '[)] (1[5-9]|[2-9][0-9])' && exit
done
exit 1"#;

/// Debian makes and starts a server along with PostgreSQL's programs. Nobody here needs one.
const NO_SERVER: &str = "mkdir -p /etc/postgresql-common/createcluster.d && \
    echo create_main_cluster = false >/etc/postgresql-common/createcluster.d/longrun-tests.conf";
const AS_BEFORE: &str = "rm /etc/postgresql-common/createcluster.d/longrun-tests.conf";

const PROGRAMS: &[Program] = &[
    Program {
        name: "strace",
        debian_package: "strace",
        probe: &["strace", "--version"],
        why: "a test watches that the server syncs before it answers",
    },
    Program {
        name: "node",
        debian_package: "nodejs",
        probe: &[
            "node",
            "--eval",
            "const [a, b] = process.versions.node.split('.'); process.exit(a * 100 + +b < 1819 ? 1 : 0)",
        ],
        why: "the TypeScript SDK is tested with Node 18.19 or later",
    },
    Program {
        name: "npm",
        debian_package: "npm",
        probe: &["npm", "--version"],
        why: "it brings what the TypeScript SDK is compiled and checked with",
    },
    Program {
        name: "postgres",
        debian_package: "postgresql",
        probe: &["sh", "-c", POSTGRES],
        why: "what several nodes share is tested on PostgreSQL 15 or later",
    },
    Program {
        name: "pgbouncer",
        debian_package: "pgbouncer",
        probe: &["sh", "-c", "PATH=$PATH:/usr/sbin && command -v pgbouncer"],
        why: "nodes must also work where a connection is another one after each transaction",
    },
    Program {
        name: "python3",
        debian_package: "python3",
        probe: &["python3", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"],
        why: "the Python SDK and the description of the API are tested with Python 3.11 or later",
    },
    Program {
        name: "python3's venv",
        debian_package: "python3-venv",
        probe: &["python3", "-c", "import ensurepip, venv"],
        why: "both are tested in an environment of their own",
    },
];

/// A part of the Rust toolchain that a minimal installation leaves out.
struct Component {
    name: &'static str,
    probe: &'static [&'static str],
    why: &'static str,
}

const COMPONENTS: &[Component] = &[
    Component {
        name: "rustfmt",
        probe: &["cargo", "fmt", "--version"],
        why: "the first step checks the format",
    },
    Component {
        name: "clippy",
        probe: &["cargo", "clippy", "--version"],
        why: "the second step is the lints",
    },
];

/// Installs what is missing, or says how to: nothing is left out for want of a program. A machine that says it is nobody's
/// own (`CI=true`) may be changed unasked.
pub(crate) fn ensure(root: &Path, needs: &Needs, install: bool) -> Result<(), String> {
    let (programs, components) = missing(root, needs);
    if programs.is_empty() && components.is_empty() {
        return Ok(());
    }
    let programs_why = programs.iter().map(|program| (program.name, program.why));
    let components_why = components.iter().map(|component| (component.name, component.why));
    for (name, why) in programs_why.chain(components_why) {
        println!("missing: {name} ({why})");
    }
    if !install && env::var("CI").as_deref() != Ok("true") {
        return Err(format!("Install it, with root's rights or sudo:\n\n  {} --install\n", needs.command));
    }
    install_components(root, &components)?;
    install_packages(root, &programs)?;
    match missing(root, needs) {
        (programs, components) if programs.is_empty() && components.is_empty() => Ok(()),
        (programs, components) => {
            let names = programs.iter().map(|program| program.name);
            let names: Vec<_> = names.chain(components.iter().map(|component| component.name)).collect();
            Err(format!("still missing after the installation: {}", names.join(", ")))
        }
    }
}

fn missing(root: &Path, needs: &Needs) -> (Vec<&'static Program>, Vec<&'static Component>) {
    let lacks = |probe| !process::succeeds(root, probe);
    let programs = needs.programs.iter().filter(|program| lacks(program.probe)).collect();
    let components = needs.components.iter().filter(|component| lacks(component.probe)).collect();
    (programs, components)
}

fn install_components(root: &Path, components: &[&Component]) -> Result<(), String> {
    if components.is_empty() {
        return Ok(());
    }
    let names = components.iter().map(|component| component.name);
    let words: Vec<&str> = ["rustup", "component", "add"].into_iter().chain(names).collect();
    announced(root, &words)
}

fn install_packages(root: &Path, programs: &[&Program]) -> Result<(), String> {
    if programs.is_empty() {
        return Ok(());
    }
    if !on_path("apt-get") {
        let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
        return Err(format!("there is no apt-get here: install {} by hand", names.join(", ")));
    }
    // Asked to say nothing, so that a package with questions cannot wait for an answer nobody gives.
    let quietly = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    let rights: &[&str] =
        if process::succeeds(root, &["test", "-w", "/var/lib/dpkg"]) { &[] } else { &["sudo"] };
    let packages = programs.iter().map(|program| program.debian_package);
    let install = ["install", "-y", "--no-install-recommends"].into_iter().chain(packages);
    announced(root, &[rights, &quietly, &["update"]].concat())?;
    announced(root, &[rights, &["sh", "-c", NO_SERVER]].concat())?;
    let installed = announced(root, &[rights, &quietly, &install.collect::<Vec<_>>()].concat());
    announced(root, &[rights, &["sh", "-c", AS_BEFORE]].concat())?;
    installed
}

fn announced(root: &Path, words: &[&str]) -> Result<(), String> {
    println!("install: {}", words.join(" "));
    process::run(root, words)
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
