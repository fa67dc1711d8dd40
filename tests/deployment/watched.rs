//! The dashboard and the alerts, held against what `/metrics` really tells: a name that nobody tells would be a panel that stays
//! empty and an alert that never rings.

use std::collections::BTreeSet;

use http::StatusCode;
use longrun_postgres::Database;
use serde_json::Value;

use super::files::{documents, each, text, word};
use crate::support::Server;
use crate::support::exposition::Exposition;

const DASHBOARD: &str = "deploy/grafana/dashboard.json";
const RULES: &str = "deploy/prometheus/rules.yaml";
/// What Prometheus itself adds to all that it collects.
const ADDED: [&str; 3] = ["up", "job", "instance"];
/// The words of its language, those that stand where a name could.
const LANGUAGE: [&str; 11] =
    ["sum", "min", "max", "count", "by", "and", "or", "rate", "increase", "histogram_quantile", "le"];

/// What both kinds of server tell.
async fn told() -> Vec<Exposition> {
    let database = Database::create();
    let nodes = [Server::start(&["--workers", "0"]), Server::node(&database.url(), &["--workers", "0"])];
    let mut told = Vec::new();
    for node in &nodes {
        let client = node.client();
        client.submit(&serde_json::json!({})).await;
        let answer = client.get("/metrics").await;
        assert_eq!(answer.status, StatusCode::OK);
        // The answer before is counted in this one.
        told.push(Exposition::read(&client.get("/metrics").await.text()));
    }
    told
}

/// Every query of the dashboard, with where it stands.
fn of_dashboard() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let panels = each(&dashboard["panels"]);
    let queries = panels.flat_map(|panel| {
        let title = word(&panel["title"]).to_owned();
        each(&panel["targets"]).map(move |target| (title.clone(), word(&target["expr"]).to_owned()))
    });
    let variables = each(&dashboard["templating"]["list"]).filter(|variable| variable["type"] == "query");
    let asked = variables.map(|variable| {
        let query = word(&variable["query"]["query"]).strip_prefix("label_values(").unwrap();
        (word(&variable["name"]).to_owned(), query.trim_end_matches(')').to_owned())
    });
    queries.chain(asked).collect()
}

/// Every alert's condition, with its name.
fn of_rules() -> Vec<(String, String)> {
    let rules = documents(RULES);
    let rules = each(&rules[0]["groups"]).flat_map(|group| each(&group["rules"]));
    rules.map(|rule| (word(&rule["alert"]).to_owned(), word(&rule["expr"]).to_owned())).collect()
}

/// The names in a query, of series and labels: what is left without texts, numbers and spans.
fn names(query: &str) -> BTreeSet<&str> {
    let outside = query.split('"').step_by(2);
    let words =
        outside.flat_map(|part| part.split(|next: char| !(next.is_ascii_alphanumeric() || next == '_')));
    let is_name = |word: &&str| word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    words.filter(is_name).filter(|word| !LANGUAGE.contains(word) && *word != "__rate_interval").collect()
}

fn check(place: &str, queries: &[(String, String)], told: &[Exposition]) {
    let known: BTreeSet<&str> =
        told.iter().flat_map(|told| told.series().into_iter().chain(told.labels())).collect();
    for (title, query) in queries {
        let names = names(query);
        assert!(
            names.iter().any(|name| name.starts_with("longrun_") || ADDED.contains(name)),
            "{title}: {query}"
        );
        for name in names {
            // A span such as 5m is no name: it begins with a digit.
            assert!(known.contains(name) || ADDED.contains(&name), "{place}, {title}: nobody tells {name}");
        }
    }
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_for_what_is_told() {
    let told = told().await;
    let (dashboard, rules) = (of_dashboard(), of_rules());
    assert!(dashboard.len() > 40 && rules.len() > 10, "{} and {}", dashboard.len(), rules.len());
    check(DASHBOARD, &dashboard, &told);
    check(RULES, &rules, &told);
    // And whatever is told can be seen.
    let shown: BTreeSet<&str> = dashboard.iter().flat_map(|(_, query)| names(query)).collect();
    for family in told.iter().flat_map(Exposition::names) {
        let is_shown = ["", "_bucket", "_sum"].iter().any(|part| shown.contains(&*format!("{family}{part}")));
        assert!(is_shown, "no panel shows {family}");
    }
}

#[tokio::test]
async fn the_page_tells_of_all_that_is_told() {
    let page = text("docs/operating.md");
    for told in told().await {
        for family in told.names().into_iter().filter(|family| family.starts_with("longrun_")) {
            let short = family.trim_start_matches("longrun_");
            let is_there = page.contains(&format!("`{short}`")) || page.contains(&format!("`{short}{{"));
            assert!(is_there, "docs/operating.md says nothing of {family}");
        }
    }
}
