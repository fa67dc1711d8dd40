use std::fs;

use super::super::migrate::{SCHEMA, migrate};
use super::super::{OpenError, wal};
use super::*;
use crate::store::Reader;

fn reopen(house: &House) -> Result<(), OpenError> {
    open(options(house.directory.path(), house.time.clone())).map(|_| ())
}

#[test]
fn a_second_server_is_refused_until_the_first_has_gone() {
    let mut house = House::new();
    let refused = reopen(&house).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }));
    assert!(refused.to_string().starts_with("another server holds the data directory /"), "{refused}");
    house.store = None;
    reopen(&house).unwrap();
}

#[test]
fn a_directory_is_made_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    let time = Arc::new(Manual::at(Timestamp::wall()));
    open(options(&directory, time.clone())).unwrap();
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    fs::write(parent.path().join("file"), "").unwrap();
    let refused = open(options(&parent.path().join("file/x"), time)).unwrap_err();
    assert!(matches!(refused, OpenError::Directory { .. }), "{refused}");
}

#[test]
fn a_newer_schema_is_refused_in_words() {
    let mut house = House::new();
    house.store = None;
    let file = house.directory.path().join("longrun.db");
    rusqlite::Connection::open(file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = reopen(&house).unwrap_err().to_string();
    let known = SCHEMA.len();
    let said = format!("(schema 99, this one knows {known}); run that version or a newer one");
    assert!(refused.ends_with(&format!("was written by a newer longrun {said}")), "{refused}");
}

#[test]
fn what_is_no_store_of_ours_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("longrun.db");
    let time = Arc::new(Manual::at(Timestamp::wall()));
    let refused = || match open(options(directory.path(), time.clone())).unwrap_err() {
        OpenError::Corrupt { what, .. } => what,
        other => panic!("{other}"),
    };
    fs::write(&file, "certainly not a database".repeat(100)).unwrap();
    assert!(refused().contains("not a database"));
    fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert_eq!(refused(), "it is another program's database");
}

#[test]
fn a_file_cut_short_is_refused() {
    let mut house = House::new();
    house.submit(&(0..200).map(|_| submission("q", "t", 0)).collect::<Vec<_>>());
    house.store = None;
    house.restart(Duration::ZERO);
    house.store = None;
    let file = house.directory.path().join("longrun.db");
    let length = fs::metadata(&file).unwrap().len();
    fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
    assert!(matches!(reopen(&house).unwrap_err(), OpenError::Corrupt { .. }));
}

#[test]
fn a_migration_leaves_a_copy_of_what_it_changed() {
    let mut house = House::new();
    house.submit(&[submission("q", "t", 0)]);
    house.store = None;
    let file = house.directory.path().join("longrun.db");
    let mut connection = rusqlite::Connection::open(&file).unwrap();
    let known = i64::try_from(SCHEMA.len()).unwrap();
    let next = known + 1;
    let schema = [SCHEMA, &["ALTER TABLE queue ADD COLUMN new INTEGER"]].concat();
    migrate(&mut connection, &file, &schema).unwrap();
    migrate(&mut connection, &file, &schema).unwrap();
    let version = |path: &Path| {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap()
    };
    let copy = house.directory.path().join(format!("longrun.db.before-{next}"));
    assert_eq!((version(&file), version(&copy)), (next, known));
    let kept: i64 = rusqlite::Connection::open(copy)
        .unwrap()
        .query_row("SELECT count(*) FROM operation", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 1);
}

#[test]
fn every_commit_is_synced() {
    let mut house = House::new();
    let pragma = |name: &str, store: &SqliteStore| -> i64 {
        store.writer.pragma_query_value(None, name, |row| row.get(0)).unwrap()
    };
    let store = house.store();
    assert_eq!(pragma("synchronous", store), 2);
    assert_eq!(pragma("fullfsync", store), 1);
    assert_eq!(pragma("checkpoint_fullfsync", store), 1);
    assert_eq!(pragma("wal_autocheckpoint", store), 0);
    assert_eq!(pragma("foreign_keys", store), 0);
    assert_eq!(pragma("page_size", store), i64::from(wal::PAGE_BYTES));
    let mode: String = store.writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn at_a_start_the_log_is_copied_back_before_anybody_reads() {
    let mut house = House::new();
    house.submit(&[submission("q", "t", 0)]);
    // A crash: the log stays as it is.
    let crashed = tempfile::tempdir().unwrap();
    for name in ["longrun.db", "longrun.db-wal"] {
        fs::copy(house.directory.path().join(name), crashed.path().join(name)).unwrap();
    }
    let connection = rusqlite::Connection::open(crashed.path().join("longrun.db")).unwrap();
    super::super::open::settle(&connection, &crashed.path().join("longrun.db")).unwrap();
    assert_eq!(fs::metadata(crashed.path().join("longrun.db-wal")).unwrap().len(), 0);
    let rows: i64 = connection.query_row("SELECT count(*) FROM operation", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn the_log_stays_bounded_under_a_steady_load() {
    let mut house = House::new();
    let log = house.directory.path().join("longrun.db-wal");
    let input = Payload::Inline(json(&format!("\"{}\"", "x".repeat(200_000))));
    let large: Vec<Submission> = (0..10)
        .map(|_| {
            let mut submission = submission("q", "t", 0);
            submission.spec.input = Some(input.clone());
            submission
        })
        .collect();
    let mut longest = 0;
    for _ in 0..80 {
        let fresh: Vec<Submission> = large
            .iter()
            .map(|it| {
                let mut fresh = it.clone();
                fresh.spec.id = OperationId::fresh();
                fresh
            })
            .collect();
        house.submit(&fresh);
        longest = longest.max(fs::metadata(&log).unwrap().len());
    }
    // And one turn: what is beyond the bound is seen between turns.
    assert!(longest < u64::from(wal::LONGEST_BYTES) + (4 << 20), "{longest}");
}

#[test]
fn the_clock_goes_on_from_its_mark() {
    let mut house = House::new();
    house.submit(&[submission("q", "t", 0)]);
    house.time.advance(Duration::from_secs(3));
    let marked = house.reader.now();
    let mark = "SELECT value FROM meta WHERE key = 'clock_mark'";
    assert!(house.count(mark) < marked.ticks());
    house.store = None;
    assert_eq!(house.count(mark), marked.ticks(), "a clean end writes it");
    house.time.set_wall(Timestamp::parse("2025-01-01T00:00:00Z").unwrap());
    house.restart(Duration::ZERO);
    assert!(house.reader.now() >= marked);
    house.time.advance(Duration::from_secs(11));
    let now = house.reader.now();
    house.submit(&[submission("q", "t", 0)]);
    assert_eq!(house.count(mark), now.ticks(), "and so does a commit now and then");
}

#[test]
fn a_server_starts_beside_somebody_who_still_reads_the_log() {
    let mut house = House::new();
    house.submit(&[submission("default", "t", 0)]);
    let file = house.directory.path().join("longrun.db");
    let reader = rusqlite::Connection::open(&file).unwrap();
    let count = |reader: &rusqlite::Connection| -> i64 {
        reader.query_row("SELECT count(*) FROM operation", [], |row| row.get(0)).unwrap()
    };
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(&reader), 1);
    house.submit(&[submission("default", "t", 0)]);
    house.store = None;
    reopen(&house).unwrap();
    assert_eq!(count(&reader), 1, "it reads what it read");
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(count(&reader), 2);
}
