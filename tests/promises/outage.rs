//! An outage of the server costs its workers nothing: they speak first when it is back.

use std::time::Duration;

use serde_json::{Value, json};

mod alone {
    use tokio::time::{Instant, sleep};

    use super::{Duration, Value, json};
    use crate::support::{Client, Server, until};

    const HELD: usize = 20;

    /// A worker that holds operations and knows nothing of the server's troubles.
    struct Worker {
        client: Client,
        held: Vec<(String, i64)>,
        lease_seconds: u64,
    }

    impl Worker {
        /// Takes as many as are wanted, each of them fresh.
        async fn with_leases_of(server: &Server, lease_seconds: u64) -> Self {
            let (client, name) = (server.client(), format!("lease-{lease_seconds}"));
            for _ in 0..HELD {
                client.submit(&json!({"operationType": name})).await;
            }
            let claim =
                json!({"id": name, "operationTypes": [name], "limit": HELD, "leaseSeconds": lease_seconds});
            let answer = client.work(&json!({"workerId": name, "claim": claim})).await;
            let held = answer["operations"].as_array().unwrap().iter().map(|operation| {
                let token = operation["lease"]["token"].as_i64().unwrap();
                (operation["id"].as_str().unwrap().to_owned(), token)
            });
            let held: Vec<_> = held.collect();
            assert_eq!(held.len(), HELD);
            Self { client, held, lease_seconds }
        }

        /// Reports all it holds; false when there was no answer.
        async fn report(&self, status: &str) -> bool {
            let report =
                |(id, token): &(String, i64)| json!({"id": id, "leaseToken": token, "status": status});
            let reports: Vec<Value> = self.held.iter().map(report).collect();
            let worker = format!("lease-{}", self.lease_seconds);
            let body = json!({"workerId": worker, "reports": reports}).to_string();
            let headers = [("content-type", "application/json")];
            let sent = self.client.try_send(http::Method::POST, "/v1.0/work", &headers, body).await;
            let Ok(answer) = sent else { return false };
            let answer = answer.value();
            let outcomes = answer["outcomes"].as_array().unwrap();
            assert_eq!(outcomes.len(), HELD);
            for outcome in outcomes {
                assert!(outcome.get("error").is_none(), "a lease was lost: {outcome}");
            }
            true
        }

        /// Heartbeats at a third of the lease for so long, through all errors; how many were heard.
        async fn beat(&self, span: Duration) -> usize {
            let (end, mut heard) = (Instant::now() + span, 0);
            while Instant::now() < end {
                heard += usize::from(self.report("Running").await);
                sleep(Duration::from_secs(self.lease_seconds) / 3).await;
            }
            heard
        }

        /// What it held is still its own, in the first attempt, and it can end it.
        async fn assert_nothing_lost(&self) {
            for (id, _) in &self.held {
                let operation = self.client.operation(id).await;
                assert_eq!(
                    (&operation["status"], &operation["attemptsCount"]),
                    (&json!("Running"), &json!(1))
                );
                let attempts = self.client.get(&format!("/v1.0/operations/{id}/attempts")).await.value();
                assert_eq!(attempts["value"].as_array().map(Vec::len), Some(1), "{attempts}");
            }
            assert!(self.report("Completed").await);
            for (id, _) in &self.held {
                assert_eq!(self.client.operation(id).await["status"], "Completed");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_was_down_for_twice_the_lease_charges_no_attempt() {
        let mut server = Server::start(&["--workers", "0"]);
        let worker = Worker::with_leases_of(&server, 2).await;
        assert!(worker.beat(Duration::from_secs(1)).await >= 1);
        server.kill();
        assert_eq!(worker.beat(Duration::from_secs(4)).await, 0, "nobody listens");
        server.start_again();
        assert!(worker.beat(Duration::from_secs(4)).await >= 4);
        worker.assert_nothing_lost().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_was_frozen_charges_no_attempt() {
        let frozen = std::env::var("LONGRUN_FROZEN_SECONDS").map_or(12, |text| text.parse().unwrap());
        let server = Server::start(&["--workers", "0"]);
        let mut workers = Vec::new();
        for lease_seconds in 2..=5 {
            workers.push(Worker::with_leases_of(&server, lease_seconds).await);
        }
        let silent = Worker::with_leases_of(&server, 6).await;
        for worker in &workers {
            assert!(worker.report("Running").await);
        }
        server.signal("STOP");
        // Their heartbeats hang meanwhile, as those of real workers do.
        let beating = workers.into_iter().map(|worker| {
            tokio::spawn(async move {
                let heard = worker.beat(Duration::from_secs(frozen + 4)).await;
                (worker, heard)
            })
        });
        let beating: Vec<_> = beating.collect();
        sleep(Duration::from_secs(frozen)).await;
        server.signal("CONT");
        for beats in beating {
            let (worker, heard) = beats.await.expect("no lease was lost");
            assert!(heard >= 2, "{heard} heartbeats of leases of {} s", worker.lease_seconds);
            worker.assert_nothing_lost().await;
        }
        // Patience has an end: who says nothing after it either, has lost its lease.
        for (id, _) in &silent.held {
            until("the end of a silent worker's lease", async || {
                (silent.client.operation(id).await["status"] == "NotStarted").then_some(())
            })
            .await;
        }
    }
}
