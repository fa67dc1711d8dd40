//! What must never stand in a log, however much is logged.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;

use super::{OPERATIONS, claim, longrun, path, report, run};
use crate::support::Client;
use crate::support::server::LONGRUN;

/// A server that logs all it can; ended with the test.
struct Running(Child);

impl Running {
    fn start(data: &Path, log: &Path) -> (Self, String) {
        let mut child = Command::new(LONGRUN)
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", "0", "--log", "trace", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = said.find(|line| line.contains("http://")).expect("it says where it listens");
        (Self(child), line[line.find("http://").unwrap()..].to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All that a client and a worker say, and what is wrong of it too; the operation.
async fn everything_is_said(client: &Client, token: &str) -> String {
    let json = ("content-type", "application/json");
    let headers = [json, ("idempotency-key", "canary-key")];
    let body = json!({ "operationType": "t", "input": "canary-input", "labels": { "l": "canary-label" } });
    let made = client.send(Method::POST, OPERATIONS, &headers, body.to_string()).await;
    let id = made.value()["id"].as_str().unwrap().to_owned();
    let lease = claim(client, "t", "c").await;
    let error = json!({ "code": "canaryCode", "message": "canary-message" });
    let said =
        json!({ "id": id, "leaseToken": lease, "status": "Failed", "retryable": false, "error": error });
    report(client, said).await;
    client.with_token(&format!("{}0", &token[..token.len() - 1])).get(OPERATIONS).await;
    client.send(Method::POST, OPERATIONS, &[json], r#"{"canary-field": 1, "input""#).await;
    client.get(&format!("{OPERATIONS}?$filter=canary-filter")).await;
    id
}

/// Makes links and uses them, where they are refused too; what is secret of each.
async fn links_are_used(client: &Client, stranger: &Client, id: &str) -> Vec<String> {
    let link = client.post(&format!("{}/createLink", path(id)), &json!({})).await.value()["link"].take();
    let mut shown = Vec::new();
    for name in ["statusUrl", "eventsUrl"] {
        let url = link[name].as_str().unwrap();
        assert_eq!(stranger.get(url).await.status, StatusCode::OK);
        shown.push(url.split_once("/links/").unwrap().1.trim_end_matches("/events").to_owned());
        stranger.get(&format!("{url}0")).await;
        stranger.send(Method::DELETE, url, &[], "").await;
    }
    shown
}

/// Over HTTP/2 other code reads the headers.
async fn asked_over_http2(url: &str, path: &str, token: Option<&str>) {
    let stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.unwrap();
    let driven = tokio::spawn(connection);
    let mut request = Request::builder().uri(format!("{url}{path}")).header("x-canary", "canary-header");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = sender.send_request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.into_body().collect().await.unwrap();
    driven.abort();
}

#[tokio::test]
async fn neither_tokens_nor_links_nor_what_users_send_are_logged_however_much_is() {
    let scratch = tempfile::tempdir().unwrap();
    let (data, log) = (scratch.path().join("data"), scratch.path().join("log"));
    let scopes = "Operation.ReadWrite,Operation.Execute";
    let mut command = longrun(&["token", "create", "--name", "n", "--scope", scopes, "--data"]);
    command.arg(&data);
    let token = run(command).value()["token"].as_str().unwrap().to_owned();
    let (running, url) = Running::start(&data, &log);
    let stranger = Client::new(&url);
    let client = stranger.with_token(&token);
    let id = everything_is_said(&client, &token).await;
    let links = links_are_used(&client, &stranger, &id).await;
    asked_over_http2(&url, &path(&id), Some(&token)).await;
    asked_over_http2(&url, &format!("/v1.0/links/{}", links[0]), None).await;
    drop(running);

    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.lines().count() > 100, "much was logged: {} lines", logged.lines().count());
    let (secret, signature) = (token.rsplit_once('_').unwrap().1, &links[0][links[0].len() - 43..]);
    for secret in [&*token, secret, &links[0], &links[1], signature, "canary"] {
        let line = logged.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} stands in {}", line.unwrap_or_default());
    }
}
