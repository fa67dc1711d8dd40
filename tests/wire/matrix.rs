//! Who may what: every route of the table × every scope × own, foreign and absent operations × no, bad and revoked
//! tokens. A route that is added later is in here by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Method, StatusCode};
use longrun::auth::{Keys, Links, Scope};
use longrun::http::routes;
use longrun::http::table::Entry;
use longrun::http::{App, Parts, Proxies, Quotas};
use longrun::store::clock::Machine;
use longrun::store::credential::LinkKey;
use longrun::store::memory;
use longrun::tracker::{Options, Tracker};
use serde_json::{Value, json};

use super::{NOBODY, OPERATIONS, made, revoke, token};
use crate::support::{Answer, Client, Server};

/// The routes, as the server makes its own.
pub(super) async fn routes() -> Vec<Entry> {
    let (store, reader) = memory::open(Arc::new(Machine::default()));
    let opened = Tracker::open(Box::new(store), reader, Options::default()).await;
    let (tracker, intake) = opened.expect("an empty store can be opened");
    let keys = Arc::new(Keys::default());
    let app = App::new(Parts {
        tracker: tracker.clone(),
        keys,
        links: Links::new(LinkKey([7; 32]), 1),
        registry: None,
        public_url: None,
        proxies: Proxies::default(),
        quotas: Arc::new(Quotas::new(1)),
        cors_origins: Vec::new(),
    });
    let entries = routes::table(app).entries().to_vec();
    tracker.close();
    tokio::task::spawn_blocking(move || intake.join()).await.unwrap().unwrap();
    assert!(entries.len() >= 10, "{entries:?}");
    entries
}

/// Those that a token opens, or nothing has to. What links open has tests of its own.
pub(super) async fn by_token() -> Vec<Entry> {
    routes().await.into_iter().filter(|route| route.scope != Scope::Link).collect()
}

/// Whether a route acts on one operation.
fn is_about_one(route: &Entry) -> bool {
    route.path.starts_with(&format!("{OPERATIONS}/{{id}}"))
}

/// Asks for a route; for which operation, where it acts on one.
pub(super) async fn ask(client: &Client, route: &Entry, id: &str) -> Answer {
    let path = route.path.replace("{id}", id).replace("{name}", "media").replace("{page}", "protocol");
    assert!(!path.contains('{'), "say here what stands for the parameters of {path}");
    let method = Method::from_bytes(route.method.as_bytes()).unwrap();
    if [Method::POST, Method::PATCH].contains(&method) {
        client.json(method, &path, &[], &json!({})).await
    } else {
        client.send(method, &path, &[], "").await
    }
}

/// What a token with only this scope may: writing includes reading, nothing else includes anything.
fn opens(scope: Scope, route: Scope) -> bool {
    route == Scope::Public || scope == route || (scope == Scope::ReadWrite && route == Scope::Read)
}

/// A server with tokens, and who asks it.
struct House {
    server: Server,
    /// For each scope that a token can be given.
    scoped: Vec<(Scope, Client)>,
    /// Everything inside the tenant `default`.
    owner: Client,
}

/// Everything that a tenant's own token can be given.
const ALL_OF_A_TENANT: &str = "Operation.ReadWrite,Operation.Execute,Operation.Manage";

fn house() -> House {
    let server = Server::start(&["--workers", "0"]);
    let client = server.client();
    let owner = client.with_token(&token(&server, &["--scope", ALL_OF_A_TENANT]));
    let scoped = Scope::GRANTED
        .map(|scope| (scope, client.with_token(&token(&server, &["--scope", scope.as_str()]))))
        .to_vec();
    House { server, scoped, owner }
}

#[tokio::test]
async fn a_scope_opens_its_routes_and_no_others() {
    let House { server: _server, scoped, owner } = house();
    for route in by_token().await {
        for (scope, client) in &scoped {
            let id = owner.submit(&json!({})).await;
            let answer = ask(client, &route, &id).await;
            let about = format!("{} {} with {scope}: {}", route.method, route.path, answer.text());
            if opens(*scope, route.scope) {
                assert!(!matches!(answer.status.as_u16(), 401 | 403 | 404 | 405 | 500..), "{about}");
            } else {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{about}");
                assert_eq!(answer.code(), "accessDenied", "{about}");
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_scope_does_not_tell_what_is_there() {
    let House { server: _server, scoped, owner } = house();
    let id = owner.submit(&json!({})).await;
    let mut refused = 0;
    for route in routes().await.iter().filter(|route| is_about_one(route)) {
        for (_, client) in scoped.iter().filter(|(scope, _)| !opens(*scope, route.scope)) {
            let there = ask(client, route, &id).await;
            let absent = ask(client, route, NOBODY).await;
            assert_eq!(there.status, StatusCode::FORBIDDEN, "{route:?}");
            assert_eq!(without_names(&there), without_names(&absent), "{route:?}");
            refused += 1;
        }
    }
    assert!(refused > 10, "only {refused} were tried");
}

#[tokio::test]
async fn whoever_has_no_valid_token_is_told_to_show_one() {
    let House { server, owner, .. } = house();
    let revoked = made(&server, &["--scope", ALL_OF_A_TENANT]);
    let (revoked, revoked_id) = (revoked["token"].as_str().unwrap(), revoked["id"].as_str().unwrap());
    let client = server.client();
    assert_eq!(client.with_token(revoked).get(&format!("{OPERATIONS}/{NOBODY}")).await.status, 404);
    revoke(&server, revoked_id);
    let good = token(&server, &["--scope", ALL_OF_A_TENANT]);
    let last = if good.ends_with('a') { 'b' } else { 'a' };
    let changed = format!("{}{last}", &good[..good.len() - 1]);
    let strangers = [
        ("none", client.clone()),
        ("nonsense", client.with_token("nonsense")),
        ("one of another secret", client.with_token(&changed)),
        ("a cut one", client.with_token(&good[..good.len() - 1])),
        ("a revoked one", client.with_token(revoked)),
    ];
    let id = owner.submit(&json!({})).await;
    for route in by_token().await {
        for (what, stranger) in &strangers {
            let answer = ask(stranger, &route, &id).await;
            let about = format!("{} {} with {what}: {}", route.method, route.path, answer.text());
            if route.scope == Scope::Public {
                assert_eq!(answer.status, StatusCode::OK, "{about}");
                continue;
            }
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{about}");
            assert_eq!(answer.code(), "unauthenticated", "{about}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{about}");
        }
    }
    assert_eq!(owner.operation(&id).await["status"], "NotStarted", "nobody has touched it");
}

/// An answer without what names the request and the moment.
fn without_names(answer: &Answer) -> (StatusCode, Vec<(String, String)>, Value) {
    let own = ["date", "request-id"];
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let mut body = answer.value();
    let inner = body["error"]["innerError"].as_object_mut().expect("every error has it");
    for name in own {
        assert!(inner.remove(name).is_some(), "{}", answer.text());
    }
    (answer.status, headers, body)
}

#[tokio::test]
async fn an_operation_of_another_tenant_is_as_one_that_never_was() {
    let House { server, owner, .. } = house();
    let theirs = ["--tenant", "acme", "--scope", ALL_OF_A_TENANT];
    let other = server.client().with_token(&token(&server, &theirs));
    let id = owner.submit(&json!({ "operationType": "shout", "input": "a secret" })).await;
    let before = owner.operation(&id).await;
    let mut tried = 0;
    for route in routes().await.iter().filter(|route| is_about_one(route)) {
        let foreign = ask(&other, route, &id).await;
        let absent = ask(&other, route, NOBODY).await;
        assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{route:?}: {}", foreign.text());
        assert_eq!(foreign.code(), "itemNotFound", "{route:?}");
        assert_eq!(without_names(&foreign), without_names(&absent), "{route:?}");
        tried += 1;
    }
    assert!(tried >= 6, "only {tried} routes act on one operation");
    assert_eq!(owner.operation(&id).await, before);

    // What is not asked for by its id shows nothing of another tenant either.
    let claim = json!({ "workerId": "w", "claim": { "id": "c", "limit": 100 } });
    assert_eq!(other.work(&claim).await["operations"], json!([]));
    assert_eq!(other.get("/v1.0/queues").await.value()["value"], json!([]));
    let report = json!({ "id": id, "leaseToken": 1, "status": "Completed" });
    let outcomes = other.work(&json!({ "workerId": "w", "reports": [report] })).await;
    assert_eq!(outcomes["outcomes"][0]["error"]["code"], "itemNotFound", "{outcomes}");
    let same = json!({ "id": id });
    let made = other.post(OPERATIONS, &same).await;
    assert_eq!(made.status, StatusCode::CREATED, "an id is its tenant's own: {}", made.text());
}

#[tokio::test]
async fn the_document_describes_every_route_and_no_other() {
    let server = Server::start(&["--workers", "0"]);
    let answer = server.client().get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.value();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let unguarded = if path.contains("{link}") { "link" } else { "public" };
            let scope = operation["security"][0]["bearer"][0].as_str().unwrap_or(unguarded);
            described.insert((method.to_uppercase(), path.clone(), scope.to_owned()));
        }
    }
    let table: BTreeSet<_> = routes()
        .await
        .into_iter()
        .map(|route| (route.method, route.path, route.scope.as_str().to_owned()))
        .collect();
    assert_eq!(described, table);
}
