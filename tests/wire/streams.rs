//! HTTP/2 as a stranger may speak it: frames by hand, as no client would send them.

use std::time::Duration;

use longrun::limits;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::quiet;
use crate::support::{Client, Server};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const PUSH_PROMISE: u8 = 5;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM_AND_HEADERS: u8 = 0x5;
/// Of a ping that answers one.
const ANSWER: u8 = 0x1;
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_HEADER_LIST_SIZE: u16 = 6;
/// What a connection may have under way before anything is said of it (RFC 9113, 6.9.2).
const WINDOW: u32 = (1 << 16) - 1;

/// A frame (RFC 9113, 4.1).
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }

    /// The code at an offset of the payload.
    fn code(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A request for the tenant's events, which are never all told; without a path none that can be answered.
fn request(stream: u32, with_path: bool) -> Vec<u8> {
    let text = |name: u8, text: &str| [&[name, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    // `:method: GET` and `:scheme: http` of HPACK's own table, then texts of its names.
    let mut payload = vec![0x82, 0x86];
    payload.extend(text(0x01, "127.0.0.1"));
    if with_path {
        payload.extend(text(0x04, "/v1.0/events"));
    }
    Frame { kind: HEADERS, flags: END_STREAM_AND_HEADERS, stream, payload }.bytes()
}

fn reset(stream: u32) -> Vec<u8> {
    Frame { kind: RST_STREAM, flags: 0, stream, payload: 8_u32.to_be_bytes().to_vec() }.bytes()
}

struct Line {
    stream: TcpStream,
    next: u32,
}

impl Line {
    async fn open(server: &Server) -> Self {
        let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
        let settings = Frame { kind: SETTINGS, flags: 0, stream: 0, payload: Vec::new() };
        let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings.bytes()].concat();
        stream.write_all(&preface).await.unwrap();
        Self { stream, next: 1 }
    }

    /// Numbers of the next streams.
    fn numbers(&mut self, count: usize) -> Vec<u32> {
        let first = self.next;
        self.next += 2 * u32::try_from(count).unwrap();
        (first..self.next).step_by(2).collect()
    }

    /// Sends frames and a ping behind them; what came before its answer, or before the end of the connection.
    async fn sent(&mut self, mut bytes: Vec<u8>) -> Vec<Frame> {
        bytes.extend(Frame { kind: PING, flags: 0, stream: 0, payload: vec![7; 8] }.bytes());
        // It may be closed meanwhile.
        let _ = self.stream.write_all(&bytes).await;
        let mut frames = Vec::new();
        loop {
            let Some(frame) =
                tokio::time::timeout(Duration::from_secs(30), self.read()).await.expect("an answer")
            else {
                return frames;
            };
            if (frame.kind, frame.flags) == (PING, ANSWER) {
                return frames;
            }
            frames.push(frame);
        }
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }
}

/// Why the server ended the connection, if it did.
fn ended(frames: &[Frame]) -> Option<u32> {
    frames.iter().find(|frame| frame.kind == GOAWAY).map(|frame| frame.code(4))
}

/// The streams that were reset, with why.
fn resets(frames: &[Frame]) -> Vec<(u32, u32)> {
    let resets = frames.iter().filter(|frame| frame.kind == RST_STREAM);
    resets.map(|frame| (frame.stream, frame.code(0))).collect()
}

/// A setting of the server.
fn setting(frames: &[Frame], name: u16) -> u32 {
    let settings = frames.iter().find(|frame| frame.kind == SETTINGS && frame.flags == 0);
    let mut pairs = settings.expect("it says its settings").payload.chunks(6);
    let said = pairs.find(|pair| pair[..2] == name.to_be_bytes()).expect("it says that one");
    u32::from_be_bytes(said[2..].try_into().unwrap())
}

#[tokio::test]
async fn a_client_is_told_how_much_it_may_send_ahead() {
    let server = quiet();
    let mut line = Line::open(&server).await;
    let of_all = |frame: &&Frame| (frame.kind, frame.stream) == (WINDOW_UPDATE, 0);
    let mut frames = line.sent(Vec::new()).await;
    while !frames.iter().any(|frame| of_all(&frame)) {
        frames.extend(line.sent(Vec::new()).await);
    }
    assert_eq!(setting(&frames, INITIAL_WINDOW_SIZE), limits::HTTP2_STREAM_WINDOW_BYTES);
    assert_eq!(setting(&frames, MAX_HEADER_LIST_SIZE) as usize, limits::HEAD_BYTES_READ_MAX);
    assert_eq!(frames.iter().find(of_all).unwrap().code(0), limits::HTTP2_CONNECTION_WINDOW_BYTES - WINDOW);
}

#[tokio::test]
async fn as_many_streams_are_open_as_may_and_one_more_is_refused() {
    let server = quiet();
    let mut line = Line::open(&server).await;
    let most = limits::HTTP2_STREAMS_MAX as usize;
    let numbers = line.numbers(most - 1);
    let frames = line.sent(numbers.iter().flat_map(|number| request(*number, true)).collect()).await;
    assert_eq!(setting(&frames, MAX_CONCURRENT_STREAMS), limits::HTTP2_STREAMS_MAX);
    assert_eq!((resets(&frames), ended(&frames)), (Vec::new(), None));
    for is_taken in [true, false] {
        let number = line.numbers(1)[0];
        let frames = line.sent(request(number, true)).await;
        let refused = if is_taken { Vec::new() } else { vec![(number, REFUSED_STREAM)] };
        assert_eq!((resets(&frames), ended(&frames)), (refused, None));
    }
    // One that ends makes room for another.
    let (gone, next) = (numbers[0], line.numbers(1)[0]);
    let frames = line.sent([reset(gone), request(next, true)].concat()).await;
    assert_eq!((resets(&frames), ended(&frames)), (Vec::new(), None));
    server.client().submit(&json!({})).await;
}

#[tokio::test]
async fn who_begins_streams_only_to_reset_them_is_cut() {
    let server = quiet();
    let most = limits::HTTP2_PENDING_RESETS_MAX;
    for (count, end) in [(most - 1, None), (most, None), (most + 1, Some(ENHANCE_YOUR_CALM))] {
        let mut line = Line::open(&server).await;
        // Once it is known, so that what follows is read at once.
        line.sent(Vec::new()).await;
        let numbers = line.numbers(count);
        let rapid = numbers.iter().flat_map(|number| [request(*number, true), reset(*number)].concat());
        let frames = line.sent(rapid.collect()).await;
        assert_eq!(ended(&frames), end, "{count}");
        if end.is_some() {
            assert!(line.read().await.is_none(), "the connection is closed");
        }
    }
    server.client().submit(&json!({})).await;
}

#[tokio::test]
async fn who_makes_the_server_reset_too_many_streams_is_cut() {
    let server = quiet();
    let most = limits::HTTP2_ERROR_RESETS_MAX;
    for (count, end) in [(most - 1, None), (most, None), (most + 1, Some(ENHANCE_YOUR_CALM))] {
        let mut line = Line::open(&server).await;
        let mut reset = 0;
        let mut told = None;
        let requests = line.numbers(count).into_iter().map(|number| request(number, false));
        // A ping may be answered before what came before it is.
        for bytes in requests.chain([Vec::new()]) {
            let frames = line.sent(bytes).await;
            reset += resets(&frames).len();
            told = ended(&frames);
            if told.is_some() {
                break;
            }
        }
        assert_eq!((told, reset.min(most)), (end, count.min(most)));
    }
    server.client().submit(&json!({})).await;
}

/// The same request with a further header.
fn request_with(stream: u32, more: Vec<u8>) -> Vec<u8> {
    let mut bytes = request(stream, true);
    let length = u16::try_from(bytes.len() - 9 + more.len()).unwrap();
    bytes[1..3].copy_from_slice(&length.to_be_bytes());
    [bytes, more].concat()
}

/// A header by a name and a value of its own, as HPACK writes it plainly.
fn header(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0x00], text(name), text(value)].concat()
}

#[tokio::test]
async fn frames_that_break_the_rules_end_their_connection_and_no_other() {
    let server = quiet();
    let good = Client::over_http2(&server.url);
    let frame = |kind, stream, payload: Vec<u8>| Frame { kind, flags: 0, stream, payload }.bytes();
    let with = |more| request_with(1, more);
    let whole_headers =
        |payload| Frame { kind: HEADERS, flags: END_STREAM_AND_HEADERS, stream: 1, payload }.bytes();
    let endless = [frame(HEADERS, 1, vec![0x82])]
        .into_iter()
        .chain((0..2000).map(|_| frame(CONTINUATION, 1, header("x", &"y".repeat(100)))))
        .collect::<Vec<_>>();
    for (what, bytes) in [
        ("data of no stream", frame(DATA, 0, vec![0])),
        ("data of a stream that was never opened", frame(DATA, 1, vec![0])),
        ("a frame larger than was agreed", frame(DATA, 1, vec![0; (1 << 14) + 1])),
        ("a stream of the server's own numbers", request(2, true)),
        ("headers that cannot be unpacked", whole_headers(vec![0xff; 20])),
        ("settings of a stream", frame(SETTINGS, 1, Vec::new())),
        ("settings that are cut", frame(SETTINGS, 0, vec![0; 5])),
        ("a ping that is cut", frame(PING, 0, vec![0; 7])),
        ("a window that overflows", frame(WINDOW_UPDATE, 0, vec![0x7f, 0xff, 0xff, 0xff])),
        ("headers that go on without any", frame(CONTINUATION, 1, vec![0x82])),
        ("a push by a client", frame(PUSH_PROMISE, 1, vec![0, 0, 0, 2])),
        ("headers without an end", endless.concat()),
        ("a name in capitals", with(header("Accept", "*/*"))),
        ("a name with a blank", with(header("a b", "x"))),
        ("a value with a line end", with(header("a", "b\r\nc: d"))),
        ("a pseudo-header that nobody knows", with(header(":odd", "x"))),
    ] {
        let mut line = Line::open(&server).await;
        line.sent(Vec::new()).await;
        let frames = line.sent(bytes).await;
        assert!(ended(&frames).is_some_and(|code| code != 0), "{what}");
        assert!(line.read().await.is_none(), "the connection is closed: {what}");
        good.submit(&json!({})).await;
    }
}

#[tokio::test]
async fn a_request_that_breaks_the_rules_is_reset_and_its_neighbours_are_not() {
    let server = quiet();
    let mut line = Line::open(&server).await;
    let watch = line.numbers(1)[0];
    line.sent(request(watch, true)).await;
    for (what, more) in
        [("a header of the connection", header("connection", "close")), ("a method twice", vec![0x82])]
    {
        let number = line.numbers(1)[0];
        let mut told = line.sent(request_with(number, more)).await;
        // A ping may be answered before what came before it is.
        while resets(&told).is_empty() && ended(&told).is_none() {
            told.extend(line.sent(Vec::new()).await);
        }
        assert_eq!((resets(&told), ended(&told)), (vec![(number, PROTOCOL_ERROR)], None), "{what}");
    }
}
