//! `kill -9` never loses the page cache, so a server that does not sync would pass it: its system calls show that it does.

mod alone {
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use http::StatusCode;
    use serde_json::json;
    use tokio::task::JoinSet;

    use crate::support::{Server, until};

    /// Creates one by one.
    const ONE_BY_ONE: usize = 100;
    /// Clients that create at the same time, and creates of each.
    const CLIENTS: usize = 64;
    const EACH: usize = 50;

    /// Follows the system calls of a server into a file. Ended when dropped.
    struct Trace(Child);

    impl Trace {
        async fn of(server: &Server, file: &Path) -> Self {
            let calls = "trace=fsync,fdatasync,read,recvfrom,write,writev,sendto,sendmsg";
            let child = Command::new("strace")
                .args(["-f", "-y", "-s", "48", "-e", calls, "-p", &server.pid().to_string(), "-o"])
                .arg(file)
                .stderr(Stdio::null())
                .spawn()
                .expect("strace is installed");
            let trace = Self(child);
            let client = server.client();
            until("strace to follow", || async {
                client.get("/healthz").await;
                std::fs::read_to_string(file).is_ok_and(|seen| seen.contains("/healthz")).then_some(())
            })
            .await;
            trace
        }

        /// Ends it and gives what it saw.
        fn end(mut self, file: &Path) -> String {
            let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
            self.0.wait().expect("strace ends");
            std::fs::read_to_string(file).expect("strace wrote its file")
        }
    }

    impl Drop for Trace {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Whether a call synced the write-ahead log and is over. One that was interrupted by another thread's line is
    /// finished on a line of its own, which does not name the file again.
    fn is_sync(line: &str) -> bool {
        let begun_and_over = line.contains("fdatasync(") || line.contains("fsync(");
        (begun_and_over && line.contains("longrun.db-wal") && line.contains(") = 0"))
            || line.contains("fdatasync resumed>) = 0")
            || line.contains("fsync resumed>) = 0")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_create_is_synced_between_its_request_and_its_answer() {
        let server = Server::start(&["--workers", "0"]);
        let seen = server.data().join("calls");
        let trace = Trace::of(&server, &seen).await;
        let client = server.client();
        for n in 0..ONE_BY_ONE {
            client.submit(&json!({"operationType": "synced", "input": n})).await;
        }
        let calls = trace.end(&seen);
        let (mut answered, mut received, mut synced) = (0, false, false);
        for line in calls.lines() {
            if line.contains("POST /v1.0/operations") {
                assert!(!received, "requests come one by one");
                (received, synced) = (true, false);
            } else if is_sync(line) {
                synced = true;
            } else if line.contains("HTTP/1.1 201") {
                assert!(received && synced, "a create was answered before it was synced: {line}");
                answered += 1;
                received = false;
            }
        }
        assert_eq!(answered, ONE_BY_ONE);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn creates_at_the_same_time_share_their_syncs() {
        let server = Server::start(&["--workers", "0"]);
        let seen = server.data().join("calls");
        let trace = Trace::of(&server, &seen).await;
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let client = server.client();
            clients.spawn(async move {
                for _ in 0..EACH {
                    let answer = client.post("/v1.0/operations", &json!({"operationType": "synced"})).await;
                    assert_eq!(answer.status, StatusCode::CREATED);
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.expect("every create is answered");
        }
        let syncs = trace.end(&seen).lines().filter(|line| is_sync(line)).count();
        let creates = CLIENTS * EACH;
        assert!(syncs > 0 && syncs * 5 < creates, "{syncs} syncs for {creates} creates");
    }
}
