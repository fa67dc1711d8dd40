//! Watching, against a server that writes what a script says, byte by byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use longrun_sdk::client::{Watch, WatchFilter};
use longrun_sdk::wire::{Event, EventKind, Status};
use longrun_sdk::{Client, ClientError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(7);
const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n";

/// What becomes of one connection.
enum Turn {
    /// These pieces are written one by one, then it is closed.
    Write(Vec<String>),
    /// The same, but it is held open in silence.
    Hold(Vec<String>),
}

/// A server that serves one connection after the other as the script says; the last turn is repeated.
struct Server {
    url: String,
    /// The heads of the requests.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(script: Vec<Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { url: format!("http://{}", listener.local_addr().unwrap()), seen: Arc::default() };
        let seen = server.seen.clone();
        tokio::spawn(async move {
            let mut open = Vec::new();
            for at in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let head = head(&mut stream).await;
                seen.lock().unwrap().push(head);
                let (Turn::Write(pieces) | Turn::Hold(pieces)) = &script[at.min(script.len() - 1)];
                for piece in pieces {
                    // A client may go away as soon as it knows enough.
                    let _ = stream.write_all(piece.as_bytes()).await;
                    tokio::task::yield_now().await;
                }
                if matches!(script[at.min(script.len() - 1)], Turn::Hold(_)) {
                    open.push(stream);
                }
            }
        });
        server
    }

    fn client(&self) -> Client {
        Client::builder(&self.url).token("lr_test").deadline(Duration::from_secs(5)).build().unwrap()
    }

    fn line(&self, at: usize) -> String {
        self.seen.lock().unwrap()[at].lines().next().unwrap().to_owned()
    }

    /// Where each request asked to go on.
    fn resumed(&self) -> Vec<Option<String>> {
        let name = "last-event-id: ";
        let seen = self.seen.lock().unwrap();
        let of = |head: &String| head.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        seen.iter().map(of).collect()
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn event(n: u32, kind: &str, status: &str) -> String {
    format!("id: 00c0ffee-{n}\nevent: {kind}\ndata: {{\"id\":\"{ID}\",\"status\":\"{status}\"}}\n\n")
}

fn stream(events: &[String]) -> Vec<String> {
    std::iter::once(STREAM.to_owned()).chain(events.iter().cloned()).collect()
}

fn refusal(status: &str, code: &str) -> Vec<String> {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"why"}}}}"#);
    vec![format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())]
}

async fn kinds(watch: &mut Watch) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    while let Some(event) = watch.next().await.unwrap() {
        kinds.push(event.event);
    }
    kinds
}

#[tokio::test]
async fn a_watch_of_one_ends_with_the_operation() {
    let server = Server::start(vec![Turn::Hold(stream(&[
        event(1, "snapshot", "NotStarted"),
        ":\n\n".to_owned(),
        event(2, "started", "Running"),
        event(3, "completed", "Completed"),
    ]))])
    .await;
    let mut watch = server.client().watch(ID);
    assert_eq!(watch.cursor(), None);
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!((first.cursor.as_str(), first.event), ("00c0ffee-1", EventKind::Snapshot));
    assert_eq!(kinds(&mut watch).await, [EventKind::Started, EventKind::Completed]);
    assert!(watch.next().await.unwrap().is_none(), "and stays so");
    assert_eq!(watch.cursor(), Some("00c0ffee-3"));
    assert_eq!(server.line(0), format!("GET /v1.0/operations/{ID}/events HTTP/1.1"));
    let head = server.seen.lock().unwrap()[0].clone();
    assert!(head.contains("accept: text/event-stream\r\n") && !head.contains("json"), "{head}");
    assert!(head.contains("authorization: Bearer lr_test\r\n"), "{head}");
}

#[tokio::test]
async fn a_broken_connection_is_taken_up_after_the_last_event() {
    let half = event(3, "progress", "Running");
    let server = Server::start(vec![
        Turn::Write(stream(&[event(1, "snapshot", "Running"), event(2, "progress", "Running")])),
        Turn::Write(Vec::new()),
        Turn::Write(refusal("503 Unavailable", "shuttingDown")),
        Turn::Write(stream(&[half[..half.len() - 9].to_owned()])),
        Turn::Write(stream(&[event(3, "progress", "Running"), event(4, "failed", "Failed")])),
    ])
    .await;
    let events: Vec<Event> =
        server.client().watch(ID).into_stream().map(|event| event.unwrap()).collect().await;
    let cursors: Vec<&str> = events.iter().map(|event| event.cursor.as_str()).collect();
    assert_eq!(cursors, ["00c0ffee-1", "00c0ffee-2", "00c0ffee-3", "00c0ffee-4"], "each once, none missed");
    let after = Some("00c0ffee-2".to_owned());
    assert_eq!(server.resumed(), [None, after.clone(), after.clone(), after.clone(), after]);
}

#[tokio::test]
async fn an_event_may_come_in_any_pieces_and_line_ends() {
    let text = event(1, "snapshot", "Running").replace('\n', "\r\n") + &event(2, "completed", "Completed");
    let mut pieces = vec![STREAM.to_owned(), "\u{feff}retry: 7\r\n\r\n".to_owned()];
    pieces.extend(text.chars().map(String::from));
    let server = Server::start(vec![Turn::Hold(pieces)]).await;
    assert_eq!(kinds(&mut server.client().watch(ID)).await, [EventKind::Snapshot, EventKind::Completed]);
}

#[tokio::test]
async fn a_watch_of_many_goes_on_where_the_server_last_said_it_stands() {
    let server = Server::start(vec![
        // No event yet, but a place to come back to.
        Turn::Write(stream(&["id: 00c0ffee-8\n\n".to_owned()])),
        Turn::Hold(stream(&[event(9, "failed", "Failed"), event(10, "created", "NotStarted")])),
    ])
    .await;
    let filter = WatchFilter { queues: vec!["media".to_owned()], ..WatchFilter::default() };
    let mut watch = server.client().watch_all(&filter);
    for kind in [EventKind::Failed, EventKind::Created] {
        assert_eq!(watch.next().await.unwrap().unwrap().event, kind, "it does not end with an operation");
    }
    assert_eq!(server.line(0), "GET /v1.0/events?queue=media HTTP/1.1");
    assert_eq!(server.resumed(), [None, Some("00c0ffee-8".to_owned())]);
}

#[tokio::test]
async fn a_gap_is_told_and_an_earlier_watch_can_be_continued() {
    let reset = "id: 00c0ffee-90\nevent: reset\ndata: {}\n\n".to_owned();
    let strange = "id: 00c0ffee-92\nevent: dreamt\ndata: of sheep\n\n".to_owned();
    let server = Server::start(vec![Turn::Hold(stream(&[
        reset,
        event(91, "snapshot", "Running"),
        strange,
        event(93, "failed", "Failed"),
    ]))])
    .await;
    let mut watch = server.client().watch(ID).after("00c0ffee-5");
    let gap = watch.next().await.unwrap().unwrap();
    assert_eq!((gap.event, gap.operation.is_none()), (EventKind::Reset, true));
    assert_eq!(kinds(&mut watch).await, [EventKind::Snapshot, EventKind::Unknown, EventKind::Failed]);
    assert_eq!(server.resumed(), [Some("00c0ffee-5".to_owned())]);
}

#[tokio::test]
async fn a_watch_of_what_has_ended_and_was_told_is_over_at_once() {
    let server = Server::start(vec![Turn::Write(vec!["HTTP/1.1 204 No Content\r\n\r\n".to_owned()])]).await;
    let mut watch = server.client().watch(ID).after("00c0ffee-5");
    assert!(watch.next().await.unwrap().is_none());
    assert!(watch.next().await.unwrap().is_none());
    assert_eq!(server.resumed().len(), 1, "it does not ask again");
}

#[tokio::test]
async fn a_refusal_for_good_is_told_at_once() {
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi".to_owned();
    let server =
        Server::start(vec![Turn::Write(refusal("404 Not Found", "itemNotFound")), Turn::Write(vec![html])])
            .await;
    let mut watch = server.client().watch(ID);
    let error = watch.next().await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused { status: 404, code, .. } if code == "itemNotFound"));
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, ClientError::InvalidAnswer { .. }), "{error:?}");
    assert_eq!(server.resumed().len(), 2);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_told_and_those_behind_it_still_come() {
    let bad = "id: 00c0ffee-1\nevent: started\ndata: {\"status\":\"running\"}\n\n".to_owned();
    let server = Server::start(vec![Turn::Hold(stream(&[bad, event(2, "completed", "Completed")]))]).await;
    let mut watch = server.client().watch(ID);
    assert!(matches!(watch.next().await, Err(ClientError::InvalidAnswer { .. })));
    assert_eq!(kinds(&mut watch).await, [EventKind::Completed]);
}

#[tokio::test(start_paused = true)]
async fn silence_is_taken_for_a_broken_connection() {
    let server = Server::start(vec![
        Turn::Hold(stream(&[event(1, "snapshot", "Running")])),
        Turn::Hold(stream(&[event(2, "completed", "Completed")])),
    ])
    .await;
    let client = Client::builder(&server.url).build().unwrap();
    assert_eq!(kinds(&mut client.watch(ID)).await, [EventKind::Snapshot, EventKind::Completed]);
    assert_eq!(server.resumed(), [None, Some("00c0ffee-1".to_owned())]);
}

#[tokio::test]
async fn a_server_that_stays_away_is_told_after_the_deadline_and_the_watch_can_go_on() {
    let server = Server::start(vec![
        Turn::Write(stream(&[event(1, "snapshot", "Running")])),
        Turn::Write(Vec::new()),
        Turn::Write(Vec::new()),
        Turn::Write(Vec::new()),
        Turn::Write(Vec::new()),
        Turn::Write(Vec::new()),
        Turn::Write(stream(&[event(2, "completed", "Completed")])),
    ])
    .await;
    let client = Client::builder(&server.url).deadline(Duration::from_millis(200)).build().unwrap();
    let mut watch = client.watch(ID);
    let (mut told, mut errors) = (Vec::new(), 0);
    while told.len() < 2 {
        match watch.next().await {
            Ok(event) => told.push(event.unwrap().operation.unwrap().status),
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                errors += 1;
            }
        }
    }
    assert_eq!(told, [Status::Running, Status::Completed]);
    assert!(errors > 0);
    assert!(server.resumed()[1..].iter().all(|after| after.as_deref() == Some("00c0ffee-1")));
}

#[tokio::test]
async fn a_watch_that_was_dropped_while_it_waited_has_lost_nothing() {
    let mut pieces = stream(&[]);
    pieces.extend(event(1, "snapshot", "Running").chars().map(String::from));
    pieces.extend(event(2, "completed", "Completed").chars().map(String::from));
    let server = Server::start(vec![Turn::Hold(pieces)]).await;
    let mut watch = server.client().watch(ID);
    let mut told = Vec::new();
    loop {
        tokio::select! {
            biased;
            event = watch.next() => match event.unwrap() {
                Some(event) => told.push(event.event),
                None => break,
            },
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(told, [EventKind::Snapshot, EventKind::Completed]);
    assert_eq!(server.resumed().len(), 1, "nor begun anew");
}
