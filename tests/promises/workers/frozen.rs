//! A worker that wakes up after its leases have ended changes nothing.

mod alone {
    use longrun_sdk::wire::{EventKind, Status};
    use uuid::Uuid;

    use super::super::{History, times};
    use crate::support::{Programs, Server, Worker, until};

    /// Waits for the word, and tells by which lease it was carried out.
    const HOLD: &str = r#"until [ -e "$NOTES/go" ]; do sleep 0.2; done; echo "$LONGRUN_LEASE_TOKEN""#;

    /// When the frozen workers wake up.
    #[derive(Clone, Copy, Debug)]
    enum Wake {
        /// Before anybody else has their operations; their programs have ended meanwhile.
        Before,
        /// While others carry them out.
        During,
        /// After others have completed them.
        After,
    }

    /// Workers that hold an operation each, and are frozen.
    struct Frozen {
        server: Server,
        programs: Programs,
        history: History,
        workers: Vec<Worker>,
        ids: Vec<Uuid>,
    }

    impl Frozen {
        async fn new(count: usize) -> Self {
            let server = Server::start(&["--workers", "0"]);
            let programs = Programs::new(&[("hold", HOLD)]);
            let history = History::of(&server).await;
            let ids = history.submit("hold", count).await;
            let mut frozen = Self { server, programs, history, workers: Vec::new(), ids };
            frozen.workers = (0..count).map(|_| frozen.worker(1)).collect();
            frozen.all_are(Status::Running).await;
            frozen.signal("STOP");
            frozen
        }

        fn worker(&self, concurrency: usize) -> Worker {
            let concurrency = concurrency.to_string();
            let arguments = ["--lease-seconds", "1", "--concurrency", &concurrency];
            Worker::start(&self.server.url, "hold", &self.programs.path("hold"), &arguments)
        }

        async fn all_are(&self, status: Status) {
            until(&format!("{status} of all"), || async {
                for &id in &self.ids {
                    if self.history.client.get(id).await.expect("it is kept").operation.status != status {
                        return None;
                    }
                }
                Some(())
            })
            .await;
        }

        fn signal(&self, name: &str) {
            self.workers.iter().for_each(|worker| worker.signal(name));
        }

        fn go(&self) {
            std::fs::write(self.programs.path("go").with_file_name("go"), "").expect("it can be written");
        }

        /// Each has heard that its lease is gone.
        async fn all_were_refused(&self) {
            for worker in &self.workers {
                until("the refusal", || async {
                    let said = worker.said();
                    (said.contains("leaseLost") || said.contains("lease lost")).then_some(())
                })
                .await;
            }
        }

        /// Each operation was completed once, by the last of its leases.
        async fn all_ended_well(&self) {
            let charged = self.history.completed_once(&self.ids).await;
            for (&id, charged) in self.ids.iter().zip(charged) {
                let operation = self.history.client.get(id).await.expect("it is kept").operation;
                let result: u64 = serde_json::from_str(operation.result.expect("it has one").get()).unwrap();
                let lost = self.history.attempts(id).await;
                assert!(!lost.is_empty() && lost.len() + 1 == charged as usize, "{charged}: {lost:?}");
                for attempt in lost {
                    assert_eq!(attempt.outcome.as_deref(), Some("leaseExpired"));
                    assert!(attempt.lease_token < result, "{attempt:?} and not {result}");
                }
                assert_eq!(self.history.count(id, EventKind::Started), charged as usize);
            }
        }
    }

    async fn round(count: usize, wake: Wake, server_is_killed: bool) {
        let mut frozen = Frozen::new(count).await;
        if server_is_killed {
            frozen.server.kill();
            frozen.server.start_again();
        }
        frozen.all_are(Status::NotStarted).await;
        let mut others = None;
        match wake {
            Wake::Before => {
                frozen.go();
                frozen.signal("CONT");
            }
            Wake::During => {
                others = Some(frozen.worker(count));
                frozen.all_are(Status::Running).await;
                frozen.signal("CONT");
                frozen.all_were_refused().await;
                frozen.go();
            }
            Wake::After => {
                frozen.go();
                others = Some(frozen.worker(count));
                frozen.all_are(Status::Completed).await;
                frozen.signal("CONT");
            }
        }
        frozen.all_were_refused().await;
        frozen.all_ended_well().await;
        drop(others);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn workers_frozen_past_their_leases_are_refused_and_every_operation_is_completed_once() {
        let workers = times("LONGRUN_FROZEN_WORKERS", 24);
        let kinds = [Wake::Before, Wake::During, Wake::After];
        let rounds: Vec<_> = kinds.into_iter().flat_map(|wake| [(wake, false), (wake, true)]).collect();
        let each = (workers / rounds.len()).clamp(1, 20);
        for (wake, server_is_killed) in rounds.into_iter().cycle().take(workers / each) {
            round(each, wake, server_is_killed).await;
        }
    }
}
