//! A client that watches by the SDK hears of everything once and in order, though the server dies under it again and
//! again; and of nothing that is not there afterwards.

mod alone {
    use std::collections::HashSet;
    use std::sync::{Arc, Mutex};

    use http::{Method, StatusCode};
    use longrun_sdk::client::WatchFilter;
    use serde_json::json;
    use tokio::task::JoinSet;

    use crate::support::{Client, Server, until};

    const EVENTS: &str = "/v1.0/events";
    const SUBMITTERS: usize = 8;
    /// Acknowledgements between two kills.
    const ACKNOWLEDGED: usize = 200;

    /// An event: cursor, kind, operation.
    type Told = (String, String, String);

    /// Submits until the server is gone.
    async fn submitter(client: Client, acknowledged: Arc<Mutex<Vec<String>>>) {
        let headers = [("content-type", "application/json")];
        while let Ok(answer) = client.try_send(Method::POST, "/v1.0/operations", &headers, "{}").await {
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
            let id = answer.value()["id"].as_str().expect("an operation has an id").to_owned();
            acknowledged.lock().unwrap().push(id);
        }
    }

    /// Watches everything for ever.
    async fn watcher(url: String, begin: String, heard: Arc<Mutex<Vec<Told>>>) {
        let client = longrun_sdk::Client::builder(url).build().unwrap();
        let mut watch = client.watch_all(&WatchFilter::default()).after(begin);
        while let Some(event) = watch.next().await.expect("a server that comes back is no error") {
            let id = event.operation.expect("nothing was pruned").id.to_string();
            heard.lock().unwrap().push((event.cursor, event.event.to_string(), id));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_watch_outlives_servers_that_are_killed_and_misses_nothing() {
        let crashes = std::env::var("LONGRUN_CRASHES").map_or(5, |text| text.parse().expect("a number"));
        let mut server = Server::start(&["--workers", "2"]);
        let begin = server.client().watch(EVENTS, None).await.begin().await;
        let heard: Arc<Mutex<Vec<Told>>> = Arc::default();
        let acknowledged: Arc<Mutex<Vec<String>>> = Arc::default();
        let watching = tokio::spawn(watcher(server.url.clone(), begin.clone(), Arc::clone(&heard)));
        for _ in 0..crashes {
            let counts = || (acknowledged.lock().unwrap().len(), heard.lock().unwrap().len());
            let before = counts();
            let mut clients = JoinSet::new();
            for _ in 0..SUBMITTERS {
                clients.spawn(submitter(server.client(), Arc::clone(&acknowledged)));
            }
            until("enough that was acknowledged and told", || async {
                let now = counts();
                (now.0 - before.0 >= ACKNOWLEDGED && now.1 > before.1).then_some(())
            })
            .await;
            server.kill();
            while let Some(ended) = clients.join_next().await {
                ended.expect("no client saw anything wrong");
            }
            server.start_again();
        }
        let client = server.client();
        let last = client.submit(&json!({ "status": "Completed" })).await;
        until("the last event", || async {
            assert!(!watching.is_finished(), "the watch has ended");
            heard.lock().unwrap().iter().any(|(_, _, id)| *id == last).then_some(())
        })
        .await;
        watching.abort();

        let mut stored = Vec::new();
        let mut stream = client.watch(EVENTS, Some(&begin)).await;
        while stored.last().is_none_or(|(_, _, id): &Told| *id != last) {
            let event = stream.next().await.expect("it does not end");
            let id = event.data["id"].as_str().expect("an operation has an id").to_owned();
            stored.push((event.id, event.event, id));
        }
        let mut heard = heard.lock().unwrap().clone();
        let end = heard.iter().position(|(_, _, id)| *id == last).expect("it was waited for");
        heard.truncate(end + 1);
        assert_eq!(heard, stored);
        let created = heard.iter().filter(|(_, kind, _)| kind == "created").map(|(_, _, id)| id);
        let created: HashSet<&String> = created.collect();
        let acknowledged = acknowledged.lock().unwrap();
        assert!(acknowledged.len() >= crashes * ACKNOWLEDGED);
        assert!(acknowledged.iter().all(|id| created.contains(id)), "each that was acknowledged was told");
    }
}
