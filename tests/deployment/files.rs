//! The files of `deploy/` and the Dockerfile, as far as the tests read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of the repository, as text.
pub fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Everything below `deploy/`, by its path in the repository, and the Dockerfile.
pub fn all() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut left) = (BTreeMap::new(), vec![root.join("deploy")]);
    found.insert("Dockerfile".to_owned(), text("Dockerfile"));
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("it can be read").flatten() {
            let path: PathBuf = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if entry.file_name() != ".env" {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name.clone(), text(&name));
            }
        }
    }
    found
}

/// The documents of a YAML file.
pub fn documents(path: &str) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(!documents.is_empty(), "{path} is empty");
    documents
}

/// Every Kubernetes object, with the file that it stands in.
pub fn objects() -> Vec<(String, Value)> {
    let files = all().into_keys().filter(|path| path.starts_with("deploy/kubernetes/"));
    files.flat_map(|path| documents(&path).into_iter().map(move |object| (path.clone(), object))).collect()
}

/// What an array of the document holds; nothing where there is none.
pub fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text of the document.
pub fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// What the Dockerfile's last stage says by one of its instructions.
pub fn instruction(name: &str) -> String {
    let dockerfile = text("Dockerfile").replace("\\\n", " ");
    let (_, last) = dockerfile.rsplit_once("\nFROM ").expect("it has stages");
    let line = last.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("the image has no {name}")).trim().to_owned()
}

/// A list of arguments of the Dockerfile, without the binary.
pub fn arguments(list: &str) -> Vec<String> {
    let from = list.find('[').expect("it is a list");
    let words: Vec<String> = serde_json::from_str(&list[from..]).expect("it is a list of words");
    words.into_iter().filter(|word| word != BINARY).collect()
}

/// A variable that the image sets.
pub fn variable(name: &str) -> String {
    let set = instruction("ENV");
    let value = set.split_whitespace().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the image sets no {name}")).to_owned()
}

/// The port that the image listens on.
pub fn port() -> u64 {
    let listen: std::net::SocketAddr = variable("LONGRUN_LISTEN").parse().expect("it is an address");
    listen.port().into()
}

/// A setting of the systemd unit.
pub fn unit(name: &str) -> String {
    let unit = text("deploy/longrun.service");
    let value = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit has no {name}")).to_owned()
}

/// Where the binary lies, wherever it is installed.
pub const BINARY: &str = "/usr/local/bin/longrun";
