//! The steps that wait for something, or look whether it is so.

use std::time::Instant;

use chrono::{DateTime, FixedOffset};
use serde_json::Value;

use crate::like::is_like;
use crate::run::{Outcome, World, patience};
use crate::scenario::{Attempts, Becomes, Exchange, Seen};

impl World<'_> {
    pub async fn becomes(&mut self, becomes: &Becomes) -> Outcome {
        let path = self.path(&becomes.operation)?;
        let (began, patience) = (Instant::now(), patience(becomes.within_seconds));
        loop {
            let operation = self.client.get(&path).await.value();
            if is_like(&operation, &becomes.like) {
                return Ok(());
            }
            if matches!(operation["status"].as_str(), Some("Completed" | "Failed")) {
                return Err(format!("it has ended otherwise: {operation}"));
            }
            if began.elapsed() > patience {
                return Err(format!("it was not so within {patience:?}"));
            }
            self.pause().await?;
        }
    }

    pub async fn passes(&mut self, exchange: &Exchange) -> Outcome {
        let began = Instant::now();
        while !self.wire.has_passed(exchange) {
            if began.elapsed() > patience(None) {
                return Err("nothing like it has passed".to_owned());
            }
            self.pause().await?;
        }
        Ok(())
    }

    pub async fn seen(&mut self, expected: &Seen) -> Outcome {
        let began = Instant::now();
        loop {
            let watcher = self.watchers.get(&expected.operation);
            let watcher = watcher.ok_or_else(|| format!("nobody watches '{}'", expected.operation))?;
            let seen = watcher.seen.lock().expect("nobody panics with it").clone();
            if seen.iter().any(|sse| sse.event == expected.event && is_like(&sse.data, &expected.like)) {
                return Ok(());
            }
            if began.elapsed() > patience(None) {
                return Err(format!("the watcher has seen only {seen:?}"));
            }
            self.pause().await?;
        }
    }

    pub async fn attempts(&self, expected: &Attempts) -> Outcome {
        let path = self.path(&expected.operation)?;
        let answer = self.client.get(&format!("{path}/attempts")).await.value();
        let attempts = answer["value"].as_array().ok_or("no list of attempts")?;
        let as_expected = attempts.len() == expected.are.len()
            && attempts.iter().zip(&expected.are).all(|(attempt, expected)| is_like(attempt, expected));
        if !as_expected {
            return Err("the attempts are others".to_owned());
        }
        let mut pairs = attempts.windows(2);
        if pairs.any(|pair| pair[0]["leaseToken"].as_u64() >= pair[1]["leaseToken"].as_u64()) {
            return Err("the lease tokens do not grow".to_owned());
        }
        let latest = self.client.get(&path).await.value();
        let begun = attempts.iter().skip(1).chain([&latest]).map(|next| time(&next["startedDateTime"]));
        for (attempt, begun) in attempts.iter().zip(begun) {
            let apart = begun? - time(&attempt["endedDateTime"])?;
            if expected.seconds_between.is_some_and(|least| apart.as_seconds_f64() < least) {
                return Err(format!("two attempts are only {apart} apart"));
            }
        }
        Ok(())
    }
}

fn time(value: &Value) -> Result<DateTime<FixedOffset>, String> {
    let text = value.as_str().ok_or("an attempt has its times")?;
    DateTime::parse_from_rfc3339(text).map_err(|error| format!("{text}: {error}"))
}
