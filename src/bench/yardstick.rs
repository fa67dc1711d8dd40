//! What servers are held against. *null*: the same routes, limits, errors and serialiser over a tracker that answers
//! from memory; *axum*: ten lines. Neither can be reached from `longrun serve`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::load::LoadError;
use crate::auth::{Keys, Links};
use crate::http::{App, Parts, Proxies, Quotas};
use crate::limits;
use crate::operation::{self, Context, Seq, Timestamp};
use crate::server;
use crate::store::clock::Machine;
use crate::store::credential::LinkKey;
use crate::store::memory;
use crate::tracker::cache::Cache;
use crate::tracker::entry::{Denied, Entry, Submitted};
use crate::tracker::{Door, Options, Tracker};

/// Operations that the null tracker keeps, to be polled: what a cache costs that is full belongs to a tracker.
const KEPT: i64 = 1_000;

/// A door behind which nothing is kept but those.
struct Null {
    cache: Arc<Cache>,
    next: AtomicI64,
}

impl Door for Null {
    fn hand(&self, entry: Entry) -> Result<(), Denied> {
        let Entry::Submit(submit, reply) = entry else { return Err(Denied::ShuttingDown) };
        let seq = Seq(self.next.fetch_add(1, Ordering::Relaxed));
        let context = Context { now: Timestamp::wall(), jitter: 0.0 };
        let operation = operation::submit(&submit.submission, seq, context);
        if seq.0 <= KEPT {
            self.cache.put(&Arc::new(operation.clone()));
        }
        // Whoever is gone does not need to hear it.
        let _ = reply.send(Ok(Submitted { operation, replayed: false }));
        Ok(())
    }
}

/// Serves one of them on a free port until standard input ends.
pub(super) async fn serve(which: &str) -> Result<(), LoadError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let serving = async {
        match which {
            "null" => null(listener).await,
            "axum" => plain(listener).await,
            _ => Err(LoadError::Other(format!("there is no yardstick '{which}'"))),
        }
    };
    let mut input = tokio::io::stdin();
    tokio::select! {
        served = serving => served,
        _ = input.read_u8() => Ok(()),
    }
}

async fn null(listener: TcpListener) -> Result<(), LoadError> {
    let (store, reader) = memory::open(Arc::new(Machine::default()));
    let opened = Tracker::open(Box::new(store), reader, Options::default()).await;
    let (tracker, _loop) = opened.map_err(|error| LoadError::Other(error.to_string()))?;
    let cache = Arc::new(Cache::default());
    let door = Null { cache: cache.clone(), next: AtomicI64::new(1) };
    let tracker = tracker.behind(Arc::new(door), cache);
    let app = App::new(Parts {
        tracker,
        keys: Arc::new(Keys::default()),
        links: Links::new(LinkKey([0; 32]), 0),
        public_url: None,
        proxies: Proxies::default(),
        quotas: Arc::new(Quotas::new(limits::TOKEN_CREATES_PER_SECOND_DEFAULT)),
        cors_origins: Vec::new(),
        registry: None,
    });
    server::serve_app(app, listener).await;
    Ok(())
}

async fn plain(listener: TcpListener) -> Result<(), LoadError> {
    let router = Router::new().route(
        "/v1.0/operations",
        post(async |body: Bytes| {
            let mut operation: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            operation["id"] = uuid::Uuid::now_v7().to_string().into();
            operation["status"] = "NotStarted".into();
            let headers = [("content-type", "application/json"), ("location", "/v1.0/operations/1")];
            (StatusCode::CREATED, headers, operation.to_string())
        }),
    );
    Ok(axum::serve(listener, router).await?)
}
