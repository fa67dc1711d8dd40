//! The world of one scenario: a server, the wire to it, workers, operations; and the steps that do something.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::language::Language;
use crate::scenario::{Exits, Scenario, Start, Step, Submit};
use crate::support::{Client, PATIENCE, Server, Sse, cli};
use crate::wire::Wire;
use crate::worker::{QUEUE, Worker};

/// A worker that holds nothing ends at once when it is told to.
const FAREWELL: Duration = Duration::from_secs(10);

/// Of the token with which both the runner and its workers come.
const SCOPES: &str = "Operation.ReadWrite,Operation.Execute";

pub type Outcome = Result<(), String>;

pub struct World<'a> {
    pub scenario: &'a Scenario,
    pub language: Language,
    pub client: Client,
    pub wire: Wire,
    pub workers: Vec<Worker>,
    /// By their names: their ids.
    pub operations: BTreeMap<String, String>,
    /// What the watcher of an operation has seen, by its name.
    pub watchers: BTreeMap<String, Watcher>,
    server: Server,
    token: Option<String>,
    directory: tempfile::TempDir,
}

pub struct Watcher {
    pub seen: Arc<Mutex<Vec<Sse>>>,
    _watching: AbortOnDropHandle<()>,
}

/// Carries all steps out; an error tells which of them failed and how everything stood.
pub async fn carry_out(language: Language, scenario: &Scenario) -> Outcome {
    let server = Server::start(&["--workers", "0"]);
    let mut world = World {
        scenario,
        language,
        client: server.client(),
        wire: Wire::before(&server.url).await,
        workers: Vec::new(),
        operations: BTreeMap::new(),
        watchers: BTreeMap::new(),
        server,
        token: None,
        directory: tempfile::tempdir().map_err(|error| error.to_string())?,
    };
    for (at, step) in scenario.steps.iter().enumerate() {
        if let Err(error) = world.step(step).await {
            let around = world.account().await;
            return Err(format!("step {}, {step:?}:\n{error}\n{around}", at + 1));
        }
    }
    world.end().await
}

impl World<'_> {
    async fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Start(start) => self.start(start).await,
            Step::Stop(name) => self.signal(name, Signal::TERM),
            Step::Kill(name) => self.signal(name, Signal::KILL),
            Step::Freeze(name) => self.signal(name, Signal::STOP),
            Step::Continue(name) => self.signal(name, Signal::CONT),
            Step::Exits(exits) => self.exits(exits).await,
            Step::RequireTokens => {
                self.token = Some(cli::token(&self.server, &["--scope", SCOPES]));
                self.client = self.client.with_token(self.token.as_deref().unwrap_or_default());
                Ok(())
            }
            Step::KillServer => {
                self.server.kill();
                Ok(())
            }
            Step::StartServer => {
                self.server.start_again();
                Ok(())
            }
            Step::Submit(submit) => self.submit(submit).await,
            Step::Cancel(name) => self.cancel(name).await,
            Step::Touch(name) => std::fs::write(self.file(name), "").map_err(|error| error.to_string()),
            Step::Watch(name) => self.watch(name).await,
            Step::Swallow(exchange) => {
                self.wire.swallow(exchange.clone());
                Ok(())
            }
            Step::Passes(exchange) => self.passes(exchange).await,
            Step::Becomes(becomes) => self.becomes(becomes).await,
            Step::Seen(seen) => self.seen(seen).await,
            Step::Attempts(attempts) => self.attempts(attempts).await,
        }
    }

    async fn start(&mut self, start: &Start) -> Outcome {
        let start = Start { token: start.token.clone().or_else(|| self.token.clone()), ..start.clone() };
        let needed = self.scenario.operation_types();
        let address = self.wire.address(start.tls).await;
        self.workers.push(Worker::start(self.language, start, address, self.directory.path(), needed)?);
        Ok(())
    }

    /// The worker of a name; the last one, should there have been several.
    fn worker(&mut self, name: &str) -> Result<&mut Worker, String> {
        let found = self.workers.iter_mut().rev().find(|worker| worker.name() == name);
        found.ok_or_else(|| format!("there is no worker '{name}'"))
    }

    fn signal(&mut self, name: &str, signal: Signal) -> Outcome {
        let worker = self.worker(name)?;
        worker.tend()?;
        worker.may_end = matches!(signal, Signal::TERM | Signal::KILL);
        worker.signal(signal)
    }

    async fn exits(&mut self, exits: &Exits) -> Outcome {
        self.worker(&exits.worker)?.may_end = true;
        let began = Instant::now();
        loop {
            let worker = self.worker(&exits.worker)?;
            match worker.ended() {
                Some(status) if status.code() == Some(exits.code) => return Ok(()),
                Some(status) => return Err(format!("it ended with {status}")),
                None if began.elapsed() > Duration::from_secs(exits.within_seconds) => {
                    return Err(format!("it did not end within {} s", exits.within_seconds));
                }
                None => self.pause().await?,
            }
        }
    }

    async fn submit(&mut self, submit: &Submit) -> Outcome {
        let mut body = Value::Object(submit.body.clone());
        body["queue"] = json!(QUEUE);
        self.name_files(&mut body["input"]);
        if body["input"].is_null() {
            body.as_object_mut().and_then(|body| body.remove("input"));
        }
        let id = self.client.submit(&body).await;
        self.operations.insert(submit.operation.clone(), id);
        Ok(())
    }

    /// Puts paths in the place of `file:NAME`.
    fn name_files(&self, input: &mut Value) {
        match input {
            Value::String(text) => {
                if let Some(name) = text.strip_prefix("file:") {
                    *text = self.file(name).display().to_string();
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.name_files(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.name_files(value)),
            _ => {}
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The path of an operation by its name.
    pub fn path(&self, operation: &str) -> Result<String, String> {
        let id = self.operations.get(operation);
        let id = id.ok_or_else(|| format!("there is no operation '{operation}'"))?;
        Ok(format!("/v1.0/operations/{id}"))
    }

    async fn cancel(&mut self, name: &str) -> Outcome {
        let answer = self.client.send(Method::POST, &format!("{}/cancel", self.path(name)?), &[], "").await;
        let taken = matches!(answer.status, StatusCode::OK | StatusCode::ACCEPTED);
        if taken { Ok(()) } else { Err(answer.text()) }
    }

    async fn watch(&mut self, name: &str) -> Outcome {
        let mut stream = self.client.watch(&format!("{}/events", self.path(name)?), None).await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noting = seen.clone();
        let watching = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                noting.lock().expect("nobody panics with it").push(event);
            }
        }));
        self.watchers.insert(name.to_owned(), Watcher { seen, _watching: watching });
        Ok(())
    }

    /// The pause between two looks, in which the workers are looked after.
    pub async fn pause(&mut self) -> Outcome {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.workers.iter_mut().try_for_each(Worker::tend)
    }

    /// Whoever still works is stopped, and has to end well; and what was to be lost has to have been.
    async fn end(mut self) -> Outcome {
        if let Some(owed) = self.wire.owed() {
            return Err(owed);
        }
        let names: Vec<_> =
            self.workers.iter().filter(|worker| !worker.may_end).map(|w| w.name().to_owned()).collect();
        for name in &names {
            self.signal(name, Signal::TERM)?;
        }
        for name in names {
            let exits = Exits { worker: name, code: 0, within_seconds: FAREWELL.as_secs() };
            self.exits(&exits).await.map_err(|error| format!("{} at the end: {error}", exits.worker))?;
        }
        Ok(())
    }

    /// How everything stands.
    async fn account(&self) -> String {
        let mut lines = Vec::new();
        for (name, id) in &self.operations {
            for what in ["", "/attempts"] {
                let path = format!("/v1.0/operations/{id}{what}");
                let answer = self.client.try_send(Method::GET, &path, &[], "").await;
                let answer = answer.map_or_else(|error| error, |answer| answer.text());
                lines.push(format!("{name}{what}: {answer}"));
            }
        }
        for worker in &self.workers {
            lines.push(format!("{} says: {}", worker.name(), worker.says()));
        }
        lines.join("\n")
    }
}

/// How long a step waits that says nothing of it.
pub fn patience(seconds: Option<u64>) -> Duration {
    seconds.map_or(PATIENCE, Duration::from_secs)
}
