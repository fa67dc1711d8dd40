//! Bodies that are wrong, at every route that reads one and over both protocols: each is refused in the one shape, by its place
//! where it has one, and changes nothing.

use http::{Method, StatusCode};
use longrun::limits;
use serde_json::{Value, json};

use super::bad_input::shape;
use super::matrix::routes;
use super::{OPERATIONS, below, path};
use crate::support::{Answer, Client, Server};

const QUEUE: &str = "/v1.0/queues/q";
const WORK: &str = "/v1.0/work";
const ADVANCE: &str = "/v1.0/test/advance";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Those that change something and read no body.
const WITHOUT_BODY: [&str; 2] = ["/v1.0/operations/{id}/cancel", "/v1.0/operations/{id}/retry"];

/// A server of which every route can be asked, and an operation that may be patched.
struct House {
    _server: Server,
    clients: [Client; 2],
    id: String,
}

impl House {
    async fn open() -> Self {
        let server = Server::start_with_test_clock(&["--workers", "0"]);
        let client = server.client();
        let id = client.submit(&json!({ "isExternal": true })).await;
        Self { clients: [client, Client::over_http2(&server.url)], _server: server, id }
    }

    /// Method, path, and how many bytes are read, of every route that reads a body.
    async fn reading(&self) -> Vec<(Method, String, usize)> {
        let mut reading = vec![(Method::POST, ADVANCE.to_owned(), limits::BODY_BYTES_MAX)];
        for route in routes().await {
            let method = Method::from_bytes(route.method.as_bytes()).unwrap();
            if ![Method::POST, Method::PATCH].contains(&method) || WITHOUT_BODY.contains(&&*route.path) {
                continue;
            }
            let most = if route.path == WORK { limits::WORK_BODY_BYTES_MAX } else { limits::BODY_BYTES_MAX };
            reading.push((method, route.path.replace("{id}", &self.id).replace("{name}", "q"), most));
        }
        assert!(reading.len() >= 6, "{reading:?}");
        reading
    }

    /// All that could have changed.
    async fn all(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for path in [OPERATIONS, "/v1.0/queues", "/v1.0/workers"] {
            let mut told = self.clients[0].get(path).await.value();
            if let Some(queues) = told["value"].as_array_mut().filter(|_| path == "/v1.0/queues") {
                for queue in queues {
                    queue.as_object_mut().unwrap().remove("oldestReadySeconds");
                }
            }
            all.push(told);
        }
        all
    }
}

/// What is no JSON that is taken, and a word of why.
fn flaws() -> Vec<(Vec<u8>, &'static str)> {
    let texts = [
        ("", "needs a JSON body"),
        ("{", "ends too early"),
        ("{\"x\":", "ends too early"),
        ("{\"x\":\"a", "ends too early"),
        ("{\"x\":[1,{}", "ends too early"),
        ("[]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("7", "must be a JSON object"),
        ("\"x\"", "must be a JSON object"),
        ("{} {}", "malformed"),
        ("{'a':1}", "malformed"),
        ("{x:1}", "malformed"),
        ("{\"x\" 1}", "malformed"),
        ("{\"x\":1,}", "malformed"),
        ("{\"x\":[1,]}", "malformed"),
        ("{\"x\":NaN}", "malformed"),
        ("{\"x\":-Infinity}", "malformed"),
        ("{\"x\":01}", "malformed"),
        ("{\"x\":.5}", "malformed"),
        ("{\"x\":+1}", "malformed"),
        ("{\"x\":1.}", "malformed"),
        ("{\"x\":0x1}", "malformed"),
        ("{\"x\":1}//", "malformed"),
        ("{\"x\":\"\\q\"}", "malformed"),
        ("{\"x\":\"\\u12\"}", "malformed"),
        ("{\"x\":\"\t\"}", "malformed"),
        ("{\"x\":\"\u{0}\"}", "malformed"),
        ("\u{feff}{}", "malformed"),
        ("{\"x\":\"\\ud800\"}", "surrogate"),
        ("{\"x\":\"\\uDC00\"}", "surrogate"),
        ("{\"x\":\"\\ud800\\u0041\"}", "surrogate"),
        ("{\"x\":\"\\udc00\\ud800\"}", "surrogate"),
        ("{\"x\":[{\"\\ud83d\":1}]}", "surrogate"),
        ("{\"x\":1,\"x\":1}", "twice"),
        ("{\"x\":{\"a\":1,\"a\":2}}", "twice"),
        ("{\"x\":[[{\"y\":{\"a\":1,\"\\u0061\":2}}]]}", "twice"),
    ];
    let bytes: [&[u8]; 6] = [
        b"{\"x\":\"\xff\"}",
        b"{\"x\":\"\xc0\xaf\"}",
        b"{\"x\":\"\xed\xa0\x80\"}",
        b"{\"x\":\"\xe2\x82\"}",
        b"{\"x\":\"\xf4\x90\x80\x80\"}",
        b"\xff\xfe{\x00}\x00",
    ];
    let deep = |levels: usize| format!("{{\"x\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    let nested = [deep(limits::JSON_DEPTH_MAX + 1), format!("{{\"x\":{}", "[".repeat(100_000))];
    let texts = texts.into_iter().map(|(text, why)| (text.as_bytes().to_vec(), why));
    let bytes = bytes.into_iter().map(|bytes| (bytes.to_vec(), "UTF-8"));
    texts.chain(bytes).chain(nested.map(|text| (text.into_bytes(), "nested"))).collect()
}

#[tokio::test]
async fn json_that_is_none_is_refused_wherever_it_is_sent() {
    let house = House::open().await;
    let before = house.all().await;
    for client in &house.clients {
        for (method, path, _) in house.reading().await {
            for (body, why) in flaws() {
                let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
                let answer = client.send(method.clone(), &path, &[JSON], body).await;
                let about = format!("{method} {path} {shown}: {}", answer.text());
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{about}");
                assert_eq!(shape(&answer), "invalidRequest", "{about}");
                assert!(answer.text().contains(why), "{about}");
                assert!(answer.body.len() < 600, "what is long is not echoed: {about}");
            }
        }
    }
    assert_eq!(house.all().await, before, "nothing has changed");
}

#[tokio::test]
async fn a_line_that_is_no_json_is_refused_and_its_neighbours_are_not() {
    let house = House::open().await;
    // An empty line is none, and a line ends where a line does.
    let flaws = flaws().into_iter().filter(|(flaw, _)| !flaw.is_empty()).collect::<Vec<_>>();
    for client in &house.clients {
        let good = b"\n{\"operationType\":\"t\"}\n";
        let body: Vec<u8> = flaws.iter().flat_map(|(flaw, _)| [flaw, &good[..]].concat()).collect();
        let lines = [("content-type", "application/x-ndjson")];
        let answer = client.send(Method::POST, OPERATIONS, &lines, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let told = answer.text();
        let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(told.len(), 2 * flaws.len());
        for (pair, (_, why)) in told.chunks(2).zip(&flaws) {
            let error = &pair[0]["error"];
            assert_eq!(
                (&pair[0]["status"], &error["code"]),
                (&json!(400), &json!("invalidRequest")),
                "{why}"
            );
            assert!(error["message"].as_str().unwrap().contains(why), "{why}: {error}");
            assert_eq!(pair[1]["status"], 201, "{}", pair[1]);
        }
    }
}

#[tokio::test]
async fn what_is_not_called_json_or_is_too_large_is_refused_wherever_it_is_sent() {
    let house = House::open().await;
    let before = house.all().await;
    let kinds = [
        &[][..],
        &[("content-type", "")],
        &[("content-type", "text/plain")],
        &[("content-type", "text/xml")],
        &[("content-type", "application/jsonp")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "multipart/form-data; boundary=x")],
        &[("content-type", "application/json; charset=latin1")],
        &[("content-type", "application/x-ndjson")],
        &[JSON, ("content-encoding", "gzip")],
    ];
    for client in &house.clients {
        for (method, path, most) in house.reading().await {
            for headers in kinds {
                if path == OPERATIONS && headers.contains(&("content-type", "application/x-ndjson")) {
                    continue;
                }
                let answer = client.send(method.clone(), &path, headers, "{}").await;
                let about = format!("{method} {path} {headers:?}: {}", answer.text());
                assert_eq!(
                    (answer.status.as_u16(), &*shape(&answer)),
                    (415, "unsupportedMediaType"),
                    "{about}"
                );
            }
            let answer = client.send(method.clone(), &path, &[JSON], vec![b' '; most + 1]).await;
            let about = format!("{method} {path}: {}", answer.text());
            assert_eq!((answer.status.as_u16(), &*shape(&answer)), (413, "payloadTooLarge"), "{about}");
        }
    }
    assert_eq!(house.all().await, before, "nothing has changed");
}

/// What a field takes, so that something else is wrong.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Object,
    Array,
    Names,
    Boolean,
    Integer,
    Number,
    Name,
    Tag,
    Text,
    Id,
    Status,
    Time,
    Url,
}

/// Each as its JSON type is written.
const TYPES: [(&str, &[Kind]); 6] = [
    ("null", &[]),
    ("true", &[Kind::Boolean]),
    ("1", &[Kind::Integer, Kind::Number]),
    ("\"x\"", &[Kind::Name, Kind::Tag, Kind::Text]),
    ("[]", &[Kind::Array]),
    ("{}", &[Kind::Object]),
];

impl Kind {
    /// What this is none of, as JSON.
    fn wrong(self) -> Vec<String> {
        let others =
            TYPES.iter().filter(|(_, kinds)| !kinds.contains(&self)).map(|(text, _)| (*text).to_owned());
        let long = format!("\"{}\"", "x".repeat(limits::NAME_BYTES_MAX + 1));
        let huge = format!("1{}", "0".repeat(400));
        let own: &[&str] = match self {
            Self::Object | Self::Array | Self::Boolean => &[],
            Self::Names => &["[1]", "[null]", r#"["a\u0000b"]"#, r#"[""]"#, r#"["a",["b"]]"#],
            Self::Integer => {
                &["1.5", "1e2", "1e400", "9223372036854775808", "-9223372036854775809", &huge, "-1000000"]
            }
            Self::Number => &["-1", "1e400", "-1e400", "1e300", &huge],
            Self::Name => &[
                r#""a\u0000b""#,
                r#""""#,
                r#""-a""#,
                r#""a b""#,
                r#""größe""#,
                r#""a\nb""#,
                r#""a'b""#,
                &long,
            ],
            Self::Tag => &[r#""a\u0000b""#, r#""""#, r#""größe""#, r#""a\nb""#, r#""a\u001bb""#, &long],
            Self::Text => &[r#""a\u0000b""#],
            Self::Id => &[
                r#""7986a22f""#,
                r#""7986a22fa22f79862fa286792fa28679""#,
                r#""{7986a22f-a22f-7986-2fa2-86792fa28679}""#,
                r#""7986a22f-a22f-7986-2fa2-86792fa2867\u0000""#,
            ],
            Self::Status => {
                &[r#""""#, r#""notStarted""#, r#""String""#, r#""Completed ""#, r#""Completed\u0000""#]
            }
            Self::Time => &[
                r#""""#,
                r#""yesterday""#,
                r#""1767225600""#,
                r#""2026-01-01""#,
                r#""2026-01-01T00:00:00""#,
                r#""2026-02-30T00:00:00Z""#,
                r#""2026-13-01T00:00:00Z""#,
                r#""2026-01-01T25:00:00Z""#,
                r#""2026-01-01T00:00:00+99:99""#,
                r#""10000-01-01T00:00:00Z""#,
                r#""-2026-01-01T00:00:00Z""#,
                r#""99999999999-01-01T00:00:00Z""#,
                r#""2026-01-01T00:00:00Z\u0000""#,
            ],
            Self::Url => {
                &[r#""""#, r#""/a""#, r#""//a""#, r#""https://""#, r#""https://a b""#, r#""javascript://x""#]
            }
        };
        others.chain(own.iter().map(|text| (*text).to_owned())).collect()
    }
}

/// Every field that is read: the body around it, in which `@` stands for its value, and its place.
const FIELDS: [(&str, &str, &str, Kind); 53] = [
    (OPERATIONS, r#"{"id":@}"#, "id", Kind::Id),
    (OPERATIONS, r#"{"queue":@}"#, "queue", Kind::Name),
    (OPERATIONS, r#"{"operationType":@}"#, "operationType", Kind::Name),
    (OPERATIONS, r#"{"status":@}"#, "status", Kind::Status),
    (OPERATIONS, r#"{"isExternal":@}"#, "isExternal", Kind::Boolean),
    (OPERATIONS, r#"{"priority":@}"#, "priority", Kind::Integer),
    (OPERATIONS, r#"{"timeoutSeconds":@}"#, "timeoutSeconds", Kind::Integer),
    (OPERATIONS, r#"{"maxAttempts":@}"#, "maxAttempts", Kind::Integer),
    (OPERATIONS, r#"{"retry":@}"#, "retry", Kind::Object),
    (OPERATIONS, r#"{"retry":{"initialDelaySeconds":@}}"#, "retry.initialDelaySeconds", Kind::Number),
    (OPERATIONS, r#"{"retry":{"factor":@}}"#, "retry.factor", Kind::Number),
    (OPERATIONS, r#"{"retry":{"maxDelaySeconds":@}}"#, "retry.maxDelaySeconds", Kind::Number),
    (OPERATIONS, r#"{"retry":{"jitter":@}}"#, "retry.jitter", Kind::Number),
    (OPERATIONS, r#"{"labels":@}"#, "labels", Kind::Object),
    (OPERATIONS, r#"{"labels":{"a":@}}"#, "labels.a", Kind::Text),
    (OPERATIONS, r#"{"createdDateTime":@}"#, "createdDateTime", Kind::Time),
    (OPERATIONS, r#"{"lastActionDateTime":@}"#, "lastActionDateTime", Kind::Time),
    (OPERATIONS, r#"{"startDateTime":@}"#, "startDateTime", Kind::Time),
    (OPERATIONS, r#"{"expirationDateTime":@}"#, "expirationDateTime", Kind::Time),
    (OPERATIONS, r#"{"isExternal":true,"percentComplete":@}"#, "percentComplete", Kind::Number),
    (OPERATIONS, r#"{"isExternal":true,"statusDetail":@}"#, "statusDetail", Kind::Text),
    (OPERATIONS, r#"{"status":"Completed","resourceLocation":@}"#, "resourceLocation", Kind::Url),
    (OPERATIONS, r#"{"status":"Failed","error":@}"#, "error", Kind::Object),
    (OPERATIONS, r#"{"status":"Failed","error":{"code":@,"message":"m"}}"#, "error.code", Kind::Text),
    (OPERATIONS, r#"{"status":"Failed","error":{"code":"c","message":@}}"#, "error.message", Kind::Text),
    ("patch", r#"{"status":@}"#, "status", Kind::Status),
    ("patch", r#"{"percentComplete":@}"#, "percentComplete", Kind::Number),
    ("patch", r#"{"statusDetail":@}"#, "statusDetail", Kind::Text),
    ("patch", r#"{"status":"Completed","resourceLocation":@}"#, "resourceLocation", Kind::Url),
    ("patch", r#"{"status":"Failed","error":@}"#, "error", Kind::Object),
    ("link", r#"{"expirationDateTime":@}"#, "expirationDateTime", Kind::Time),
    ("link", r#"{"revoke":@}"#, "revoke", Kind::Boolean),
    (QUEUE, r#"{"paused":@}"#, "paused", Kind::Boolean),
    (ADVANCE, r#"{"seconds":@}"#, "seconds", Kind::Number),
    (WORK, r#"{"workerId":@}"#, "workerId", Kind::Tag),
    (WORK, r#"{"workerId":"w","claim":@}"#, "claim", Kind::Object),
    (WORK, r#"{"workerId":"w","claim":{"id":@}}"#, "claim.id", Kind::Tag),
    (WORK, r#"{"workerId":"w","claim":{"id":"c","queues":@}}"#, "claim.queues", Kind::Names),
    (WORK, r#"{"workerId":"w","claim":{"id":"c","operationTypes":@}}"#, "claim.operationTypes", Kind::Names),
    (WORK, r#"{"workerId":"w","claim":{"id":"c","limit":@}}"#, "claim.limit", Kind::Integer),
    (WORK, r#"{"workerId":"w","claim":{"id":"c","leaseSeconds":@}}"#, "claim.leaseSeconds", Kind::Integer),
    (WORK, r#"{"workerId":"w","claim":{"id":"c","waitSeconds":@}}"#, "claim.waitSeconds", Kind::Integer),
    ("report", r#""id":@,"leaseToken":1,"status":"Completed""#, "id", Kind::Id),
    ("report", r#""id":"$","leaseToken":@,"status":"Completed""#, "leaseToken", Kind::Integer),
    ("report", r#""id":"$","leaseToken":1,"status":@"#, "status", Kind::Status),
    (
        "report",
        r#""id":"$","leaseToken":1,"status":"Running","percentComplete":@"#,
        "percentComplete",
        Kind::Number,
    ),
    ("report", r#""id":"$","leaseToken":1,"status":"Running","statusDetail":@"#, "statusDetail", Kind::Text),
    (
        "report",
        r#""id":"$","leaseToken":1,"status":"Completed","resourceLocation":@"#,
        "resourceLocation",
        Kind::Url,
    ),
    ("report", r#""id":"$","leaseToken":1,"status":"Failed","error":@"#, "error", Kind::Object),
    (
        "report",
        r#""id":"$","leaseToken":1,"status":"Failed","error":{"code":@,"message":"m"}"#,
        "error.code",
        Kind::Text,
    ),
    (
        "report",
        r#""id":"$","leaseToken":1,"status":"Failed","error":{"code":"c","message":"m"},"retryable":@"#,
        "retryable",
        Kind::Boolean,
    ),
    (
        "report",
        r#""id":"$","leaseToken":1,"status":"Failed","error":{"code":"c","message":"m"},"retryAfterSeconds":@"#,
        "retryAfterSeconds",
        Kind::Number,
    ),
    (WORK, r#"{"workerId":"w","reports":@}"#, "reports", Kind::Array),
];

/// Asks with a body that is wrong at one place; where the answer says so.
async fn refused(house: &House, client: &Client, about: &str, body: &str) -> String {
    let (method, path) = match about {
        "patch" => (Method::PATCH, path(&house.id)),
        "link" => (Method::POST, below(&house.id, "createLink")),
        "report" => (Method::POST, WORK.to_owned()),
        QUEUE => (Method::PATCH, QUEUE.to_owned()),
        other => (Method::POST, other.to_owned()),
    };
    let answer: Answer = client.send(method, &path, &[JSON], body.to_owned()).await;
    let told = answer.value();
    let error = if about == "report" {
        assert_eq!(answer.status, StatusCode::OK, "{body}: {}", answer.text());
        told["outcomes"][0]["error"].clone()
    } else {
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text());
        shape(&answer);
        told["error"].clone()
    };
    assert_eq!(error["code"], "invalidRequest", "{body}: {}", answer.text());
    assert!(answer.body.len() < 600, "what is long is not echoed: {}", answer.text());
    error["target"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_value_that_a_field_cannot_have_is_refused_by_its_place() {
    let house = House::open().await;
    let before = house.all().await;
    let mut tried = 0;
    for client in &house.clients {
        for (about, template, place, kind) in FIELDS {
            for wrong in kind.wrong() {
                let body = template.replace('$', &house.id).replace('@', &wrong);
                let (body, place) = if about == "report" {
                    (format!(r#"{{"workerId":"w","reports":[{{{body}}}]}}"#), format!("reports[0].{place}"))
                } else {
                    (body, place.to_owned())
                };
                let target = refused(&house, client, about, &body).await;
                assert!(target.starts_with(&place), "{body}: {target}");
                tried += 1;
            }
        }
    }
    assert!(tried > 800, "only {tried} were tried");
    assert_eq!(house.all().await, before, "nothing has changed");
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_refused_by_its_name() {
    let house = House::open().await;
    let before = house.all().await;
    for client in &house.clients {
        for (about, body, place) in [
            (OPERATIONS, r#"{"surprise":1}"#, "surprise"),
            (OPERATIONS, r#"{"Queue":"q"}"#, "Queue"),
            (OPERATIONS, r#"{"retry":{"surprise":1}}"#, "retry.surprise"),
            (
                OPERATIONS,
                r#"{"status":"Failed","error":{"code":"c","message":"m","surprise":1}}"#,
                "error.surprise",
            ),
            ("patch", r#"{"percentComplete":1,"surprise":1}"#, "surprise"),
            ("link", r#"{"surprise":1}"#, "surprise"),
            (QUEUE, r#"{"paused":true,"surprise":1}"#, "surprise"),
            (ADVANCE, r#"{"seconds":1,"surprise":1}"#, "surprise"),
            (WORK, r#"{"workerId":"w","surprise":1}"#, "surprise"),
            (WORK, r#"{"workerId":"w","claim":{"id":"c","surprise":1}}"#, "claim.surprise"),
            (
                "report",
                r#"{"workerId":"w","reports":[{"id":"$","leaseToken":1,"status":"Completed","surprise":1}]}"#,
                "reports[0].surprise",
            ),
            // A name that is long or holds what a terminal obeys is shown as it was written.
            (OPERATIONS, "{\"\\u001b[31m\\r\\nred\":1}", r"\u001b[31m\r\nred"),
        ] {
            let body = body.replace('$', &house.id);
            assert_eq!(refused(&house, client, about, &body).await, place, "{body}");
        }
    }
    assert_eq!(house.all().await, before, "nothing has changed");
}
