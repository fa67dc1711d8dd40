//! The limits of a request's head, over both protocols: one less is taken, the limit is, and one more is refused.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use longrun::limits;
use tokio::net::TcpStream;

use super::bad_input::shape;
use super::quiet;
use crate::support::{Answer, Server};

/// What is answered to a request of exactly this head.
async fn asked(server: &Server, version: Version, path: &str, headers: &[(String, String)]) -> Answer {
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let base = if version == Version::HTTP_2 { &*server.url } else { "" };
    let mut request = Request::get(format!("{base}{path}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let answer = if version == Version::HTTP_2 {
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let (head, body) = answer.unwrap().into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

/// So many headers whose names and values have so many bytes.
fn headers(count: usize, bytes: usize) -> Vec<(String, String)> {
    let mut headers = vec![("host".to_owned(), "localhost".to_owned())];
    headers.extend((headers.len()..count).map(|nth| (format!("x{nth:02}"), "v".to_owned())));
    let so_far: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    headers.last_mut().unwrap().1 += &"v".repeat(bytes.saturating_sub(so_far));
    headers
}

#[tokio::test]
async fn of_a_path_of_headers_and_of_their_bytes_so_many_are_read_and_no_more() {
    let server = quiet();
    let path = |bytes: usize| format!("/healthz?{}", "q".repeat(bytes - "/healthz?".len()));
    let few = headers(2, 0);
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (more, is_read) in [(-1, true), (0, true), (1, false)] {
            let sized = |most: usize| most.checked_add_signed(more).unwrap();
            for (answer, status, code) in [
                (asked(&server, version, &path(sized(limits::URI_BYTES_MAX)), &few).await, 414, "uriTooLong"),
                (
                    asked(&server, version, "/healthz", &headers(sized(limits::HEADERS_MAX), 0)).await,
                    431,
                    "headersTooLarge",
                ),
                (
                    asked(&server, version, "/healthz", &headers(3, sized(limits::HEADER_BYTES_MAX))).await,
                    431,
                    "headersTooLarge",
                ),
            ] {
                let about = format!("{version:?} {code} {more}: {}", answer.text());
                if is_read {
                    assert_eq!(answer.status.as_u16(), 200, "{about}");
                } else {
                    assert_eq!((answer.status.as_u16(), &*shape(&answer)), (status, code), "{about}");
                }
            }
        }
    }
}
