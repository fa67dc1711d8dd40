//! Whatever gets lost between workers and server is said again: nothing is carried out twice, and no attempt is charged
//! whose lease has not ended.

mod alone {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use chrono::{DateTime, TimeDelta, Utc};
    use longrun_sdk::wire::{Attempt, QueueChange, Submit};
    use longrun_sdk::{CancellationToken, Client, Context, HandlerError, Worker};
    use tokio::task::JoinSet;
    use uuid::Uuid;

    use super::super::{History, times};
    use crate::support::Server;
    use crate::support::proxy::{Fate, Passing, Proxy};

    const LEASE_SECONDS: u32 = 5;
    const WORKERS: usize = 4;
    const SUBMITTERS: usize = 16;
    /// More than this are refused: what is left in the end is carried out soon on a slow machine, too.
    const WAITING_MAX: u32 = 500;
    /// In each of these spans comes a storm, in which nothing gets through for longer than a lease.
    const SPAN: Duration = Duration::from_secs(20);
    const STORM: std::ops::Range<u64> = 4..11;

    /// What becomes of requests and answers: of one in twelve nothing good, in a storm of none.
    fn weather(dawn: Instant, over: &AtomicBool, lost: &AtomicUsize) -> Fate {
        let storm = STORM.contains(&(dawn.elapsed().as_secs() % SPAN.as_secs()));
        let fate = match fastrand::u32(..100) {
            _ if storm && !over.load(Ordering::Relaxed) => Fate::Lose,
            0..3 => Fate::Lose,
            3..6 => Fate::Tear,
            // Longer than anybody waits: it is swallowed, and the connection with it.
            6 => Fate::Delay(Duration::from_mins(1)),
            7..17 => return Fate::Delay(Duration::from_millis(fastrand::u64(..500))),
            _ => return Fate::Pass,
        };
        lost.fetch_add(1, Ordering::Relaxed);
        fate
    }

    /// Under which leases operations were carried out.
    #[derive(Clone, Default)]
    struct Begun(Arc<Mutex<HashSet<(Uuid, u64)>>>);

    impl Begun {
        /// Takes so many milliseconds, and tells how far it is.
        async fn carry_out(self, millis: u64, context: Context) -> Result<u64, HandlerError> {
            let lease = (context.id(), context.lease_token());
            assert!(self.0.lock().unwrap().insert(lease), "{lease:?} was carried out before");
            for step in 1..=4 {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(millis / 4)) => {}
                    () = context.cancellation().cancelled() => return Err(context.stopped()),
                }
                context.progress(step * 25, "further on");
            }
            Ok(context.lease_token())
        }
    }

    async fn submitter(client: Client, over: Arc<AtomicBool>) -> Vec<Uuid> {
        let mut ids = Vec::new();
        while !over.load(Ordering::Relaxed) {
            // Most are short; some go on beyond their first lease.
            let millis = match fastrand::u32(..20) {
                0..12 => 0,
                19 => 6_000,
                _ => fastrand::u64(..500),
            };
            let submit = Submit::new("weather").input(&millis).expect("it is JSON").max_attempts(100);
            ids.push(client.submit(submit).await.expect("it is taken in the end").operation.id);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        ids
    }

    /// That an attempt ended with its lease, when that was really over, or was handed back; whether it is charged.
    fn is_charged(attempt: &Attempt) -> bool {
        let time = |text: &Option<String>| -> DateTime<Utc> {
            text.as_deref().expect("it is told").parse().expect("it is a time")
        };
        match attempt.outcome.as_deref() {
            Some("released") => return false,
            outcome => assert_eq!(outcome, Some("leaseExpired"), "{attempt:?}"),
        }
        let lasted = time(&attempt.ended_date_time) - time(&attempt.started_date_time);
        assert!(lasted >= TimeDelta::seconds(LEASE_SECONDS.into()), "{attempt:?}");
        true
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_network_that_cuts_delays_and_swallows_costs_no_attempt_and_no_operation() {
        let server = Server::start(&["--workers", "0"]);
        let history = History::of(&server).await;
        let bounded = QueueChange { max_waiting: Some(Some(WAITING_MAX)), ..QueueChange::default() };
        history.client.set_queue("default", &bounded).await.expect("the queue is there");
        let lost = Arc::new(AtomicUsize::new(0));
        let over = Arc::<AtomicBool>::default();
        let (dawn, calm, losing) = (Instant::now(), Arc::clone(&over), Arc::clone(&lost));
        let proxy = Proxy::before(&server.url, move |_: &Passing<'_>| weather(dawn, &calm, &losing)).await;
        let (begun, shutdown) = (Begun::default(), CancellationToken::new());
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let begun = begun.clone();
            let worker = Worker::builder(&proxy.url)
                .concurrency(8)
                .lease_seconds(LEASE_SECONDS)
                .wait_seconds(2)
                .handler("weather", move |millis, context| begun.clone().carry_out(millis, context))
                .build()
                .expect("it can be built");
            workers.spawn(worker.run_until(shutdown.clone()));
        }
        let client =
            Client::builder(&proxy.url).deadline(Duration::from_mins(10)).build().expect("it is a URL");
        let mut submitters = JoinSet::new();
        for _ in 0..SUBMITTERS {
            submitters.spawn(submitter(client.clone(), Arc::clone(&over)));
        }
        let seconds = times("LONGRUN_WEATHER_SECONDS", 15);
        tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
        over.store(true, Ordering::Relaxed);
        let ids = submitters.join_all().await.concat();
        let charged = history.completed_once(&ids).await;
        let all = "/v1.0/operations/$count?$filter=operationType%20eq%20%27weather%27";
        let count = server.client().get(all).await;
        assert_eq!(count.text(), ids.len().to_string(), "none was made twice");
        let mut leases_ended = 0;
        for (&id, charged) in ids.iter().zip(charged) {
            let attempts = history.attempts(id).await;
            let ended = attempts.iter().filter(|attempt| is_charged(attempt)).count();
            assert_eq!(charged as usize, ended + 1, "{attempts:?}");
            leases_ended += ended;
        }
        shutdown.cancel();
        for stats in workers.join_all().await {
            assert_eq!(stats.expect("it ends well").failed, 0);
        }
        let lost = lost.load(Ordering::Relaxed);
        println!("{} operations, {lost} losses, {leases_ended} leases ended", ids.len());
        assert!(
            ids.len() > 10 * seconds && lost > 10 * seconds && leases_ended > 0,
            "it was put to the test"
        );
    }
}
