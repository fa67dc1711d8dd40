//! What the tests may rely on of the servers that they are given.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use longrun_postgres::{Database, PgBouncer, Postgres, Stop, ask, either, execute};

fn wait_until(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_was_committed_outlives_every_kind_of_end() {
    let mut server = Postgres::start(&[("work_mem", "5MB")]);
    let url = server.url("postgres");
    execute(&url, "CREATE TABLE ends (how text)").unwrap();
    for how in [Stop::Fast, Stop::Immediate, Stop::Kill] {
        execute(&url, &format!("INSERT INTO ends VALUES ('{how:?}')")).unwrap();
        let before = server.pid().unwrap();
        server.stop(how);
        assert!(execute(&url, "SELECT 1").is_err(), "{how:?}");
        assert!(!Path::new(&format!("/proc/{before}")).exists(), "{how:?}");
        server.run();
        assert_ne!(server.pid().unwrap(), before);
    }
    let ends = ask(&url, "SELECT string_agg(how, ' ') FROM ends").unwrap();
    assert_eq!(ends.as_deref(), Some("Fast Immediate Kill"));
    assert_eq!(ask(&url, "SHOW work_mem").unwrap().as_deref(), Some("5MB"));
    assert_eq!(ask(&url, "SHOW fsync").unwrap().as_deref(), Some("on"));
}

#[test]
fn a_database_is_ones_own_and_gone_afterwards() {
    let (one, other) = (Database::create(), Database::create());
    one.run("CREATE TABLE mine (number int)");
    other.run("CREATE TABLE mine (number int); INSERT INTO mine VALUES (7)");
    assert_eq!(one.ask("SELECT count(*) FROM mine").as_deref(), Some("0"));
    assert_eq!(other.ask("SELECT number FROM mine").as_deref(), Some("7"));
    let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", one.name());
    drop(one);
    assert_eq!(other.ask(&there).as_deref(), Some("0"));
}

#[test]
fn behind_pgbouncer_a_session_is_gone_after_its_transaction() {
    let database = Database::create();
    let bouncer = PgBouncer::start(&database.url());
    let url = bouncer.url(database.name());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = || async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    runtime.block_on(async {
        let (one, other) = (asked().await, asked().await);
        one.batch_execute("SET work_mem = '7MB'").await.unwrap();
        // The other is given the connection that the one has just used.
        let shown = other.query_typed("SHOW work_mem", &[]).await.unwrap();
        assert_eq!(shown[0].get::<_, &str>(0), "7MB");
        one.batch_execute("BEGIN").await.unwrap();
        let kept = one.query_typed("SELECT pg_backend_pid()", &[]).await.unwrap();
        let elsewhere = other.query_typed("SELECT pg_backend_pid()", &[]).await.unwrap();
        assert_ne!(kept[0].get::<_, i32>(0), elsewhere[0].get::<_, i32>(0));
    });
}

#[test]
fn a_standby_has_what_was_confirmed_when_it_takes_over() {
    let mut primary = Postgres::start(&[]);
    let standby = primary.start_standby(&[]);
    let both = format!("{}?target_session_attrs=read-write", either(&[&primary, &standby], "postgres"));
    execute(&both, "CREATE TABLE kept (number int)").unwrap();
    let mut confirmed = 0;
    while confirmed < 100 {
        execute(&both, &format!("INSERT INTO kept VALUES ({confirmed})")).unwrap();
        confirmed += 1;
    }
    primary.stop(Stop::Kill);
    assert!(execute(&both, "SELECT 1").is_err(), "the standby only follows");
    standby.promote();
    assert_eq!(ask(&both, "SELECT count(*) FROM kept").unwrap().as_deref(), Some("100"));
    execute(&both, "INSERT INTO kept VALUES (100)").unwrap();
}

#[test]
fn without_its_standby_a_server_confirms_nothing() {
    let primary = Postgres::start(&[]);
    let mut standby = primary.start_standby(&[]);
    standby.stop(Stop::Fast);
    let url = primary.url("postgres");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| execute(&url, "CREATE TABLE waits (number int)"));
        wait_until(|| ask(&url, waiting).unwrap().as_deref() == Some("1"));
        assert!(!commit.is_finished());
        standby.run();
        commit.join().unwrap().unwrap();
    });
    // It is on the standby's disk; what is read there follows a moment later.
    wait_until(|| ask(&standby.url("postgres"), "SELECT count(*) FROM waits").is_ok());
}

#[test]
fn with_tls_there_is_no_way_around_it() {
    let server = Postgres::start_with_tls(&[]);
    let refused = execute(&server.url("postgres"), "SELECT 1").unwrap_err();
    let said = refused.as_db_error().map(ToString::to_string).unwrap_or_default();
    assert!(said.contains("no encryption"), "{said}");
    let authority = std::fs::read_to_string(server.authority()).unwrap();
    assert!(authority.starts_with("-----BEGIN CERTIFICATE-----"));
}

/// Not a test: what the next one runs and kills.
const HOLDS: &str = "LONGRUN_TEST_HOLDS_A_SERVER";

#[test]
fn a_server_and_its_directory_do_not_outlive_who_is_killed() {
    if std::env::var_os(HOLDS).is_some() {
        let server = Postgres::start(&[]);
        println!("holds {} {}", server.pid().unwrap(), server.data().display());
        std::thread::sleep(Duration::from_mins(1));
        return;
    }
    let mut holder = Command::new(std::env::current_exe().unwrap());
    holder.args(["--exact", "--nocapture", "a_server_and_its_directory_do_not_outlive_who_is_killed"]);
    let mut holder = holder.env(HOLDS, "1").stdout(Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(holder.stdout.take().unwrap()));
    let held = lines.map_while(Result::ok).find_map(|line| {
        let (_, held) = line.split_once("holds ")?;
        let (pid, data) = held.split_once(' ')?;
        Some((format!("/proc/{pid}"), data.to_owned()))
    });
    let (process, data) = held.expect("a server is held");
    assert!(Path::new(&process).exists() && Path::new(&data).exists());
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_until(|| !Path::new(&process).exists() && !Path::new(&data).parent().is_some_and(Path::exists));
}
