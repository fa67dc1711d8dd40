use std::sync::Mutex;

use std::path::Path;

use super::super::fake::{self, Asked};
use super::*;
use crate::auth::{Keys, Token as Secret, admin};
use crate::operation::Timestamp;

fn request() -> TokenRequest {
    TokenRequest {
        name: "ci".to_owned(),
        tenant: Some("acme".to_owned()),
        scopes: vec!["Operation.Read".to_owned()],
        queues: None,
        lifetime_seconds: None,
    }
}

async fn made_listed_and_revoked(mut door: Door) {
    let made = door.make(&request()).await.unwrap();
    assert_eq!(Secret::parse(&made.token).unwrap().id(), made.view.id);
    assert_eq!(door.list().await.unwrap().value, std::slice::from_ref(&made.view));
    door.revoke(&made.view.id).await.unwrap();
    assert!(door.list().await.unwrap().value[0].revoked);
    assert_eq!(door.revoke("nobody").await.unwrap_err().exit, Exit::NotFound);
    let refused = door.make(&TokenRequest { name: "a\nb".to_owned(), ..request() }).await.unwrap_err();
    assert_eq!(refused.exit, Exit::Usage);
    assert!(refused.message.contains("name"), "{}", refused.message);
}

/// A server as the tests need it: what it keeps is in memory.
fn place(data: &Path) -> Place {
    Place { data: data.to_owned(), store: None }
}

fn serve(path: &Path) {
    let keys = Mutex::new(Keys::default());
    let error = |status, message: &str| {
        (status, serde_json::json!({ "error": { "code": "c", "message": message } }).to_string())
    };
    fake::on_unix(path, move |asked: Asked| {
        let keys = keys.lock().unwrap();
        match asked.what.split_once("/tokens").unwrap() {
            ("POST ", "") => {
                let request = serde_json::from_str(&asked.body).unwrap();
                match admin::make(&request, Timestamp::wall()) {
                    Ok((credential, made)) => {
                        keys.put(credential);
                        (201, serde_json::to_string(&made).unwrap())
                    }
                    Err(refused) => error(400, &refused.to_string()),
                }
            }
            ("GET ", "") => {
                let credentials = keys.credentials();
                let list = admin::list(credentials.iter().map(AsRef::as_ref), Timestamp::wall());
                (200, serde_json::to_string(&list).unwrap())
            }
            ("DELETE ", id) => match keys.get(&id[1..]) {
                Some(credential) => {
                    keys.put(admin::revoke(&credential));
                    (204, String::new())
                }
                None => error(404, "there is none"),
            },
            other => panic!("{other:?}"),
        }
    });
}

#[tokio::test]
async fn a_running_server_is_asked_through_its_socket() {
    let data = tempfile::tempdir().unwrap();
    assert!(Running::connect(data.path()).await.unwrap().is_none());
    serve(&data.path().join("longrun.sock"));
    let door = Door::to(&place(data.path())).await.unwrap();
    assert!(door.describe(&place(data.path())).starts_with("the running server of /"));
    made_listed_and_revoked(door).await;
}

#[tokio::test]
async fn the_store_of_a_stopped_server_is_opened_itself() {
    let data = tempfile::tempdir().unwrap();
    let door = Door::to(&place(data.path())).await.unwrap();
    assert!(door.describe(&place(data.path())).ends_with("where no server runs"));
    made_listed_and_revoked(door).await;
    let kept = Door::to(&place(data.path())).await.unwrap().list().await.unwrap();
    assert!(kept.value.len() == 1 && kept.value[0].revoked, "{kept:?}");
}

#[tokio::test]
async fn a_store_that_is_held_without_a_socket_cannot_be_reached() {
    let data = tempfile::tempdir().unwrap();
    let _held = Stopped::open(data.path()).unwrap();
    let failure = Door::to(&place(data.path())).await.err().unwrap();
    assert_eq!(failure.exit, Exit::Unreachable);
    assert!(failure.message.contains("socket"), "{}", failure.message);
}

#[tokio::test]
async fn a_socket_that_a_killed_server_left_behind_is_no_server() {
    let data = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(data.path().join("longrun.sock")).unwrap());
    assert!(Running::connect(data.path()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_list_of_a_directory_without_a_store_makes_none() {
    let parent = tempfile::tempdir().unwrap();
    for data in [parent.path().to_owned(), parent.path().join("none")] {
        let place = || place(&data);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut output = Output::of_test(&mut out, &mut err, false);
        let listed = List { place: place() }.run(&mut output).await.unwrap_err();
        let revoked = Revoke { id: "a".to_owned(), place: place() }.run(&mut output).await.unwrap_err();
        assert_eq!((listed.exit, revoked.exit), (Exit::Usage, Exit::Usage));
    }
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_whole_token_is_not_taken_for_its_id() {
    let data = tempfile::tempdir().unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = Output::of_test(&mut out, &mut err, false);
    let whole = Secret::fresh().unwrap().reveal();
    let place = place(data.path());
    let failure = Revoke { id: whole.clone(), place }.run(&mut output).await.unwrap_err();
    assert!(failure.exit == Exit::Usage && !failure.message.contains(&whole), "{}", failure.message);
}

#[test]
fn the_token_stands_alone_in_its_line_and_lists_have_none() {
    let (credential, made) = admin::make(&request(), Timestamp::MIN).unwrap();
    let shown = table(&admin::list([&credential], Timestamp::MIN));
    assert!(shown.starts_with("ID ") && shown.contains("acme") && shown.contains("valid"), "{shown}");
    assert!(!shown.contains(&made.token));
    assert!(!fields(&made.view).contains("queues"));
    let worker = TokenRequest { scopes: vec!["Operation.Execute".to_owned()], ..request() };
    let (_, made) = admin::make(&worker, Timestamp::MIN).unwrap();
    assert!(fields(&made.view).contains("queues  every queue"));
}
