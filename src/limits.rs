//! Every bound of the server: its name, its unit and its reason. Nothing else in the house states a limit.

use std::time::Duration;

// ## What clients name

/// Bytes of a name (queue, operation type, label): enough for a reverse domain name, small enough for an index.
pub const NAME_BYTES_MAX: usize = 128;
/// Labels of one operation: they are kept in its row.
pub const LABELS_MAX: usize = 16;
/// Characters of a label's value.
pub const LABEL_CHARS_MAX: usize = 256;
/// Bytes of an `Idempotency-Key`: it stands in a unique index.
pub const KEY_BYTES_MAX: usize = 255;
/// Bytes of a `client-request-id` that is echoed: a UUID and room; it stands in logs.
pub const CLIENT_REQUEST_ID_BYTES_MAX: usize = 128;

// ## Sizes

/// Bytes of a request's body: an operation with the largest input and labels, and room.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of a refused body that are read and dropped, so that its sender hears why: a little more than any limit.
pub const BODY_DROPPED_BYTES_MAX: usize = 16 << 20;
/// Bytes of a body of `/v1.0/work`: some thirty of the largest results at once.
pub const WORK_BODY_BYTES_MAX: usize = 8 << 20;
/// Bytes of an `input` or a `result`: larger things belong into a blob store, with a URL here.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 10;
/// Bytes of a `checkpoint`: it is rewritten at each report.
pub const CHECKPOINT_BYTES_MAX: usize = 64 << 10;
/// Bytes of an operation's `error` as JSON: a message and a tail of a log.
pub const ERROR_BYTES_MAX: usize = 16 << 10;
/// Characters of `statusDetail`: one line for a person.
pub const DETAIL_CHARS_MAX: usize = 1024;
/// Bytes of `resourceLocation`: what browsers and proxies accept as a URL.
pub const URL_BYTES_MAX: usize = 2048;
/// Depth of JSON: beyond it no person wrote it.
pub const JSON_DEPTH_MAX: usize = 64;
/// Depth of JSON that is read at all, where a part that is too deep is refused for itself and its neighbours are not.
pub const JSON_DEPTH_READ_MAX: usize = 1024;
/// Bytes of a payload that stay in the operation's own row; larger ones stand apart, written once.
pub const INLINE_BYTES_MAX: usize = 1 << 10;

// ## Operations

/// Priorities run from minus this to this.
pub const PRIORITY_MAX: i8 = 100;
/// Attempts of one operation.
pub const ATTEMPTS_MAX: u16 = 1000;
/// Attempts where the client says nothing.
pub const ATTEMPTS_DEFAULT: u16 = 3;
/// Attempts of one operation that are kept for its history, the latest ones: each may hold a whole error, and a person may
/// have it tried again without end.
pub const ATTEMPTS_KEPT_MAX: i64 = 100;
/// Releases that give their attempt back; later ones stay counted, so that no worker can hand an operation on for ever.
pub const FREE_RELEASES: u16 = 10;
/// Seconds of any duration a client may ask for: a year.
pub const DURATION_SECONDS_MAX: u32 = 366 * 24 * 3600;
/// How far ahead of the store's clock a client's own times may lie.
pub const CLIENT_AHEAD_MAX: Duration = Duration::from_mins(5);

// ## Workers, queues and waiting

/// Seconds of a lease.
pub const LEASE_SECONDS_MAX: u32 = 3600;
/// Seconds of a lease where the worker says nothing.
pub const LEASE_SECONDS_DEFAULT: u32 = 30;
/// Seconds that a claim may wait.
pub const CLAIM_WAIT_SECONDS_MAX: u32 = 30;
/// Operations of one claim.
pub const CLAIM_LIMIT_MAX: u32 = 1000;
/// Queues that one claim may name.
pub const CLAIM_QUEUES_MAX: usize = 16;
/// Pairs of queue and operation type that one tenant may ever use: the server keeps each in memory.
pub const LANES_MAX: usize = 10_000;
/// Queues of one tenant that may be paused or limited at a time: the server keeps each in memory.
pub const QUEUES_CONTROLLED_MAX: usize = 1000;
/// The largest `maxRunning` and `maxWaiting`: beyond it a queue may as well have no limit.
pub const QUEUE_LIMIT_MAX: u32 = 1_000_000_000;
/// Seconds after which a submit that a full queue refused is asked to come again: how fast it empties nobody knows.
pub const QUEUE_FULL_RETRY_SECONDS: u32 = 5;
/// Operation types that one claim may name.
pub const CLAIM_TYPES_MAX: usize = 64;
/// Bytes of inputs in the answer to one claim; the first operation always goes.
pub const CLAIM_INPUT_BYTES_MAX: usize = 4 << 20;
/// Reports in one exchange.
pub const REPORTS_MAX: usize = 1000;
/// Seconds that a request with `Prefer: wait` may wait.
pub const WAIT_SECONDS_MAX: u32 = 60;
/// Seconds of a `Retry-After`: what a poller without one would wait.
pub const RETRY_AFTER_SECONDS_MAX: u32 = 30;
/// How long a worker has to end after a cancel request: its lease goes on no longer.
pub const CANCEL_GRACE: Duration = Duration::from_secs(30);
/// How long leases rest after an outage at most, so that live workers speak first.
pub const LEASE_REST_SECONDS_MAX: u32 = 10;
/// A tick later than this was an outage (of the server, the store or the machine).
pub const TICK_LATE: Duration = Duration::from_secs(2);

// ## Progress

/// Between two progress events of one operation; what comes sooner is kept and told at the window's end.
pub const PROGRESS_WINDOW: Duration = Duration::from_millis(250);
/// Progress events of one operation at full rate.
pub const PROGRESS_EVENTS_FAST: u32 = 1000;
/// Between two progress events after those.
pub const PROGRESS_WINDOW_SLOW: Duration = Duration::from_secs(10);

// ## The intake and what is kept

/// Submits that may wait for the intake loop, beyond which they are answered 503, and as many cancels, patches and ends of
/// links: one tenant alone may take half of that, so that there is room for those of others.
pub const SUBMIT_LANE_MAX: usize = 8192;
/// Submits that one turn of the intake loop takes, so that reports never wait long behind them.
pub const TURN_SUBMITS_MAX: usize = 512;
/// Lines of all bulk requests together that are on their way to the store: a quarter of a turn, so that who submits one
/// operation never waits behind many.
pub const BULK_LINES_MAX: usize = TURN_SUBMITS_MAX / 4;
/// The same while others submit one operation at a time: the turn that they wait for is then hardly longer for it.
pub const BULK_LINES_BESIDE_OTHERS_MAX: usize = BULK_LINES_MAX / 4;
/// How long after the last of those that is so.
pub const BULK_HEEDS_OTHERS: Duration = Duration::from_secs(1);
/// Bulk requests that are answered at a time, of which one tenant alone may have half: each may hold some MiB.
pub const BULK_REQUESTS_MAX: usize = 8;
/// When a bulk request that finds no place may come again.
pub const BULK_RETRY_SECONDS: u32 = 5;
/// Bytes of outcomes that are kept for a client which does not read yet: those of 10,000 lines and more.
pub const BULK_OUTCOMES_BYTES_MAX: usize = 2 << 20;
/// How long a line waits for a place among the submits, where those of others fill it.
pub const BULK_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a bulk request's key: that of a line adds a slash and its number.
pub const BULK_KEY_BYTES_MAX: usize = KEY_BYTES_MAX - 21;
/// Cancels, patches and ends of links that one turn takes: all tenants' in turn, and as few as keep no report waiting.
pub const TURN_ORDERS_MAX: usize = TURN_SUBMITS_MAX / 2;
/// Reports that one turn of the intake loop takes, beyond which its commit would keep others waiting.
pub const TURN_REPORTS_MAX: usize = 2000;
/// Operations on which time itself acts in one turn of the intake loop.
pub const TURN_DUE_MAX: usize = 500;
/// How long an ended operation is kept at least: its key and id are free again afterwards, and clients repeat within a day.
pub const RETAIN_MIN: Duration = Duration::from_hours(24);
/// How long an ended operation is kept where nothing is said.
pub const RETAIN_DEFAULT: Duration = Duration::from_hours(7 * 24);
/// How long an event is kept at least: a watcher that was cut comes back within minutes.
pub const RETAIN_EVENTS_MIN: Duration = Duration::from_hours(1);
/// How long an event is kept where nothing is said, if its operation is.
pub const RETAIN_EVENTS_DEFAULT: Duration = Duration::from_hours(3 * 24);
/// How long anything may be asked to be kept: ten years.
pub const RETAIN_MAX: Duration = Duration::from_hours(3660 * 24);
/// How far a test may set the clock ahead at a time: past any retention, and not out of the calendar by a slip.
pub const TRAVEL_MAX: Duration = RETAIN_MAX;
/// Expired operations that the claims of one turn pass over: they fail in the same turn, so that none is passed twice.
pub const TURN_EXPIRED_MAX: usize = 1000;
/// Ended operations that a turn prunes when it has nothing else to do: some milliseconds.
pub const PRUNE_OPERATIONS_MAX: usize = 200;
/// Events that it prunes then.
pub const PRUNE_EVENTS_MAX: usize = 2000;
/// Forgotten workers whose rows one turn removes.
pub const PRUNE_WORKERS_MAX: usize = 200;
/// Bytes of operations in the cache of point reads.
pub const CACHE_BYTES_MAX: u64 = 32 << 20;

// ## Workers as they are seen

/// A worker that asked for a lane within this time counts as present.
pub const WORKER_PRESENT: Duration = Duration::from_mins(1);
/// A worker's row is written at most this often.
pub const WORKER_WRITTEN_EVERY: Duration = Duration::from_secs(10);
/// So long a row that is due waits for a turn that is written anyway: idle workers cost one commit for all of them.
pub const WORKERS_UNWRITTEN: Duration = Duration::from_secs(1);
/// Rows of workers that one turn writes: some milliseconds.
pub const WRITE_WORKERS_MAX: usize = 500;
/// Workers of one tenant that are remembered: whoever asks by ever new names takes no more of the server's memory.
pub const WORKERS_KEPT_MAX: usize = 10_000;
/// A worker that was not seen for this long is forgotten.
pub const WORKER_FORGOTTEN: Duration = Duration::from_hours(1);
/// Workers in the answer of `/v1.0/workers`, those first that asked last.
pub const WORKERS_SHOWN_MAX: usize = 1000;
/// Operations that are shown of what one worker holds: more than nearly every worker has slots.
pub const WORKER_OPERATIONS_SHOWN_MAX: usize = 100;
/// Notices kept for one worker until its next call.
pub const NOTICES_PER_WORKER_MAX: usize = 1000;
/// Workers for which notices are kept; beyond it those of workers that do not wait are dropped.
pub const NOTICES_WORKERS_MAX: usize = 10_000;

// ## Tokens and links

/// Bytes of a token's public id: it is looked up at each request.
pub const TOKEN_ID_BYTES_MAX: usize = 32;
/// Queues that a token may be narrowed to: as many as one claim may name.
pub const TOKEN_QUEUES_MAX: usize = CLAIM_QUEUES_MAX;
/// Creates of one token in a second at one node, where the settings say nothing else: half of what a common disk carries.
pub const TOKEN_CREATES_PER_SECOND_DEFAULT: u32 = 10_000;
/// Calls of one token that wait at one node at a time (claims, `Prefer: wait`): half of the connections of a listener.
pub const TOKEN_WAITING_MAX: usize = 5000;
/// Streams of events that one token may have open at one node: half of the connections of a listener.
pub const TOKEN_WATCHERS_MAX: usize = 5000;
/// Calls that wait at one node at a time by links to one operation: whoever has one may hand it on.
pub const LINK_WAITING_MAX: usize = 100;
/// Streams of events that are open at one node by links to one operation: a page that many people look at.
pub const LINK_WATCHERS_MAX: usize = 100;
/// Seconds after which whoever found no place is asked to come again.
pub const CROWDED_RETRY_SECONDS: u32 = 1;
/// How long a link to an operation may live: as long as nearly any page is of use.
pub const LINK_LIFE_MAX: Duration = Duration::from_hours(30 * 24);
/// How long a link lives where nothing is said: whoever follows an operation does so on the same day.
pub const LINK_LIFE_DEFAULT: Duration = Duration::from_hours(24);
/// Between two looks whether somebody who waits or watches still may: what was revoked ends within five seconds.
pub const LEAVE_CHECKED_EVERY: Duration = Duration::from_secs(4);
/// How often it is written which tokens were used since: people look for those that nobody uses any more.
pub const TOKENS_USED_WRITTEN_EVERY: Duration = Duration::from_mins(1);
/// How long a token may live that has an end at all: ten years.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_hours(3660 * 24);
/// Bytes of the path of a Unix socket: `sun_path` of macOS, the smallest of all systems, without its final zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 103;
/// Characters of a client's own words that an error repeats.
pub const ECHO_CHARS_MAX: usize = 64;

// ## The server's own workers

/// Worker tasks inside one server: beyond it they only wait for each other.
pub const WORKER_TASKS_MAX: usize = 10_000;
/// Programs that carry out operations of one tenant: with the two types that are built in, as many as one claim may
/// name.
pub const PROGRAMS_PER_TENANT_MAX: usize = CLAIM_TYPES_MAX - 2;
/// Seconds of `--grace`: whoever supervises the process has long ended it by then.
pub const GRACE_SECONDS_MAX: u64 = 3600;
/// By what a delay between attempts may grow at most: beyond it the second delay is the longest allowed anyway.
pub const RETRY_FACTOR_MAX: f64 = 1000.0;

// ## Requests and connections

/// Bytes of a request's path and query: many times the longest `$filter` that is read.
pub const URI_BYTES_MAX: usize = 8 << 10;
/// Headers of a request: what browsers and a chain of proxies send, twice. (hyper reads up to 100.)
pub const HEADERS_MAX: usize = 64;
/// Bytes of a request's header names and values: what common servers read.
pub const HEADER_BYTES_MAX: usize = 32 << 10;
/// Bytes of a request's whole head that are read at all, so that one which is too large still gets its error.
pub const HEAD_BYTES_READ_MAX: usize = 128 << 10;

/// How long a client may take to send a request's head from its first byte on, its connection's preface included.
pub const HEAD_READ: Duration = Duration::from_secs(10);
/// How often it is looked whether the server's certificate is another one.
pub const CERTIFICATE_LOOKED_EVERY: Duration = Duration::from_secs(2);
/// How long a client may take to send a body, however slowly it comes.
pub const BODY_READ: Duration = Duration::from_secs(30);
/// Bytes of a body that buy its client another second after that: a slow line is waited for, a trickle is not.
pub const BODY_BYTES_PER_SECOND_MIN: u32 = 32 << 10;
/// How long a connection may stay open without a request: longer than the minute that pools of clients and proxies
/// keep one, so that it is they who close it.
pub const CONNECTION_IDLE: Duration = Duration::from_secs(75);
/// How long a client may leave the bytes of an answer unread.
pub const WRITE_STALL: Duration = Duration::from_secs(30);
/// Bytes of large answers that their clients have not read yet: such an answer is memory for as long as its client likes. One
/// tenant alone may take half of that, so that there is room for those of others.
pub const UNREAD_BYTES_MAX: usize = 32 << 20;
/// Bytes of an answer that is counted there: smaller ones go where the system keeps what it sends.
pub const UNREAD_COUNTED_BYTES_MIN: usize = 64 << 10;
/// Open connections of one listener: each costs some KiB and one of the process's files.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Files that the process asks the system for: all connections, and some for data and programs.
pub const FILES_MAX: u64 = 16 << 10;
/// Requests at once on one HTTP/2 connection.
pub const HTTP2_STREAMS_MAX: u32 = 256;
/// HTTP/2 streams that a client reset before they were accepted ("rapid reset"); beyond it the connection ends.
pub const HTTP2_PENDING_RESETS_MAX: usize = 20;
/// HTTP/2 streams of one connection that the server had to reset for the client's errors; beyond it the connection ends.
pub const HTTP2_ERROR_RESETS_MAX: usize = 256;
/// Bytes that a client may send ahead on one HTTP/2 stream: a body of the common size at once.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// Bytes that a client may send ahead on all streams of one HTTP/2 connection: what it can make the server buffer.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Bytes of answers that wait on one HTTP/2 stream for the client to read.
pub const HTTP2_SEND_BUFFER_BYTES: usize = 64 << 10;
/// Between two pings on a silent HTTP/2 connection, and how long each may stay without an answer.
pub const HTTP2_PING: Duration = Duration::from_secs(20);
/// Between two attempts to accept when the system refuses one, as without free files.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

// ## Watching

/// Events of late that are kept in memory while somebody watches, and their bytes, about: seconds of a busy server.
pub const RECENT_EVENTS_MAX: usize = 64 << 10;
/// Bytes of the same.
pub const RECENT_BYTES_MAX: usize = 16 << 20;
/// Events that a watcher reads at once.
pub const EVENTS_CHUNK: usize = 256;
/// Watchers that read the store at the same time: point reads go on beside them.
pub const CATCH_UPS_MAX: usize = 2;
/// Between two signs of life of a stream without events: less than the patience of any proxy in the field.
pub const STREAM_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Identifiers that a stream may be narrowed to: so many fit into a URI.
pub const STREAM_IDS_MAX: usize = 200;
/// Milliseconds after which the client of a stream that the server ends is asked to come again, drawn for each.
pub const STREAM_RETRY_MILLIS: std::ops::Range<u64> = 500..5_000;

// ## Lists

/// Bytes of a `$filter`, decoded: some forty conditions. Percent-encoded it still fits into a URI.
pub const FILTER_BYTES_MAX: usize = 2 << 10;
/// Depth of parentheses and `not` in a `$filter`: beyond it no person wrote it.
pub const FILTER_DEPTH_MAX: usize = 32;
/// Operations of one page of a list.
pub const LIST_TOP_MAX: usize = 1000;
/// Operations of one page where the client says nothing.
pub const LIST_TOP_DEFAULT: usize = 100;
/// Bytes of texts and payloads beyond which a page takes no further operation, so that it can be held in memory.
pub const LIST_BYTES_MAX: usize = 4 << 20;
/// Large pages that are made at a time, of more operations than where the client says nothing or with their payloads: each may
/// be some MiB. The others wait for their turn.
pub const LARGE_PAGES_AT_ONCE_MAX: usize = 8;
/// How long a list may look for what its filter asks for, where no index finds it.
pub const SCAN_MAX: Duration = Duration::from_secs(1);

// ## Many nodes

/// Operations that a turn loads for each wish of the claims that wait, where other nodes may have made them ready.
pub const TURN_PEEKED_MAX: usize = 512;
/// Runs of its own commits, with those of others between them, that a node knows again when it reads them.
pub const OWN_RUNS_MAX: usize = 10_000;
/// Deposits that are read at once: about as many as one turn takes.
pub const DEPOSITS_CHUNK: i64 = 256;
/// ... and bytes of them, but for the last one.
pub const DEPOSITS_CHUNK_BYTES: i64 = 4 << 20;
/// Where several nodes share a store, each looks at least this often for what others did.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Connections to a shared database for reads, at most.
pub const DATABASE_READS_MAX: usize = 8;

// ## Traces

/// Spans that wait to be sent, beyond which they are lost: about ten MiB.
pub const SPANS_WAITING_MAX: usize = 16_384;
/// Spans are sent at least this often: whoever looks at a trace does so while it is going on.
pub const SPANS_SENT_EVERY: Duration = Duration::from_secs(1);
/// How long the collector may take to answer.
pub const SPANS_SENDING: Duration = Duration::from_secs(5);
/// How long the server goes on sending spans when it ends.
pub const SPANS_CLOSING: Duration = Duration::from_secs(2);

// ## Metrics

/// Names of queues that metrics tell apart, over all tenants, the first that are met; all others are `other`. Each is some
/// fifty lines of an answer, and strangers choose them.
pub const METRIC_QUEUES_MAX: usize = 64;
/// How long one look of a scrape at the store may take.
pub const SCRAPE_MAX: Duration = Duration::from_secs(2);
/// Scrapes that come sooner after such a look share it.
pub const SCRAPE_EVERY: Duration = Duration::from_secs(1);
