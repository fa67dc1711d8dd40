use clap::{Args, FromArgMatches};

use super::*;
use crate::operation::{Name, TenantId};

/// What these flags say, and the environment of the test.
fn flags(arguments: &[&str]) -> Result<Given, clap::Error> {
    let command = Given::augment_args(clap::Command::new("serve")).no_binary_name(true);
    Given::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("longrun.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

fn settle(arguments: &[&str]) -> Result<Settings, String> {
    flags(arguments).unwrap().settle().map_err(|error| error.to_string())
}

#[test]
fn with_nothing_said_the_defaults_hold() {
    let settings = Given::default().settle().unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8470");
    assert_eq!(settings.data, Path::new("./longrun-data"));
    assert!(settings.workers >= 4 && settings.workers.is_multiple_of(4));
    assert_eq!(settings.public_url, None);
    assert_eq!((settings.log.as_str(), settings.log_format), ("info", LogFormat::Human));
    assert_eq!(settings.min_free_bytes, 256 << 20);
    assert_eq!(settings.retain, Duration::from_hours(7 * 24));
    assert_eq!(settings.retain_events, Duration::from_hours(3 * 24));
    assert_eq!(settings.grace, Duration::from_secs(10));
    assert_eq!((settings.first_token_file, settings.programs), (None, Vec::new()));
}

#[test]
fn every_flag_is_read() {
    let settings = settle(&[
        "--listen=[::1]:1",
        "--data=/d",
        "--workers=0",
        "--public-url=https://a.example/lr/",
        "--cors-origin=https://a.example,http://localhost:3000",
        "--tls-cert=/c",
        "--tls-key=/k",
        "--trusted-proxy=10.0.0.0/8,::1",
        "--creates-per-second=7",
        "--otlp=http://localhost:4318/",
        "--log=warn,longrun=debug",
        "--log-format=json",
        "--min-free=1GiB",
        "--retain=30d",
        "--retain-events=36h",
        "--grace=3",
        "--first-token-file=/t",
    ]);
    let expected = Settings {
        admin_listen: None,
        database: None,
        listen: "[::1]:1".parse().unwrap(),
        data: PathBuf::from("/d"),
        workers: 0,
        public_url: Some("https://a.example/lr".to_owned()),
        cors_origins: vec!["https://a.example".to_owned(), "http://localhost:3000".to_owned()],
        tls: Some(TlsFiles { certificate: PathBuf::from("/c"), key: PathBuf::from("/k") }),
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        creates_per_second: 7,
        otlp: Some("http://localhost:4318".to_owned()),
        log: "warn,longrun=debug".to_owned(),
        log_format: LogFormat::Json,
        min_free_bytes: 1 << 30,
        retain: Duration::from_hours(30 * 24),
        retain_events: Duration::from_hours(36),
        grace: Duration::from_secs(3),
        first_token_file: Some(PathBuf::from("/t")),
        programs: Vec::new(),
    };
    assert_eq!(settings, Ok(expected));
}

#[test]
fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
    let (_directory, path) = file("grace = 3\nworkers = 2\n");
    let settings = settle(&["--config", &path, "--grace=4"]).unwrap();
    assert_eq!((settings.grace.as_secs(), settings.workers), (4, 2));
    assert_eq!(settings.log, "info");
}

/// Nothing safe sets the environment of a running process, so the test runs itself once more in one.
#[test]
fn the_environment_stands_between_flag_and_file() {
    const PATH: &str = "LONGRUN_CONFIG";
    if std::env::var_os("LONGRUN_TEST_INNER").is_some() {
        let settings = settle(&["--grace=4"]).unwrap();
        assert_eq!((settings.grace.as_secs(), settings.workers, settings.log.as_str()), (4, 5, "warn"));
        return;
    }
    let (_directory, path) = file("grace = 3\nworkers = 2\nlog = \"warn\"\n");
    let inner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "settings::tests::the_environment_stands_between_flag_and_file"])
        .envs([("LONGRUN_TEST_INNER", "1"), (PATH, path.as_str())])
        .envs([("LONGRUN_GRACE", "9"), ("LONGRUN_WORKERS", "5")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inner.stdout);
    assert!(inner.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn what_a_file_gets_wrong_is_named_with_its_line() {
    for (text, line, word) in [
        ("grace = 3\nlissten = \"x\"\n", 2, "lissten"),
        ("config = \"other.toml\"\n", 1, "config"),
        ("\ngrace = \"soon\"\n", 2, "soon"),
        ("listen = \"here\"\n", 1, "address"),
        ("trusted-proxy = [\"10.0.0.0\", \"all\"]\n", 1, "network"),
        ("grace =\n", 1, ""),
    ] {
        let (_directory, path) = file(text);
        let error = settle(&["--config", &path]).unwrap_err();
        assert!(error.starts_with(&format!("{path}:{line}: ")), "{error}");
        assert!(error.contains(word) && !error.contains('\n'), "{error}");
    }
    let error = settle(&["--config", "/nowhere/longrun.toml"]).unwrap_err();
    assert!(error.contains("/nowhere/longrun.toml"), "{error}");
}

#[test]
fn a_value_of_no_use_is_refused() {
    for flag in [
        "--listen=localhost",
        "--workers=-1",
        "--min-free=much",
        "--grace=10s",
        "--log-format=xml",
        "--trusted-proxy=10.0.0.0/33",
        "--creates-per-second=0",
    ] {
        assert_eq!(flags(&[flag]).unwrap_err().exit_code(), 2, "{flag}");
    }
    for (flag, name) in [
        ("--log=loud=very=", "log"),
        ("--workers=10001", "workers"),
        ("--grace=3601", "grace"),
        ("--public-url=longrun.example", "public-url"),
        ("--public-url=ftp://longrun.example", "public-url"),
        ("--public-url=https://longrun.example/?a", "public-url"),
        ("--otlp=localhost:4318", "otlp"),
        ("--cors-origin=https://a.example/", "cors-origin"),
        ("--cors-origin=*", "cors-origin"),
        ("--cors-origin=a.example", "cors-origin"),
        ("--tls-cert=/c", "tls-key"),
        ("--tls-key=/k", "tls-cert"),
    ] {
        let error = settle(&[flag]).unwrap_err();
        assert!(error.starts_with(&format!("{name}: ")), "{flag}: {error}");
    }
}

#[test]
fn the_example_names_every_setting_with_its_default() {
    let example = include_str!("../../longrun.example.toml");
    let settings: Vec<&str> = example
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' ')))
        .collect();
    let mut named: Vec<&str> = settings.iter().filter_map(|line| line.split(' ').next()).collect();
    let command = Given::augment_args(clap::Command::new("serve"));
    let mut known: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    // A program is a table of the file.
    known.retain(|name| !["config", "program"].contains(name));
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);

    let given: Given = toml::from_str(&settings.join("\n")).unwrap();
    let shown = given.with_defaults().unwrap();
    let default = Given::default().settle().unwrap();
    // These have no default, or one that depends on the machine or the request.
    let (workers, public_url) = (shown.workers, shown.public_url.clone());
    assert!(workers > 0 && public_url.is_some() && shown.first_token_file.is_some());
    assert!(shown.admin_listen.is_some_and(|address| address.ip().is_loopback()));
    assert_eq!(
        Settings {
            workers,
            public_url,
            first_token_file: shown.first_token_file.clone(),
            otlp: shown.otlp.clone(),
            cors_origins: shown.cors_origins.clone(),
            tls: shown.tls.clone(),
            trusted_proxies: shown.trusted_proxies.clone(),
            database: shown.database.clone(),
            admin_listen: shown.admin_listen,
            ..default
        },
        shown
    );
    let uncommented: Given = toml::from_str(example).unwrap();
    assert_eq!(uncommented, Given::default());
}

#[test]
fn the_example_shows_a_program_with_all_that_can_be_said_of_it() {
    let example = include_str!("../../longrun.example.toml");
    let (_, table) = example.split_once("# [programs.resize]").unwrap();
    let lines: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("#     ")).collect();
    let text = lines.join("\n").replace("/usr/local/bin/resize.sh", "/bin/sh");
    let (_directory, path) = file(&format!("[programs.resize]\n{text}"));
    let programs = settle(&["--config", &path, "--program=plain=/bin/sh"]).unwrap().programs;
    assert_eq!(lines.len(), 7, "each of its settings");
    let [plain, resize] = &programs[..] else { panic!("{programs:?}") };
    let full = Program {
        operation_type: Name::parse("resize").unwrap(),
        path: PathBuf::from("/bin/sh"),
        arguments: vec!["--width".to_owned(), "200".to_owned()],
        tenants: vec![TenantId::default()],
        timeout: Some(Duration::from_mins(10)),
        concurrency: Some(2),
        environment: vec![("MAGICK_THREADS".to_owned(), "1".to_owned())],
        inherited: Some(["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"].map(str::to_owned).to_vec()),
    };
    assert_eq!(*resize, full);
    let bare = Program {
        operation_type: Name::parse("plain").unwrap(),
        arguments: Vec::new(),
        timeout: None,
        concurrency: None,
        environment: Vec::new(),
        inherited: None,
        ..full
    };
    assert_eq!(*plain, bare);
}

#[test]
fn a_flag_takes_the_place_of_the_files_program() {
    let (_directory, path) = file("[programs.a]\npath = \"/nowhere\"\ntimeout = 3\n");
    assert!(settle(&["--config", &path]).unwrap_err().starts_with("program a: /nowhere"));
    let programs = settle(&["--config", &path, "--program=a=/bin/sh"]).unwrap().programs;
    assert_eq!((programs.len(), programs[0].timeout), (1, None));
}

#[test]
fn less_than_a_day_of_operations_is_refused_and_so_are_events_without_theirs() {
    let kept = |arguments: &[&str]| settle(arguments).map(|it| (it.retain, it.retain_events));
    let day = Duration::from_hours(24);
    assert_eq!(kept(&["--retain=24h"]), Ok((day, day)));
    assert_eq!(kept(&["--retain=1day", "--retain-events=1h"]), Ok((day, Duration::from_hours(1))));
    for refused in ["--retain=23h59m", "--retain=0s", "--retain=10000000d"] {
        assert!(kept(&[refused]).unwrap_err().starts_with("retain: at least 24h"), "{refused}");
    }
    for refused in
        [&["--retain-events=8d"][..], &["--retain-events=59m"], &["--retain=2d", "--retain-events=3d"]]
    {
        assert!(kept(refused).unwrap_err().starts_with("retain-events: from 1h to the "), "{refused:?}");
    }
    assert!(flags(&["--retain=soon"]).is_err());
    let (_kept, path) = file("retain = \"2d\"");
    assert_eq!(kept(&["--config", &path]), Ok((2 * day, 2 * day)));
    let (_kept, path) = file("retain = 7");
    assert!(kept(&["--config", &path]).is_err());
}
