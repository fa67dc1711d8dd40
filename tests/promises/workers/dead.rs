//! What a dead worker held is ready again within its lease and a second; what kills every worker runs out of attempts.

mod alone {
    use chrono::{DateTime, TimeDelta, Utc};
    use longrun_sdk::wire::{EventKind, Status, Submit};
    use serde_json::json;

    use super::super::{History, times};
    use crate::support::{Programs, Server, Worker, until};

    const LEASE_SECONDS: i64 = 2;
    /// Workers that are killed at the same moment.
    const AT_ONCE: usize = 5;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_killed_workers_held_is_ready_again_within_lease_and_a_second() {
        let programs = Programs::new(&[("hold", "exec sleep 600")]);
        let server = Server::start(&["--workers", "0"]);
        let history = History::of(&server).await;
        for round in 0..times("LONGRUN_CRASHES", 10).div_ceil(AT_ONCE) {
            let ids = history.submit("hold", AT_ONCE).await;
            let path = programs.path("hold");
            let arguments = ["--lease-seconds", "2", "--concurrency", "1"];
            let workers = (0..AT_ONCE).map(|_| Worker::start(&server.url, "hold", &path, &arguments));
            let workers: Vec<Worker> = workers.collect();
            history.all(&ids, EventKind::Started).await;
            let killed = Utc::now();
            for worker in &workers {
                worker.signal("KILL");
            }
            history.all(&ids, EventKind::Retrying).await;
            let bound = killed + TimeDelta::seconds(LEASE_SECONDS + 1);
            for &id in &ids {
                let attempts = history.attempts(id).await;
                let first = attempts.first().expect("it is told");
                assert_eq!(first.outcome.as_deref(), Some("leaseExpired"));
                let ended = first.ended_date_time.as_deref().expect("it has ended");
                let ended: DateTime<Utc> = ended.parse().expect("it is a time");
                assert!(ended <= bound, "killed at {killed}, ready again at {ended}");
            }
            let claim = json!({ "id": round.to_string(), "operationTypes": ["hold"], "limit": AT_ONCE });
            let answer = server.client().work(&json!({ "workerId": "heir", "claim": claim })).await;
            let operations = answer["operations"].as_array().expect("they are always there");
            assert_eq!(operations.len(), AT_ONCE, "whoever claims has them");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_kills_every_worker_fails_in_the_end_and_the_others_flow_on() {
        const GOOD: usize = 40;
        // Its parent is the guard, and the guard's is the worker.
        let work = r#"read -r what
            [ "$what" = '"poison"' ] && kill -9 "$(sed 's/.*) . //; s/ .*//' "/proc/$PPID/stat")"
            sleep 0.05; echo "$what""#;
        let programs = Programs::new(&[("work", work)]);
        let server = Server::start(&["--workers", "0"]);
        let history = History::of(&server).await;
        let submit = |input: &str, attempts| {
            let submit = Submit::new("work").input(input).expect("it is JSON").max_attempts(attempts);
            let client = history.client.clone();
            async move { client.submit(submit).await.expect("it is taken").operation.id }
        };
        let poison = submit("poison", 3).await;
        let mut good = Vec::new();
        for _ in 0..GOOD {
            good.push(submit("good", 10).await);
        }
        let start = || {
            let arguments = ["--lease-seconds", "1", "--concurrency", "2"];
            Worker::start(&server.url, "work", &programs.path("work"), &arguments)
        };
        let (mut worker, mut deaths) = (start(), 0);
        until("its end", || {
            if worker.ended().is_some() {
                deaths += 1;
                worker = start();
            }
            let ended = history.count(poison, EventKind::Failed) > 0;
            std::future::ready(ended.then_some(()))
        })
        .await;
        let operation = history.client.get(poison).await.expect("it is kept").operation;
        let error = operation.error.expect("it has failed");
        assert_eq!((operation.status, error.code.as_str()), (Status::Failed, "leaseExpired"));
        assert_eq!((operation.attempts_count, deaths), (Some(3), 3));
        let outcomes = history.attempts(poison).await.into_iter().map(|attempt| attempt.outcome);
        assert!(outcomes.eq(vec![Some("leaseExpired".to_owned()); 3]));
        history.completed_once(&good).await;
    }
}
