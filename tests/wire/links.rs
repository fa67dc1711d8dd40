//! Links: what each opens, to whom, and until when. And that it opens nothing else.

use http::{Method, StatusCode};
use longrun::auth::Scope;
use serde_json::{Value, json};

use super::matrix::routes;
use super::{NOBODY, OPERATIONS, below, claim, path, quiet, report, token};
use crate::support::{Answer, Client, Server, until};

const LINKS: &str = "/v1.0/links/";
const ALL_OF_A_TENANT: &str = "Operation.ReadWrite,Operation.Execute,Operation.Manage";

/// The two URLs of a link.
struct Link {
    status: String,
    events: String,
}

impl Link {
    /// What stands in its URLs and nowhere else.
    fn text(&self) -> &str {
        self.status.split_once(LINKS).expect("it has the path of a link").1
    }
}

/// Asks for a link; what was said of it.
async fn asked(client: &Client, id: &str, body: &Value) -> Value {
    let answer = client.post(&below(id, "createLink"), body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.value()["link"].take()
}

async fn link(client: &Client, id: &str, body: Value) -> Link {
    let said = asked(client, id, &body).await;
    let url = |name: &str| said[name].as_str().expect("it has two URLs").to_owned();
    Link { status: url("statusUrl"), events: url("eventsUrl") }
}

/// It opens nothing, whatever it once was.
async fn is_closed(client: &Client, link: &Link) {
    for url in [&link.status, &link.events] {
        let answer = client.get(url).await;
        assert_eq!((answer.status, &*answer.code()), (StatusCode::NOT_FOUND, "itemNotFound"), "{url}");
        assert!(answer.text().contains("no such link, or it has ended"), "{}", answer.text());
    }
}

/// A server with tokens, its owner, and somebody without any.
fn house() -> (Server, Client, Client) {
    let server = quiet();
    let stranger = server.client();
    let owner = stranger.with_token(&token(&server, &["--scope", ALL_OF_A_TENANT]));
    (server, owner, stranger)
}

#[tokio::test]
async fn a_link_shows_how_its_operation_stands_and_each_change_but_never_its_input() {
    let (_server, owner, stranger) = house();
    let id = owner.submit(&json!({ "operationType": "t", "input": "a secret" })).await;
    let said = asked(&owner, &id, &json!({ "type": "view" })).await;
    assert_eq!(said["type"], "view");
    let Link { status, events } = link(&owner, &id, json!({})).await;
    let answer = stranger.get(&status).await;
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("retry-after").is_some());
    let mut own = owner.operation(&id).await;
    own.as_object_mut().unwrap().remove("input").expect("its owner sees the input");
    assert_eq!(answer.value(), own);
    let tag = answer.header("etag").unwrap();
    let known = stranger.send(Method::GET, &status, &[("if-none-match", tag)], "").await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);

    let mut stream = stranger.watch(&events, None).await;
    let snapshot = stream.next().await.unwrap();
    assert_eq!((&*snapshot.event, &snapshot.data["id"]), ("snapshot", &json!(id)));
    let waits = tokio::spawn({
        let (stranger, status) = (stranger.clone(), status.clone());
        async move { stranger.send(Method::GET, &status, &[("prefer", "wait=60")], "").await }
    });
    let lease = claim(&owner, "t", "c").await;
    report(&owner, json!({ "id": id, "leaseToken": lease, "status": "Running", "percentComplete": 40 }))
        .await;
    report(&owner, json!({ "id": id, "leaseToken": lease, "status": "Completed", "result": 7 })).await;
    let mut told = vec![snapshot];
    told.extend(stream.rest().await);
    let words: Vec<&str> = told.iter().map(|event| &*event.event).collect();
    assert_eq!(words, ["snapshot", "started", "progress", "completed"]);
    assert!(told.iter().all(|event| event.data.get("input").is_none()));
    assert_eq!(told.last().unwrap().data["result"], 7);
    let ended = waits.await.unwrap();
    assert_eq!((&ended.value()["status"], &ended.value()["result"]), (&json!("Completed"), &json!(7)));
    let last = told.last().unwrap().id.clone();
    assert_eq!(stranger.watch(&events, Some(&last)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(stranger.watch(&events, Some("nonsense")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_wish_for_one_is_read_strictly_and_says_when_it_ends() {
    let (server, owner, _) = house();
    let id = owner.submit(&json!({})).await;
    let soon = "2999-01-01T00:00:00Z";
    for (body, target) in [
        (json!({ "type": "edit" }), "type"),
        (json!({ "expirationDateTime": soon }), "expirationDateTime"),
        (json!({ "expirationDateTime": "2001-01-01T00:00:00Z" }), "expirationDateTime"),
        (json!({ "revoke": 1 }), "revoke"),
        (json!({ "scope": "anonymous" }), "scope"),
    ] {
        let answer = owner.post(&below(&id, "createLink"), &body).await;
        assert_eq!((answer.status, &*answer.code()), (StatusCode::BAD_REQUEST, "invalidRequest"), "{body}");
        assert_eq!(answer.value()["error"]["target"], target);
    }
    let in_an_hour = (chrono::Utc::now() + chrono::Duration::hours(1)).format("%Y-%m-%dT%H:%M:%S.1234567Z");
    let wish = json!({ "expirationDateTime": in_an_hour.to_string() });
    assert_eq!(asked(&owner, &id, &wish).await["expirationDateTime"], in_an_hour.to_string());

    let reader = server.client().with_token(&token(&server, &["--scope", "Operation.Read"]));
    let refused = reader.post(&below(&id, "createLink"), &json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "who may only read gives nothing away");
    let theirs = ["--tenant", "acme", "--scope", ALL_OF_A_TENANT];
    let theirs = server.client().with_token(&token(&server, &theirs));
    for (client, id) in [(&owner, NOBODY), (&theirs, &*id)] {
        for body in [json!({}), json!({ "revoke": true })] {
            let answer = client.post(&below(id, "createLink"), &body).await;
            assert_eq!((answer.status, &*answer.code()), (StatusCode::NOT_FOUND, "itemNotFound"));
        }
    }
}

/// Shows a link in every place that a server may look for one.
async fn shown(client: &Client, method: &Method, path: &str, text: &str) -> Vec<Answer> {
    let bearer = format!("Bearer {text}");
    let token = format!("Bearer lr_{text}");
    let cookie = format!("link={text}");
    let json = ("content-type", "application/json");
    let body = if [Method::POST, Method::PATCH].contains(method) { "{}" } else { "" };
    let query = if path.contains('?') { '&' } else { '?' };
    let asks: [(String, Vec<(&str, &str)>); 6] = [
        (path.to_owned(), vec![json]),
        (path.to_owned(), vec![json, ("authorization", &bearer)]),
        (path.to_owned(), vec![json, ("authorization", &token)]),
        (path.to_owned(), vec![json, ("cookie", &cookie)]),
        (format!("{path}{query}link={text}"), vec![json]),
        (format!("{path}{query}access_token={text}&sig={text}"), vec![json]),
    ];
    let mut answers = Vec::new();
    for (path, headers) in asks {
        answers.push(client.send(method.clone(), &path, &headers, body).await);
    }
    answers
}

#[tokio::test]
async fn a_link_of_one_operation_opens_nothing_else() {
    let (server, owner, stranger) = house();
    let theirs = ["--tenant", "acme", "--scope", ALL_OF_A_TENANT];
    let theirs = server.client().with_token(&token(&server, &theirs));
    let (id, other) = (owner.submit(&json!({})).await, owner.submit(&json!({})).await);
    // The same name in another tenant is another operation.
    assert_eq!(theirs.post(OPERATIONS, &json!({ "id": id, "queue": "theirs" })).await.status, 201);
    let own = link(&owner, &id, json!({})).await;
    let text = own.text();
    let before = (owner.operation(&id).await, owner.operation(&other).await, theirs.operation(&id).await);
    let mut refused = 0;
    for route in routes().await {
        let method = Method::from_bytes(route.method.as_bytes()).unwrap();
        for named in [&*id, &other, NOBODY, text] {
            // Where a link belongs, only this one is; whatever else stands there is none.
            if route.scope == Scope::Link && named == text {
                continue;
            }
            let path = route.path.replace("{id}", named).replace("{link}", named);
            let path = path.replace("{name}", "default").replace("{page}", "protocol");
            for answer in shown(&stranger, &method, &path, text).await {
                let about = format!("{method} {path}: {}", answer.text());
                match route.scope {
                    Scope::Public => assert_eq!(answer.status, StatusCode::OK, "{about}"),
                    Scope::Link => assert_eq!(answer.status, StatusCode::NOT_FOUND, "{about}"),
                    _ => assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{about}"),
                }
                refused += usize::from(route.scope != Scope::Public);
            }
        }
    }
    assert!(refused > 300, "only {refused} ways were tried");
    // Its own paths know no other method, and nothing lies beside or below them.
    for url in [&own.status, &own.events] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let headers = [("content-type", "application/json")];
            let answer = stranger.send(method.clone(), url, &headers, "{}").await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {url}: {}", answer.text());
        }
    }
    for suffix in ["/", "/attempts", "/cancel", "/events/", "/createLink", "/input", "/..", "%2Fevents"] {
        let answer = stranger.get(&format!("{}{suffix}", own.status)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{suffix}: {}", answer.text());
    }
    let view = stranger.get(&format!("{}?$select=input&expand=input", own.status)).await;
    assert_eq!((view.status, &view.value()["id"]), (StatusCode::OK, &json!(id)));
    assert_eq!(view.value()["queue"], "default", "it is its own tenant's");
    assert_eq!(
        before,
        (owner.operation(&id).await, owner.operation(&other).await, theirs.operation(&id).await),
        "nothing has changed by it"
    );
}

#[tokio::test]
async fn a_revoke_ends_every_link_of_its_operation_and_no_other() {
    let (_server, owner, stranger) = house();
    let (id, other) = (owner.submit(&json!({})).await, owner.submit(&json!({})).await);
    let (one, two) = (link(&owner, &id, json!({})).await, link(&owner, &id, json!({})).await);
    let others = link(&owner, &other, json!({})).await;
    let mut stream = stranger.watch(&one.events, None).await;
    assert_eq!(stream.next().await.unwrap().event, "snapshot");
    let waits = tokio::spawn({
        let (stranger, url) = (stranger.clone(), two.status.clone());
        async move { stranger.send(Method::GET, &url, &[("prefer", "wait=60")], "").await }
    });
    let tag = owner.get(&path(&id)).await.header("etag").unwrap().to_owned();
    let fresh = link(&owner, &id, json!({ "type": "view", "revoke": true })).await;
    is_closed(&stranger, &one).await;
    is_closed(&stranger, &two).await;
    for open in [&fresh, &others] {
        assert_eq!(stranger.get(&open.status).await.status, StatusCode::OK);
    }
    assert_eq!(owner.get(&path(&id)).await.header("etag"), Some(&*tag), "the operation has not changed");
    // Whoever watches or waits by it does so no longer.
    assert_eq!(stream.rest().await, []);
    assert_eq!(waits.await.unwrap().status, StatusCode::NOT_FOUND);
    link(&owner, &id, json!({ "revoke": true })).await;
    is_closed(&stranger, &fresh).await;
    assert_eq!(stranger.get(&others.status).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_link_ends_with_its_operation_and_opens_none_that_is_made_later_under_its_name() {
    let (_server, owner, stranger) = house();
    let id = owner.submit(&json!({ "status": "Completed" })).await;
    let link = link(&owner, &id, json!({})).await;
    assert_eq!(stranger.get(&link.status).await.value()["status"], "Completed");
    assert_eq!(owner.send(Method::DELETE, &path(&id), &[], "").await.status, StatusCode::NO_CONTENT);
    is_closed(&stranger, &link).await;
    assert_eq!(owner.post(OPERATIONS, &json!({ "id": id, "status": "Completed" })).await.status, 201);
    is_closed(&stranger, &link).await;
}

#[tokio::test]
async fn a_link_ends_by_its_own_time_and_so_do_its_streams() {
    let server = Server::start_with_test_clock(&["--workers", "0"]);
    let client = server.client();
    let id = client.submit(&json!({ "isExternal": true })).await;
    let link = link(&client, &id, json!({})).await;
    let mut stream = client.watch(&link.events, None).await;
    assert_eq!(stream.next().await.unwrap().event, "snapshot");
    let ahead = async |seconds: f64| client.post("/v1.0/test/advance", &json!({ "seconds": seconds })).await;
    ahead(23.5 * 3600.0).await;
    assert_eq!(client.get(&link.status).await.status, StatusCode::OK);
    ahead(3600.0).await;
    is_closed(&client, &link).await;
    assert_eq!(stream.rest().await, []);
}

#[tokio::test]
async fn links_hold_over_a_restart_and_so_do_their_ends() {
    let (mut server, owner, stranger) = house();
    let id = owner.submit(&json!({ "status": "Completed" })).await;
    let gone = link(&owner, &id, json!({})).await;
    let good = link(&owner, &id, json!({ "revoke": true })).await;
    server.kill();
    server.start_again();
    until("the server to answer", async || stranger.try_send(Method::GET, "/readyz", &[], "").await.ok())
        .await;
    assert_eq!(stranger.get(&good.status).await.status, StatusCode::OK);
    is_closed(&stranger, &gone).await;
}

#[tokio::test]
async fn pages_of_any_origin_may_ask_by_a_link_and_for_nothing_else() {
    for arguments in [&[][..], &["--cors-origin", "https://a.example"]] {
        let server = Server::start(&[&["--workers", "0"], arguments].concat());
        let owner = server.client().with_token(&token(&server, &["--scope", ALL_OF_A_TENANT]));
        let stranger = server.client();
        let id = owner.submit(&json!({ "status": "Completed" })).await;
        let link = link(&owner, &id, json!({})).await;
        let page = ("origin", "https://b.example");
        for url in [&link.status, &link.events] {
            let answer = stranger.send(Method::GET, url, &[page], "").await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            let preflight = [page, ("access-control-request-method", "GET")];
            let told = stranger.send(Method::OPTIONS, url, &preflight, "").await;
            assert_eq!(told.header("access-control-allow-origin"), Some("*"));
            assert_eq!(told.header("access-control-allow-methods"), Some("GET"));
        }
        let missing = stranger.send(Method::GET, &format!("{LINKS}none"), &[page], "").await;
        assert_eq!(missing.header("access-control-allow-origin"), Some("*"), "the page hears why");
        for other in [path(&id), below(&id, "createLink"), OPERATIONS.to_owned(), "/none".to_owned()] {
            let answer = stranger.send(Method::GET, &other, &[page], "").await;
            assert_eq!(answer.header("access-control-allow-origin"), None, "{other}");
        }
    }
}
