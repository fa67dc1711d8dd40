use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{House, back_up, restore, stop};
use crate::support::cli::{self, longrun};

/// A house with a copy of a store in it.
async fn copied() -> House {
    let house = House::new();
    let server = house.serve();
    for _ in 0..50 {
        server.client().submit(&json!({"input": "x".repeat(2000)})).await;
    }
    stop(server);
    let ended = house.back_up();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    house
}

#[tokio::test]
async fn a_copy_takes_nothings_place_and_is_for_its_owner_only() {
    let house = copied().await;
    assert_eq!(fs::metadata(&house.copy).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&house.copy).unwrap();
    let ended = house.back_up();
    assert!(ended.code == Some(2) && ended.err.contains("is there already"), "{ended:?}");
    assert_eq!(fs::read(&house.copy).unwrap(), before);
    let nowhere = house.scratch.path().join("no/where.db");
    assert_eq!(back_up(&house.data, &nowhere).code, Some(1));
    let ended = back_up(&house.restored, &nowhere);
    assert!(ended.code == Some(2) && ended.err.contains("there is no store"), "{ended:?}");
    assert!(!house.restored.exists());
    // Nothing is left behind beside it.
    let names = fs::read_dir(house.scratch.path()).unwrap().count();
    assert_eq!(names, 2, "the data and the copy");
}

#[tokio::test]
async fn a_store_is_restored_into_an_empty_directory_only() {
    let house = copied().await;
    let ended = restore(&house.copy, &house.data);
    assert!(ended.code == Some(2) && ended.err.contains("is not empty"), "{ended:?}");
    fs::create_dir_all(house.restored.join("lost+found")).unwrap();
    assert_eq!(house.restore().code, Some(0));
    assert_eq!(house.restore().code, Some(2), "and not twice");
}

#[tokio::test]
async fn what_is_damaged_or_no_copy_is_not_restored() {
    let house = copied().await;
    let sound = fs::read(&house.copy).unwrap();
    let mut flipped = sound.clone();
    // The header of a page in the middle.
    let page = sound.len() / 4096 / 2 * 4096;
    flipped[page..page + 8].fill(0xee);
    let half = sound[..sound.len() / 2].to_vec();
    for (bad, what) in [(flipped, "sound"), (half, "sound"), (b"certainly not".repeat(500), "sound")] {
        fs::write(&house.copy, &bad).unwrap();
        let ended = house.restore();
        assert!(ended.code == Some(1) && ended.err.contains(what), "{ended:?}");
        let left: Vec<_> =
            fs::read_dir(&house.restored).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["longrun.lock"], "half a store is never served");
    }
    // What is left there is in no later one's way.
    fs::write(&house.copy, &sound).unwrap();
    assert_eq!(house.restore().code, Some(0));
    fs::remove_dir_all(&house.restored).unwrap();
    let mut server = house.serve();
    server.client().submit(&json!({})).await;
    server.kill();
    let ended = restore(&house.data.join("longrun.db"), &house.restored);
    assert!(ended.code == Some(2) && ended.err.contains("with a log beside it"), "{ended:?}");
}

#[test]
fn a_database_is_left_to_its_own_tools() {
    for arguments in [&["backup", "copy.db"][..], &["restore", "copy.db"]] {
        let mut command = longrun(arguments);
        command.env("LONGRUN_STORE", "postgres://longrun:secret@db.example/longrun");
        let ended = cli::run(command);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("pg_dump") && ended.err.contains("restore --mark"), "{ended:?}");
        assert!(!ended.err.contains("secret"), "{ended:?}");
    }
}
