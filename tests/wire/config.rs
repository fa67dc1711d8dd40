//! `longrun config`: each setting with its source, and whether a server would take them.

use std::io::Write;

use serde_json::Value;

use crate::support::cli::{Ended, longrun, run};

const FILE: &str = "listen = \"127.0.0.1:1111\"\nretain = \"9d\"\nworkers = 3\ncors-origin = [\"https://a.test\"]\n\
    [programs.resize]\npath = \"/bin/true\"\n";

fn config(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = longrun(&["config"]);
    command.args(arguments).envs(variables.iter().copied());
    run(command)
}

fn setting(ended: &Ended, name: &str) -> (String, String) {
    let values = ended.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"));
    let value = values.into_iter().find(|value| value["name"] == name);
    let value = value.unwrap_or_else(|| panic!("no {name} in {ended:?}"));
    let text = |field: &str| value[field].as_str().expect("a text").to_owned();
    (text("value"), text("source"))
}

#[test]
fn each_value_says_where_it_is_from() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(FILE.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let variables = [
        ("LONGRUN_CONFIG", path),
        ("LONGRUN_RETAIN", "8d"),
        ("LONGRUN_STORE", "postgres://longrun:s3cret@db.example/longrun"),
    ];
    let ended = config(&["show", "--listen", "127.0.0.1:2222"], &variables);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let from_file = format!("file {path}");
    for (name, value, source) in [
        ("listen", "127.0.0.1:2222", "flag --listen"),
        ("retain", "8d", "variable LONGRUN_RETAIN"),
        ("workers", "3", &*from_file),
        ("cors-origin", "[\"https://a.test\"]", &*from_file),
        ("programs.resize", "/bin/true", &*from_file),
        ("grace", "10", "default"),
        ("data", "./longrun-data", "default"),
        ("first-token-file", "none", "default"),
        ("config", path, "variable LONGRUN_CONFIG"),
        ("store", "postgres://longrun:…@db.example/longrun", "variable LONGRUN_STORE"),
    ] {
        assert_eq!(setting(&ended, name), (value.to_owned(), source.to_owned()), "{name}");
    }
    assert!(!ended.out.contains("s3cret"));
}

#[test]
fn wrong_settings_are_told_as_by_the_server_itself() {
    let good = config(&["check", "--retain", "9d"], &[]);
    assert_eq!((good.code, &*good.err), (Some(0), ""), "{good:?}");
    let bad = config(&["check", "--retain", "1h"], &[]);
    let serve = run(longrun(&["serve", "--retain", "1h"]));
    assert_eq!((bad.code, &bad.err), (Some(2), &serve.err), "{bad:?}");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"litsen = \"127.0.0.1:1\"\n").unwrap();
    let bad = config(&["check", "--config", file.path().to_str().unwrap()], &[]);
    assert!(bad.code == Some(2) && bad.err.contains(":1: unknown field `litsen`"), "{bad:?}");
    let slip = config(&["check"], &[("LONGRUN_LITSEN", "127.0.0.1:1")]);
    assert!(
        slip.code == Some(0) && slip.err.contains("nothing reads the variable LONGRUN_LITSEN"),
        "{slip:?}"
    );
}
