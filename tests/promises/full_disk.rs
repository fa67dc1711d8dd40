//! A disk without room refuses new work in words, and costs running work nothing; when room comes back, work goes on.

use std::fs::File;
use std::path::Path;

use http::StatusCode;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use serde_json::{Value, json};

use crate::support::{Client, Server, until};

fn free_bytes(directory: &Path) -> u64 {
    let stat = statvfs(directory).unwrap();
    stat.f_bavail * stat.f_frsize
}

async fn claimed(client: &Client, id: &str) -> Value {
    let claim = json!({"id": id, "operationTypes": ["t"], "leaseSeconds": 600});
    client.work(&json!({"workerId": "w", "claim": claim})).await["operations"][0].clone()
}

async fn create(client: &Client, input: &str) -> StatusCode {
    let answer = client.post("/v1.0/operations", &json!({"operationType": "t", "input": input})).await;
    if answer.status == StatusCode::INSUFFICIENT_STORAGE {
        assert_eq!(answer.code(), "storageFull");
    }
    answer.status
}

/// Completes it, with as much of a result as that.
async fn complete(client: &Client, operation: &Value, bytes: usize) {
    let report = json!({
        "id": operation["id"], "leaseToken": operation["lease"]["token"], "status": "Completed",
        "result": "x".repeat(bytes)
    });
    let answer = client.work(&json!({"workerId": "w", "reports": [report]})).await;
    assert!(answer["outcomes"][0].get("error").is_none(), "{answer}");
    let id = operation["id"].as_str().unwrap();
    assert_eq!(client.operation(id).await["status"], "Completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_watermark_creates_are_refused_and_work_finishes_until_room_is_back() {
    let scratch = tempfile::tempdir().unwrap();
    let free = free_bytes(scratch.path());
    let margin = (free / 4).min(512 << 20);
    let min_free = (free - margin).to_string();
    let server = Server::over(&scratch.path().join("data"), &["--workers", "0", "--min-free", &min_free]);
    let client = server.client();
    assert_eq!(create(&client, "first").await, StatusCode::CREATED);
    let running = claimed(&client, "c1").await;

    let filler = scratch.path().join("filler");
    fallocate(File::create(&filler).unwrap(), FallocateFlags::empty(), 0, 2 * margin).unwrap();
    until("the watermark to be noticed", async || {
        (create(&client, "more").await == StatusCode::INSUFFICIENT_STORAGE).then_some(())
    })
    .await;
    assert_eq!(client.get("/readyz").await.status, StatusCode::OK, "it works, for what runs");
    complete(&client, &running, 100).await;

    std::fs::remove_file(&filler).unwrap();
    until("room to be noticed", async || {
        (create(&client, "again").await == StatusCode::CREATED).then_some(())
    })
    .await;
}

mod alone {
    use std::process::Command;

    use super::*;

    /// A small file system of its own.
    struct Small(tempfile::TempDir);

    impl Small {
        fn mount(mib: u32) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let options = format!("size={mib}m");
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &options, "longrun-test"]).arg(directory.path());
            assert!(mount.status().unwrap().success(), "a tmpfs can be mounted");
            Self(directory)
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0.path()).status();
        }
    }

    /// Takes all of the room that is left.
    fn fill(directory: &Path) {
        let filler = File::create(directory.join("filler")).unwrap();
        fallocate(&filler, FallocateFlags::empty(), 0, free_bytes(directory)).unwrap();
        assert_eq!(free_bytes(directory), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "mounts a small file system, which only root may"]
    async fn on_a_disk_that_is_really_full_work_ends_on_the_reserve_even_over_a_restart() {
        let disk = Small::mount(48);
        let data = disk.0.path().join("data");
        let mut server = Server::over(&data, &["--workers", "0", "--min-free", "0"]);
        let client = server.client();
        let mut running = Vec::new();
        for n in 0..8 {
            assert_eq!(create(&client, "waits").await, StatusCode::CREATED);
            running.push(claimed(&client, &format!("c{n}")).await);
        }
        fill(disk.0.path());
        let large = "x".repeat(200_000);
        until("the disk to be full", async || {
            (create(&client, &large).await == StatusCode::INSUFFICIENT_STORAGE).then_some(())
        })
        .await;
        complete(&client, &running[0], 100_000).await;

        // Killed on a full disk, and the reserve's room taken by somebody: it opens on what is left.
        server.kill();
        server.start_again();
        let client = server.client();
        complete(&client, &running[1], 100_000).await;
        assert_eq!(client.get("/readyz").await.status, StatusCode::OK);

        std::fs::remove_file(disk.0.path().join("filler")).unwrap();
        until("room to be noticed", async || {
            (create(&client, "again").await == StatusCode::CREATED).then_some(())
        })
        .await;
        complete(&client, &running[2], 100).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "mounts a small file system, which only root may"]
    async fn a_disk_that_is_full_at_the_start_gives_the_reserve_up() {
        let disk = Small::mount(48);
        let data = disk.0.path().join("data");
        let mut server = Server::over(&data, &["--workers", "0", "--min-free", "0"]);
        assert_eq!(create(&server.client(), "waits").await, StatusCode::CREATED);
        let running = claimed(&server.client(), "c").await;
        server.kill();
        assert!(data.join("longrun.reserve").exists());
        fill(disk.0.path());
        server.start_again();
        complete(&server.client(), &running, 10_000).await;
    }
}
