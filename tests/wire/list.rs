//! Lists: pages, filters, counts, and what is no list.

use http::{Method, StatusCode};
use longrun::limits;
use serde_json::{Value, json};

use super::{OPERATIONS, claim, quiet, report};
use crate::support::{Answer, Client, Server};

const COUNT: &str = "/v1.0/operations/$count";

/// A path with these parameters, percent-encoded.
fn with(path: &str, parameters: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"$-._".contains(&byte);
        text.bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect::<String>()
    };
    let parameters: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("{path}?{}", parameters.join("&"))
}

async fn list(client: &Client, parameters: &[(&str, &str)]) -> Value {
    let answer = client.get(&with(OPERATIONS, parameters)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.value()
}

async fn such(client: &Client, filter: &str) -> Vec<String> {
    types(&list(client, &[("$filter", filter)]).await)
}

/// What its operations are of, in order.
fn types(page: &Value) -> Vec<String> {
    let text = |operation: &Value| operation["operationType"].as_str().unwrap().to_owned();
    page["value"].as_array().unwrap().iter().map(text).collect()
}

async fn submit(client: &Client, operation_type: &str, queue: &str, labels: Value) -> String {
    client.submit(&json!({ "operationType": operation_type, "queue": queue, "labels": labels })).await
}

/// Five operations: `e` is the newest, `b` failed, `c` completed, `d` runs.
async fn five() -> (Server, Client) {
    let server = quiet();
    let client = server.client();
    for (operation_type, queue) in [("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"), ("e", "default")] {
        let labels = json!({ "of": operation_type, "plus": "1+1 & more" });
        let body = json!({ "operationType": operation_type, "queue": queue, "labels": labels, "input": { "n": 1.50 } });
        let id = client.submit(&body).await;
        if !["b", "c", "d"].contains(&operation_type) {
            continue;
        }
        let want =
            json!({ "id": id, "queues": [queue], "operationTypes": [operation_type], "leaseSeconds": 3600 });
        let claimed = client.work(&json!({ "workerId": "w", "claim": want })).await;
        let token = claimed["operations"][0]["lease"]["token"].as_i64().unwrap();
        let error = json!({ "code": "upstream", "message": "no" });
        let end = match operation_type {
            "b" => {
                json!({ "id": id, "leaseToken": token, "status": "Failed", "error": error, "retryable": false })
            }
            "c" => json!({ "id": id, "leaseToken": token, "status": "Completed", "result": [2.50] }),
            _ => json!({ "id": id, "leaseToken": token, "status": "Running", "percentComplete": 40 }),
        };
        report(&client, end).await;
    }
    (server, client)
}

#[tokio::test]
async fn a_list_shows_what_a_get_shows_but_payloads_the_newest_first() {
    let (_server, client) = five().await;
    let page = list(&client, &[]).await;
    assert_eq!(types(&page), ["e", "d", "c", "b", "a"]);
    assert_eq!((page.get("@odata.count"), page.get("@odata.nextLink")), (None, None));
    for operation in page["value"].as_array().unwrap() {
        let mut shown = client.operation(operation["id"].as_str().unwrap()).await;
        for apart in ["input", "result", "waiting"] {
            shown.as_object_mut().unwrap().remove(apart);
        }
        assert_eq!(*operation, shown);
    }
    assert_eq!(types(&list(&client, &[("$orderby", "createdDateTime")]).await), ["a", "b", "c", "d", "e"]);
    assert_eq!(types(&list(&client, &[("$orderby", "createdDateTime desc")]).await)[0], "e");
    let none = list(&client, &[("$filter", "queue eq 'none'"), ("$count", "true")]).await;
    assert_eq!(none, json!({ "value": [], "@odata.count": 0 }));
}

#[tokio::test]
async fn filters_choose_by_every_property() {
    let (_server, client) = five().await;
    let of_c = client.operation(list(&client, &[]).await["value"][2]["id"].as_str().unwrap()).await;
    let created = of_c["createdDateTime"].as_str().unwrap();
    let since = format!("createdDateTime ge {created}");
    let before = format!("createdDateTime lt {created} or lastActionDateTime lt {created}");
    for (filter, expected) in [
        ("status eq 'Failed'", vec!["b"]),
        ("status eq 'Running'", vec!["d"]),
        ("status in ('NotStarted','Completed')", vec!["e", "c", "a"]),
        ("queue eq 'x' and status eq 'Failed'", vec!["b"]),
        ("queue eq 'y' or operationType eq 'a'", vec!["d", "c", "a"]),
        ("not (queue eq 'x')", vec!["e", "d", "c"]),
        ("startswith(queue,'d')", vec!["e"]),
        ("priority eq 0 and priority gt -1", vec!["e", "d", "c", "b", "a"]),
        ("labels/of gt 'c' and labels/plus eq '1+1 & more'", vec!["e", "d"]),
        (&since, vec!["e", "d", "c"]),
        (&before, vec!["b", "a"]),
    ] {
        assert_eq!(such(&client, filter).await, expected, "{filter}");
        let counted = client.get(&with(COUNT, &[("$filter", filter)])).await;
        assert_eq!(counted.text(), expected.len().to_string(), "{filter}");
        assert!(counted.header("content-type").unwrap().starts_with("text/plain"));
    }
    assert_eq!(client.get(COUNT).await.text(), "5");
    let plus = client.get(&format!("{OPERATIONS}?$filter=queue+eq+'x'&api-version=1&unknown")).await;
    assert_eq!(types(&plus.value()), ["b", "a"], "a plus is a blank, other parameters are let be");
}

#[tokio::test]
async fn what_is_selected_is_shown_as_it_was_sent() {
    let (_server, client) = five().await;
    let raw = r#"{ "operationType": "raw", "input": { "n": 1.50 } }"#;
    client.send(Method::POST, OPERATIONS, &[("content-type", "application/json")], raw).await;
    let filter = "$filter=operationType%20in%20('c','raw')";
    let answer = client.get(&format!("{OPERATIONS}?$select=input,result&{filter}")).await;
    let text = answer.text();
    assert!(text.contains("{ \"n\": 1.50 }"), "as the bytes that were sent: {text}");
    let operation = &answer.value()["value"][1];
    let names: Vec<&str> = operation.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["@odata.type", "id", "input", "result"]);
    let page = list(&client, &[("$select", "status, labels,error"), ("$top", "5")]).await;
    let of_b = &page["value"][4];
    assert_eq!((&of_b["status"], &of_b["error"]["code"]), (&json!("Failed"), &json!("upstream")));
    assert_eq!((of_b.get("queue"), of_b.get("input")), (None, None));
    assert!(page["@odata.nextLink"].as_str().unwrap().contains("$select=status%2C%20labels%2Cerror"));
}

#[tokio::test]
async fn pages_follow_their_links_while_others_submit() {
    let server = quiet();
    let client = server.client();
    let mut expected = Vec::new();
    for n in 0..23 {
        expected.push(submit(&client, "t", "q", json!({ "n": n.to_string() })).await);
    }
    expected.reverse();
    let first = with(
        OPERATIONS,
        &[("$filter", "queue eq 'q'"), ("$top", "5"), ("$count", "true"), ("api-version", "1")],
    );
    let mut next = Some(first);
    let mut found = Vec::new();
    while let Some(url) = next {
        let page = client.get(&url).await.value();
        let ids = page["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|operation| operation["id"].as_str().unwrap().to_owned());
        found.extend(ids);
        assert!(page["@odata.count"].as_u64().unwrap() >= 23);
        next = page["@odata.nextLink"].as_str().map(str::to_owned);
        if let Some(link) = &next {
            assert!(link.starts_with(&format!("{}{OPERATIONS}?", server.url)), "{link}");
            assert!(
                link.contains("$filter=queue%20eq%20%27q%27&$top=5&$count=true&api-version=1&$skiptoken="),
                "{link}"
            );
            submit(&client, "t", "q", json!({})).await;
        }
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn links_begin_with_the_public_url() {
    let server = Server::start(&["--workers", "0", "--public-url", "https://ops.example/longrun"]);
    let client = server.client();
    for _ in 0..2 {
        client.submit(&json!({})).await;
    }
    let page = list(&client, &[("$top", "1")]).await;
    let link = page["@odata.nextLink"].as_str().unwrap();
    assert!(link.starts_with("https://ops.example/longrun/v1.0/operations?$top=1&$skiptoken="), "{link}");
}

fn refusal(answer: &Answer) -> (u16, String, String) {
    let error = &answer.value()["error"];
    (answer.status.as_u16(), answer.code(), error["target"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn what_is_no_option_is_refused_by_name() {
    let server = quiet();
    let client = server.client();
    client.submit(&json!({})).await;
    client.submit(&json!({})).await;
    for (query, code, target) in [
        ("$filter=status%20eq%20'String'", "invalidFilter", "$filter"),
        ("$filter=status%20eq%20%ff", "invalidFilter", "$filter"),
        ("$filter=labels/%C3%A9%20eq%20'a'", "invalidFilter", "$filter"),
        ("$filter=priority%20eq%20'1'", "invalidFilter", "$filter"),
        ("$filter=", "invalidFilter", "$filter"),
        ("$filter=priority%20eq%201&$filter=priority%20eq%201", "invalidFilter", "$filter"),
        ("$orderby=lastActionDateTime", "invalidFilter", "$orderby"),
        ("$top=0", "invalidFilter", "$top"),
        ("$top=1001", "invalidFilter", "$top"),
        ("$select=id,nothing", "invalidFilter", "$select"),
        ("$count=yes", "invalidFilter", "$count"),
        ("$search=a", "invalidFilter", "$search"),
        ("$skiptoken=abc", "invalidCursor", "$skiptoken"),
    ] {
        let answer = client.get(&format!("{OPERATIONS}?{query}")).await;
        assert_eq!(refusal(&answer), (400, code.to_owned(), target.to_owned()), "{query}: {}", answer.text());
    }
    let wrong = client.get(&with(OPERATIONS, &[("$filter", "status eq 'Failed' adn queue eq 'a'")])).await;
    let message = wrong.value()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "$filter: at character 20: expected and, or, or the end, found \"adn\"");
    let link = list(&client, &[("$top", "1")]).await["@odata.nextLink"].as_str().unwrap().to_owned();
    for other in ["$filter=priority%20eq%200", "$orderby=createdDateTime"] {
        let answer = client.get(&format!("{link}&{other}")).await;
        assert_eq!(refusal(&answer).1, "invalidCursor", "a token is of one list: {other}");
    }
    assert_eq!(client.get(&format!("{COUNT}?$top=1")).await.code(), "invalidFilter");
    let longest = format!("{OPERATIONS}?$filter={}", "%20".repeat(2049));
    assert_eq!(client.get(&longest).await.code(), "invalidFilter");
}

#[tokio::test]
async fn a_head_of_a_list_has_its_headers_and_no_body() {
    let server = quiet();
    let client = server.client();
    client.submit(&json!({})).await;
    for path in [OPERATIONS, COUNT] {
        let got = client.get(path).await;
        let head = client.send(Method::HEAD, path, &[], "").await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
        assert_eq!(head.header("content-type"), got.header("content-type"), "{path}");
        assert_eq!(head.header("content-length"), Some(&*got.body.len().to_string()), "{path}");
    }
}

#[tokio::test]
async fn a_list_sees_every_write_that_was_acknowledged_before() {
    let server = quiet();
    let client = server.client();
    for n in 0..20 {
        let id = client.submit(&json!({ "operationType": "shout" })).await;
        assert_eq!(list(&client, &[("$top", "1")]).await["value"][0]["id"], id.as_str());
        let token = claim(&client, "shout", &format!("c{n}")).await;
        assert_eq!(such(&client, "status eq 'Running'").await.len(), 1);
        report(&client, json!({ "id": id, "leaseToken": token, "status": "Completed" })).await;
        assert_eq!(such(&client, "status eq 'Running'").await.len(), 0);
        let completed = with(COUNT, &[("$filter", "status eq 'Completed'")]);
        assert_eq!(client.get(&completed).await.text(), (n + 1).to_string());
    }
}

#[tokio::test]
async fn a_page_ends_before_it_holds_too_much() {
    let server = quiet();
    let client = server.client();
    let input = "x".repeat(limits::PAYLOAD_BYTES_MAX - 2);
    let most = limits::LIST_BYTES_MAX / limits::PAYLOAD_BYTES_MAX;
    for count in 1..=most + 1 {
        client.submit(&json!({ "input": input })).await;
        if count + 1 < most {
            continue;
        }
        let page = list(&client, &[("$select", "id,input")]).await;
        assert_eq!(page["value"].as_array().unwrap().len(), count.min(most));
        let next = page["@odata.nextLink"].as_str();
        assert_eq!(next.is_some(), count > most, "{next:?} after {count}");
        if let Some(next) = next {
            let rest = client.get(next).await.value();
            assert_eq!(rest["value"].as_array().unwrap().len(), count - most);
        }
    }
    assert_eq!(
        list(&client, &[]).await["value"].as_array().unwrap().len(),
        most + 1,
        "without them it is small"
    );
}
