//! SIGTERM loses nothing: what runs may end, and the rest goes on elsewhere from where it stood.

mod alone {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use longrun_sdk::wire::{EventKind, Submit};
    use longrun_sdk::{CancellationToken, Client, Context, HandlerError};
    use serde::de::IgnoredAny;
    use serde_json::json;
    use tokio::task::JoinSet;
    use uuid::Uuid;

    use super::super::{History, times};
    use crate::support::{Programs, Server, Worker, until};

    /// Twenty steps with a checkpoint each; notes where it begins, and what it has made.
    const STEPS: &str = r#"
        own=$NOTES/$LONGRUN_OPERATION_ID at=0
        [ -n "$LONGRUN_CHECKPOINT_FILE" ] && read -r at < "$LONGRUN_CHECKPOINT_FILE"
        echo "begins $at" >> "$own"
        while [ "$at" -lt 20 ]; do
          sleep 0.05; at=$((at + 1))
          echo "checkpoint=$at" >&2; echo "made $at" >> "$own"
        done
        echo "$at""#;

    /// What they have is let go of in the time they are given; a loaded machine may take a while longer.
    fn ended_in_time(grace: u64, asked: Instant) {
        assert!(asked.elapsed() < 10 * Duration::from_secs(grace), "{:?}", asked.elapsed());
    }

    /// Each attempt began where the one before it had left off.
    fn resumed(notes: &str) {
        let mut made = 0;
        for line in notes.lines() {
            let (what, at) = line.split_once(' ').expect("two words");
            let at: u32 = at.parse().expect("a number");
            if what == "begins" {
                // It may have been ended between the two lines that tell of one step.
                assert!(at == made || at == made + 1, "{notes}");
            }
            made = at;
        }
        assert_eq!(made, 20, "{notes}");
    }

    /// What is handed back is given another attempt for it.
    async fn none_is_charged(history: &History, ids: &[Uuid], charged: &[u32]) {
        if let Some((&id, _)) = ids.iter().zip(charged).find(|&(_, &attempts)| attempts != 1) {
            let (attempts, told) = (history.attempts(id).await, history.events()[&id].clone());
            panic!("{id} is charged more than one attempt: {attempts:#?} {told:?}");
        }
    }

    /// That no attempt ended otherwise than by being handed back; how many did.
    async fn none_but_released(history: &History, id: Uuid) -> usize {
        let attempts = history.attempts(id).await;
        assert!(
            attempts.iter().all(|attempt| attempt.outcome.as_deref() == Some("released")),
            "{attempts:?}"
        );
        assert_eq!(attempts.len(), history.count(id, EventKind::Released));
        attempts.len()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_busy_worker_that_is_told_to_end_hands_back_what_it_cannot_end() {
        const GRACE: u64 = 1;
        let programs = Programs::new(&[("steps", STEPS)]);
        let server = Server::start(&["--workers", "0"]);
        let history = History::of(&server).await;
        let (mut ids, mut released) = (Vec::new(), 0);
        let start = || {
            let arguments = ["--concurrency", "4", "--grace", "1"];
            Worker::start(&server.url, "steps", &programs.path("steps"), &arguments)
        };
        for _ in 0..times("LONGRUN_TERMS", 5) {
            let fresh = history.submit("steps", 4).await;
            let mut worker = start();
            // Some of them run, and some wait.
            let begun = || programs.note(&fresh[0].to_string()).is_some();
            until("the begin of one", || std::future::ready(begun().then_some(()))).await;
            ids.extend(fresh);
            let asked = Instant::now();
            worker.signal("TERM");
            assert_eq!(worker.wait().code(), Some(0), "{}", worker.said());
            ended_in_time(GRACE, asked);
        }
        let last = start();
        let charged = history.completed_once(&ids).await;
        assert!(
            charged.iter().all(|&attempts| attempts == 1),
            "what is handed back is not charged: {charged:?}"
        );
        for &id in &ids {
            released += none_but_released(&history, id).await;
            resumed(&programs.note(&id.to_string()).expect("it was carried out"));
        }
        assert!(released > 0, "something was handed back");
        drop(last);
    }

    /// Submits operations of both kinds until it is over; those that were acknowledged.
    async fn submitter(client: Client, over: Arc<AtomicBool>, taken: Arc<AtomicUsize>) -> Vec<Uuid> {
        let mut ids = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let submit = match ids.len() % 8 {
                0 => Submit::new("sleep").input(&json!({ "seconds": 1, "steps": 20 })).expect("it is JSON"),
                _ => Submit::new("quick"),
            };
            ids.push(client.submit(submit).await.expect("it is taken in the end").operation.id);
            taken.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ids
    }

    async fn quick(_: IgnoredAny, _: Context) -> Result<(), HandlerError> {
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_loaded_server_that_is_told_to_end_loses_nothing() {
        const GRACE: u64 = 3;
        let mut server = Server::start(&["--workers", "4", "--grace", "3"]);
        let history = History::of(&server).await;
        let (over, taken, shutdown) = (Arc::default(), Arc::default(), CancellationToken::new());
        let worker = longrun_sdk::Worker::builder(&server.url).handler("quick", quick).build().unwrap();
        let working = tokio::spawn(worker.run_until(shutdown.clone()));
        let mut submitters = JoinSet::new();
        for _ in 0..8 {
            submitters.spawn(submitter(history.client.clone(), Arc::clone(&over), Arc::clone(&taken)));
        }
        for _ in 0..times("LONGRUN_TERMS", 5) {
            let before = taken.load(Ordering::Relaxed);
            let more = || taken.load(Ordering::Relaxed) >= before + 100;
            until("load", || std::future::ready(more().then_some(()))).await;
            let asked = Instant::now();
            server.signal("TERM");
            assert_eq!(server.wait().code(), Some(0));
            ended_in_time(GRACE, asked);
            server.start_again();
        }
        over.store(true, Ordering::Relaxed);
        let ids = submitters.join_all().await.concat();
        let charged = history.completed_once(&ids).await;
        none_is_charged(&history, &ids, &charged).await;
        let mut released = 0;
        for &id in &ids {
            released += none_but_released(&history, id).await;
            let percents: Vec<_> = history.events()[&id].iter().filter_map(|told| told.percent).collect();
            assert!(percents.is_sorted(), "it goes on where it stood: {percents:?}");
        }
        assert!(released > 0, "something was handed back");
        shutdown.cancel();
        let stats = working.await.expect("it has not panicked").expect("it ends well");
        assert_eq!((stats.lost, stats.failed), (0, 0), "{stats:?}");
    }
}
