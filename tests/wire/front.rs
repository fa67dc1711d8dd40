//! The server at the front of a network: TLS of its own, and what proxies say of whom they have a request from.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{OPERATIONS, longrun, run};
use crate::support::tls::{Authority, Certificate};
use crate::support::{Programs, Server, Worker, until};

/// A server with this certificate, without workers of its own.
fn secure(certificate: &Certificate) -> Server {
    let file = |path: &Path| path.to_str().expect("a temporary name is a text").to_owned();
    let (chain, key) = (file(&certificate.chain), file(&certificate.key));
    Server::start(&["--workers", "0", "--tls-cert", &chain, "--tls-key", &key])
}

fn address(server: &Server) -> SocketAddr {
    server.url.trim_start_matches("https://").parse().expect("it has an address")
}

/// A connection by who trusts this authority and offers these protocols.
async fn connected(
    server: &Server,
    authority: &Authority,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address(server)).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// One exchange over HTTP/1.1, whose answer ends with its connection.
async fn said(stream: &mut TlsStream<TcpStream>, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// What a connection shows as the server's own certificate.
fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().expect("it has shown one")[0].to_vec()
}

fn stands_in(file: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(file).unwrap().to_vec()
}

#[tokio::test]
async fn the_server_speaks_tls_and_the_better_protocol_that_its_client_knows() {
    let authority = Authority::new();
    let server = secure(&authority.certify("127.0.0.1"));
    assert!(server.url.starts_with("https://"), "{}", server.url);
    for (offered, spoken) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let stream = connected(&server, &authority, offered).await.unwrap();
        let protocol = stream.get_ref().1.alpn_protocol();
        assert_eq!(protocol, spoken.map(str::as_bytes), "of {offered:?}");
    }
    assert!(connected(&server, &authority, &["smtp"]).await.is_err());
    let mut stream = connected(&server, &authority, &["http/1.1"]).await.unwrap();
    let request = "POST /v1.0/operations HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n\
                   Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let answer = said(&mut stream, request).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 201 "), "{answer}");
    assert!(answer.contains("location: https://localhost:1/v1.0/operations/"), "{answer}");
}

#[tokio::test]
async fn the_binary_trusts_the_authority_that_it_is_given() {
    let programs = Programs::new(&[("echo", "cat")]);
    let (authority, other) = (Authority::new(), Authority::new());
    let server = secure(&authority.certify("127.0.0.1"));
    let ask = |trusted: &Authority, arguments: &[&str]| {
        let mut command = longrun(arguments);
        command.env("LONGRUN_SERVER", &server.url).env("LONGRUN_CA", trusted.file());
        command
    };
    let mut work = ask(&authority, &["work", "--type", "echo", "--"]);
    work.arg(programs.path("echo"));
    let _worker = Worker::of(work);
    let submit = ask(&authority, &["submit", "echo", "--input", r#"{"n":1}"#, "--wait"]);
    let told = tokio::task::spawn_blocking(|| run(submit)).await.unwrap();
    assert_eq!((told.code, told.err.as_str()), (Some(0), ""), "{told:?}");
    assert_eq!(serde_json::from_str::<Value>(&told.out).unwrap()["result"], json!({ "n": 1 }));
    let refused = ask(&other, &["health"]);
    let told = tokio::task::spawn_blocking(|| run(refused)).await.unwrap();
    assert!(told.code == Some(3) && told.err.contains("is not trusted"), "{told:?}");
    let missing = longrun(&["health", "--ca", "/nowhere.pem"]);
    let told = tokio::task::spawn_blocking(|| run(missing)).await.unwrap();
    assert!(told.code == Some(2) && told.err.contains("/nowhere.pem"), "{told:?}");
}

#[tokio::test]
async fn another_certificate_is_shown_once_it_is_there_and_a_broken_one_never() {
    let authority = Authority::new();
    let (files, next) = (authority.certify("127.0.0.1"), authority.certify("127.0.0.1"));
    let server = secure(&files);
    let mut before = connected(&server, &authority, &["http/1.1"]).await.unwrap();
    let first = stands_in(&files.chain);
    assert_eq!(shown(&before), first);
    // One after the other, as whoever renews them does: in between they do not go together.
    std::fs::copy(&next.chain, &files.chain).unwrap();
    std::fs::copy(&next.key, &files.key).unwrap();
    let second = stands_in(&files.chain);
    until("the other certificate", async || {
        let stream = connected(&server, &authority, &[]).await.expect("one of the two is always good");
        (shown(&stream) == second).then_some(())
    })
    .await;
    std::fs::write(&files.chain, "no certificate").unwrap();
    std::fs::remove_file(&files.key).unwrap();
    let looked = Instant::now();
    while looked.elapsed() < longrun::limits::CERTIFICATE_LOOKED_EVERY * 2 {
        let stream = connected(&server, &authority, &[]).await.expect("the last good one stays");
        assert_eq!(shown(&stream), second);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer =
        said(&mut before, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "who was connected stays so: {answer}");
}

#[tokio::test]
async fn who_is_no_client_of_tls_costs_the_others_nothing_and_is_cut() {
    let authority = Authority::new();
    let server = secure(&authority.certify("127.0.0.1"));
    let silent = TcpStream::connect(address(&server)).await.unwrap();
    let mut plain = TcpStream::connect(address(&server)).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert of TLS, or nothing: no answer.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    connected(&server, &authority, &["h2"]).await.expect("others are served meanwhile");
    let began = Instant::now();
    let mut silent = silent;
    let read = tokio::time::timeout(longrun::limits::HEAD_READ * 10, silent.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "it is cut");
    assert!(began.elapsed() > longrun::limits::HEAD_READ / 2, "and not at once: {:?}", began.elapsed());
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_start_with_a_word_why() {
    let authority = Authority::new();
    let (one, other) = (authority.certify("127.0.0.1"), authority.certify("127.0.0.1"));
    let scratch = tempfile::tempdir().unwrap();
    let empty = scratch.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (chain, key, word) in [
        (&one.chain, &other.key, "cannot be used with the key"),
        (&one.key, &one.key, "holds no certificate"),
        (&empty, &one.key, "holds no certificate"),
        (&one.chain, &one.chain, "holds no private key"),
        (&one.chain, &scratch.path().join("none"), "cannot be read"),
    ] {
        let mut command = longrun(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(scratch.path().join("data")).arg("--tls-cert").arg(chain).arg("--tls-key").arg(key);
        let ended = run(command);
        assert!(ended.code == Some(1) && ended.err.contains(word), "{word}: {ended:?}");
        assert!(!ended.err.contains("PRIVATE KEY"), "{ended:?}");
    }
}

#[tokio::test]
async fn of_proxies_only_those_that_are_named_say_who_asks_and_by_which_name() {
    for (trusted, base, from) in [
        ("127.0.0.0/8,10.0.0.0/8", "https://front.example", "192.0.2.7"),
        ("10.0.0.0/8", "http://127.0.0.1:", "127.0.0.1"),
    ] {
        let server = Server::start(&["--workers", "0", "--trusted-proxy", trusted]);
        let client = server.client();
        for headers in [
            &[(
                "forwarded",
                "for=192.0.2.66;host=evil.example, for=192.0.2.7;proto=https;host=front.example, for=10.1.1.1",
            )][..],
            &[
                ("x-forwarded-for", "192.0.2.66, 192.0.2.7"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "front.example"),
            ],
        ] {
            let json = [&[("content-type", "application/json")], headers].concat();
            let made = client.send(Method::POST, OPERATIONS, &json, "{}").await;
            assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
            assert!(made.header("location").unwrap().starts_with(base), "{:?}", made.header("location"));
            let path = format!("{OPERATIONS}/{}/createLink", made.value()["id"].as_str().unwrap());
            let link = client.send(Method::POST, &path, &json, "{}").await.value();
            assert!(link["link"]["statusUrl"].as_str().unwrap().starts_with(base), "{link}");
            client.post(OPERATIONS, &json!({})).await;
            let page = client.send(Method::GET, &format!("{OPERATIONS}?$top=1"), headers, "").await.value();
            assert!(page["@odata.nextLink"].as_str().unwrap().starts_with(base), "{page}");
            let claim = r#"{"workerId":"w","claim":{"id":"c","queues":["none"]}}"#;
            assert_eq!(client.send(Method::POST, "/v1.0/work", &json, claim).await.status, StatusCode::OK);
            let workers = client.get("/v1.0/workers").await.value();
            assert_eq!(workers["value"][0]["address"], from, "{workers}");
        }
    }
}
