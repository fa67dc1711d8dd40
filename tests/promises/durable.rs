//! What was acknowledged survives `kill -9`: a ledger outside of the server knows what was, and finds all of it again.

mod alone {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Method, StatusCode};
    use serde_json::{Value, json};
    use tokio::sync::Mutex;
    use tokio::task::JoinSet;

    use crate::support::{Client, Server, until};

    /// Clients that submit, each one request after the other.
    const SUBMITTERS: usize = 64;
    /// Requests that must be under way when the server is killed.
    const IN_FLIGHT: usize = 50;
    /// Acknowledgements between two kills.
    const ACKNOWLEDGED: usize = 1000;

    /// Operations that the worker takes at once.
    const CLAIM_LIMIT: usize = 20;

    /// What the server has said, kept outside of it.
    #[derive(Default)]
    struct Ledger {
        /// Ids that were acknowledged.
        submitted: Mutex<Vec<String>>,
        /// Ids whose completion was acknowledged.
        completed: Mutex<Vec<String>>,
        in_flight: AtomicUsize,
        next: AtomicUsize,
    }

    /// Submits until the server is gone.
    async fn submitter(client: Client, ledger: Arc<Ledger>) {
        loop {
            let key = format!("k{}", ledger.next.fetch_add(1, Ordering::Relaxed));
            let headers = [("content-type", "application/json"), ("idempotency-key", &key)];
            ledger.in_flight.fetch_add(1, Ordering::Relaxed);
            let body = r#"{"operationType":"crash","input":{"n":1}}"#;
            let sent = client.try_send(Method::POST, "/v1.0/operations", &headers, body).await;
            ledger.in_flight.fetch_sub(1, Ordering::Relaxed);
            let Ok(answer) = sent else { return };
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
            let id = answer.value()["id"].as_str().expect("an operation has an id").to_owned();
            ledger.submitted.lock().await.push(id);
        }
    }

    /// Claims and completes until the server is gone; what it claimed last stays under its lease.
    async fn worker(client: Client, ledger: Arc<Ledger>) {
        let name = format!("w{}", ledger.next.fetch_add(1, Ordering::Relaxed));
        let mut reports: Vec<Value> = Vec::new();
        for n in 0.. {
            let claim = json!({"id": n.to_string(), "operationTypes": ["crash"], "limit": CLAIM_LIMIT, "leaseSeconds": 60});
            let body = json!({"workerId": name, "reports": reports, "claim": claim});
            let headers = [("content-type", "application/json")];
            let Ok(answer) = client.try_send(Method::POST, "/v1.0/work", &headers, body.to_string()).await
            else {
                return;
            };
            let answer = answer.value();
            let said = answer["outcomes"].as_array().expect("outcomes are always there").iter();
            let ok = said.filter(|outcome| outcome["error"].is_null());
            let ids = ok.filter_map(|outcome| outcome["id"].as_str().map(str::to_owned));
            ledger.completed.lock().await.extend(ids);
            let claimed = answer["operations"].as_array().expect("operations are always there").iter();
            let done = claimed.map(|operation| {
                json!({"id": operation["id"], "leaseToken": operation["lease"]["token"], "status": "Completed"})
            });
            reports = done.collect();
        }
    }

    /// One life of the server: under load until enough was acknowledged, then killed in the middle of it.
    async fn live_and_die(server: &mut Server, ledger: &Arc<Ledger>) {
        let before = ledger.submitted.lock().await.len();
        let mut clients = JoinSet::new();
        for _ in 0..SUBMITTERS {
            clients.spawn(submitter(server.client(), ledger.clone()));
        }
        clients.spawn(worker(server.client(), ledger.clone()));
        until("enough acknowledgements, and enough requests under way", || async {
            let acknowledged = ledger.submitted.lock().await.len() - before;
            let busy = ledger.in_flight.load(Ordering::Relaxed) >= IN_FLIGHT;
            (acknowledged >= ACKNOWLEDGED && busy).then_some(())
        })
        .await;
        server.kill();
        while let Some(ended) = clients.join_next().await {
            ended.expect("no client saw anything wrong");
        }
    }

    /// These acknowledged operations are there, and what runs has a lease; how many run.
    async fn audit(client: &Client, submitted: &[String], completed: &[String]) -> usize {
        let mut running = 0;
        for id in submitted {
            if client.operation(id).await["status"] == "Running" {
                running += 1;
                let attempts = client.get(&format!("/v1.0/operations/{id}/attempts")).await.value();
                let last = attempts["value"].as_array().and_then(|attempts| attempts.last()).cloned();
                let last = last.unwrap_or_else(|| panic!("{id} runs without an attempt"));
                assert!(last["endedDateTime"].is_null(), "{id} runs without a lease: {last}");
            }
        }
        for id in completed {
            assert_eq!(client.operation(id).await["status"], "Completed", "{id}");
        }
        running
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_acknowledged_survives_kill_9_again_and_again() {
        let crashes =
            std::env::var("LONGRUN_CRASHES").map_or(20, |crashes| crashes.parse().expect("a number"));
        let mut server = Server::start(&["--workers", "0"]);
        let ledger = Arc::new(Ledger::default());
        let (mut submitted, mut completed) = (0, 0);
        for crash in 1..=crashes {
            live_and_die(&mut server, &ledger).await;
            server.start_again();
            let all = (ledger.submitted.lock().await.clone(), ledger.completed.lock().await.clone());
            let running = audit(&server.client(), &all.0[submitted..], &all.1[completed..]).await;
            assert!(
                running <= CLAIM_LIMIT * crash,
                "only what a worker held last may still run, not {running}"
            );
            (submitted, completed) = (all.0.len(), all.1.len());
        }
        let all = (ledger.submitted.lock().await.clone(), ledger.completed.lock().await.clone());
        audit(&server.client(), &all.0, &all.1).await;
        assert!(submitted >= crashes * ACKNOWLEDGED && completed >= crashes * CLAIM_LIMIT);
    }
}
