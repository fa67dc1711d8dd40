//! The times of connections, at the server's own limits: a client just within one is served, one just beyond is cut. Clients
//! come over memory, so that the clock can stand still but for what is waited for.

use std::future::{Ready, ready};

use tokio::io::DuplexStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::*;
use crate::http::arrival::Peer;

const MILLI: Duration = Duration::from_millis(1);
/// Bytes that are under way between the two.
const BUFFER: usize = 16 << 10;
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn just_within(limit: Duration) -> Duration {
    limit.saturating_sub(MILLI)
}

/// Where clients come from.
struct Dock(Mutex<mpsc::UnboundedReceiver<DuplexStream>>);

impl Listener for Dock {
    type Stream = DuplexStream;
    type Opening = Ready<io::Result<DuplexStream>>;

    async fn accept(&self) -> io::Result<(Self::Opening, Peer)> {
        match self.0.lock().await.recv().await {
            Some(stream) => Ok((ready(Ok(stream)), Peer::Local)),
            None => std::future::pending().await,
        }
    }
}

/// A server with the limits that it has.
struct Harbour {
    dock: mpsc::UnboundedSender<DuplexStream>,
    told: mpsc::UnboundedReceiver<&'static str>,
    metrics: Arc<Metrics>,
}

impl Harbour {
    fn open() -> Self {
        let (dock, clients) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::unbounded_channel();
        let metrics = Arc::new(Metrics::default());
        let outer = Outer::new(router(&Arc::default(), &tell), metrics.clone());
        let terms = Terms { patience: Patience::default(), ..LONG };
        tokio::spawn(serve_on(Dock(Mutex::new(clients)), outer, CancellationToken::new(), terms));
        Self { dock, told, metrics }
    }

    fn connect(&self) -> Line<DuplexStream> {
        let (client, server) = tokio::io::duplex(BUFFER);
        self.dock.send(server).unwrap();
        Line(client)
    }

    async fn http2(&self) -> (SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
        let stream = TokioIo::new(self.connect().0);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        (sender, tokio::spawn(connection))
    }

    fn has_cut(&self, reason: &str) -> u64 {
        let told = self.metrics.write(&metrics::registry(), metrics::Format::Prometheus).unwrap();
        let name = format!("longrun_http_connections_cut_total{{reason=\"{reason}\"}} ");
        told.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://a{path}")).body(Empty::new()).unwrap()
}

/// Whether something comes before the end.
async fn hears(line: &mut Line<DuplexStream>) -> bool {
    let mut bytes = [0; 1024];
    line.0.read(&mut bytes).await.is_ok_and(|read| read > 0)
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_from_its_first_byte_on() {
    let harbour = Harbour::open();
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    for (whole, is_first) in [(REQUEST, true), (REQUEST, false), (preface, true)] {
        for (takes, is_served) in [(just_within(limits::HEAD_READ), true), (limits::HEAD_READ + MILLI, false)]
        {
            let mut line = harbour.connect();
            if !is_first {
                assert!(line.get("/").await.ends_with("ok"));
                sleep(limits::HEAD_READ).await;
            }
            let cut = harbour.has_cut("slowHead");
            line.send(&whole[..9]).await;
            sleep(takes).await;
            let _ = line.0.write_all(&whole.as_bytes()[9..]).await;
            assert_eq!(hears(&mut line).await, is_served, "{whole:?} in {takes:?}");
            assert_eq!(harbour.has_cut("slowHead") - cut, u64::from(!is_served));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_of_a_head_buy_it_no_time() {
    let harbour = Harbour::open();
    let mut line = harbour.connect();
    line.send("GET / HTTP/1.1\r\nslow: ").await;
    let began = Instant::now();
    while line.0.write_all(b"x").await.is_ok() {
        assert!(began.elapsed() < 2 * limits::HEAD_READ, "it is not cut");
        sleep(limits::HEAD_READ / 20).await;
    }
    assert_eq!(began.elapsed().as_secs(), limits::HEAD_READ.as_secs());
    assert_eq!(harbour.has_cut("slowHead"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_be_idle_for_so_long_and_is_closed_then() {
    let harbour = Harbour::open();
    for (is_idle, is_served) in
        [(just_within(limits::CONNECTION_IDLE), true), (limits::CONNECTION_IDLE + MILLI, false)]
    {
        for is_fresh in [true, false] {
            let mut line = harbour.connect();
            let (mut sender, driving) = harbour.http2().await;
            if !is_fresh {
                assert!(line.get("/").await.ends_with("ok"));
                assert_eq!(sender.send_request(get("/")).await.unwrap().status(), StatusCode::OK);
            }
            // Whoever says nothing at all has as long.
            sleep(is_idle).await;
            let _ = line.0.write_all(REQUEST.as_bytes()).await;
            assert_eq!(hears(&mut line).await, is_served, "{is_idle:?}");
            assert_eq!(sender.send_request(get("/")).await.is_ok(), is_served, "{is_idle:?}");
            assert_eq!(driving.is_finished(), !is_served);
        }
    }
    assert_eq!(
        (harbour.has_cut("slowHead"), harbour.has_cut("unread")),
        (0, 0),
        "they are closed in good order"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_left_unread_for_so_long_and_is_cut_then() {
    let mut harbour = Harbour::open();
    let mut line = harbour.connect();
    line.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    for _ in 0..3 {
        // Whatever is read begins the time anew.
        sleep(just_within(limits::WRITE_STALL)).await;
        for _ in 0..100 {
            assert!(hears(&mut line).await);
        }
    }
    harbour.told.try_recv().unwrap_err();
    sleep(limits::WRITE_STALL + MILLI).await;
    assert_eq!(harbour.told.try_recv(), Ok("gone"));
    assert_eq!(harbour.has_cut("unread"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_left_unread_for_so_long_and_is_reset_then() {
    let mut harbour = Harbour::open();
    let (mut sender, driving) = harbour.http2().await;
    let mut deaf = sender.send_request(get("/endless")).await.unwrap().into_body();
    for _ in 0..3 {
        sleep(just_within(limits::WRITE_STALL)).await;
        let mut read = 0;
        while read < 8 << 20 {
            read += deaf.frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
    }
    harbour.told.try_recv().unwrap_err();
    sleep(limits::WRITE_STALL + MILLI).await;
    assert_eq!(harbour.told.try_recv(), Ok("gone"));
    assert_eq!(harbour.has_cut("unread"), 1);
    assert_eq!(sender.send_request(get("/")).await.unwrap().status(), StatusCode::OK, "its neighbours stay");
    assert!(!driving.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http_2_that_answers_no_ping_is_gone() {
    let harbour = Harbour::open();
    let mut line = harbour.connect();
    line.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0").await;
    let began = Instant::now();
    while hears(&mut line).await {}
    let (lasted, most) = (began.elapsed(), 2 * limits::HTTP2_PING);
    assert!(most <= lasted && lasted < most + Duration::from_secs(1), "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_client_still_sends_is_read_up_to_its_limit() {
    let harbour = Harbour::open();
    for (sends, is_read) in
        [(limits::BODY_DROPPED_BYTES_MAX, true), (limits::BODY_DROPPED_BYTES_MAX + (1 << 20), false)]
    {
        let mut line = harbour.connect();
        line.send(&format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {sends}\r\n\r\n")).await;
        assert!(line.answer().await.starts_with("HTTP/1.1 405"));
        let sent = line.0.write_all(&vec![b'x'; sends]).await;
        assert_eq!(sent.is_ok(), is_read, "{sends}");
    }
}
