//! What is deployed by, held against what is deployed: a setting, flag, path or port that the binary does not know is a
//! mistake that would show on somebody's cluster only. What needs an engine or a cluster is not run here.

mod files;
mod kubernetes;
mod supervised;
mod watched;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::Server;
use crate::support::cli::{Ended, longrun, run, token};

use files::{
    BINARY, all, arguments, documents, each, instruction, objects, port, text, unit, variable, word,
};

/// Pages that tell how all this is used.
const PAGES: [&str; 2] = ["docs/operating.md", "docs/scaling.md"];

/// What follows each mention of something: as far as it is a name.
fn names<'t>(text: &'t str, prefix: &'t str, of_name: fn(char) -> bool) -> impl Iterator<Item = &'t str> {
    text.match_indices(prefix).map(move |(at, _)| {
        let rest = &text[at + prefix.len()..];
        &rest[..rest.find(|next| !of_name(next)).unwrap_or(rest.len())]
    })
}

/// What a subcommand says of itself.
fn help(subcommand: &str) -> String {
    let Ended { code, out, .. } = run(longrun(&["help", subcommand]));
    assert_eq!(code, Some(0), "{subcommand}");
    out
}

/// The variables that it takes settings from, without what all begin with.
fn variables(help: &str) -> BTreeSet<&str> {
    names(help, "[env: LONGRUN_", |next| next.is_ascii_uppercase() || next == '_').collect()
}

/// Seconds that the server takes for its end, unless it is told otherwise.
fn grace_seconds() -> u64 {
    let help = help("serve");
    let (_, rest) = help.split_once("--grace").expect("there is such a flag");
    let (_, rest) = rest.split_once("[default: ").expect("it has a default");
    rest[..rest.find(']').unwrap()].parse().expect("it is a number")
}

/// Fails unless the binary takes these arguments. Those behind `--` are a program's.
fn understands(place: &str, arguments: &[&str]) {
    let own = arguments.iter().take_while(|argument| **argument != "--");
    let own: Vec<&str> = own.copied().chain(["--help"]).collect();
    let ended = run(longrun(&own));
    assert_eq!(ended.code, Some(0), "{place}: longrun {}\n{}", arguments.join(" "), ended.err);
}

#[test]
fn every_variable_is_one_that_the_binary_reads() {
    let (serve, work) = (help("serve"), help("work"));
    let known: BTreeSet<&str> = variables(&serve).union(&variables(&work)).copied().collect();
    assert!(known.contains("LISTEN") && known.contains("TOKEN"), "{known:?}");
    let mut found = 0;
    for (place, text) in all().into_iter().chain(PAGES.map(|page| (page.to_owned(), text(page)))) {
        for name in names(&text, "LONGRUN_", |next| next.is_ascii_uppercase() || next == '_') {
            // A mention of them all: `LONGRUN_…`.
            if name.is_empty() {
                continue;
            }
            assert!(known.contains(name), "{place}: nothing reads LONGRUN_{name}");
            found += 1;
        }
    }
    assert!(found > 10, "only {found} were found");
}

#[test]
fn every_command_is_one_that_the_binary_understands() {
    for name in ["CMD", "HEALTHCHECK"] {
        let words = arguments(&instruction(name));
        understands("Dockerfile", &words.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let start = unit("ExecStart");
    let words: Vec<&str> = start.split_whitespace().collect();
    assert_eq!(words[0], BINARY);
    understands("longrun.service", &words[1..]);
    let mut found = 0;
    for page in PAGES {
        for line in commands(&text(page)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(at) = words.iter().rposition(|word| *word == "longrun") else { continue };
            let words = &words[at + 1..];
            // Else it is the name of an image, a container or a service.
            let named =
                words.first().is_some_and(|word| word.starts_with(|first: char| first.is_ascii_lowercase()));
            if named {
                understands(page, words);
                found += 1;
            }
        }
    }
    assert!(found > 10, "only {found} were found");
}

/// What a page shows of a command line: in blocks of shell, and in the midst of its sentences.
fn commands(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, part) in page.split("```").enumerate() {
        if at % 2 == 0 {
            let shown = part.split('`').skip(1).step_by(2).filter(|shown| shown.starts_with("longrun "));
            lines.extend(shown.map(str::to_owned));
        } else if let Some(block) = part.strip_prefix("sh\n") {
            let block = block.replace("\\\n", " ");
            lines.extend(block.lines().map(|line| line.split(" #").next().unwrap_or(line).to_owned()));
        }
    }
    lines
}

#[tokio::test]
async fn every_path_is_one_that_the_server_answers() {
    let server = Server::start(&["--workers", "0"]);
    let reader = token(&server, &["--scope", "Operation.Manage"]);
    let (stranger, client) = (server.client(), server.client().with_token(&reader));
    let proxy = text("deploy/Caddyfile");
    let mut probes: Vec<String> =
        names(&proxy, "health_uri ", |next| !next.is_whitespace()).map(str::to_owned).collect();
    assert_eq!(probes.len(), 1, "the proxy looks whether its nodes are ready");
    let mut demands = Vec::new();
    for (_, object) in objects() {
        for container in each(&object["spec"]["template"]["spec"]["containers"]) {
            let probe =
                ["startupProbe", "livenessProbe", "readinessProbe"].map(|name| &container[name]["httpGet"]);
            let probe = probe.into_iter().filter(|probe| probe.is_object());
            probes.extend(probe.map(|probe| word(&probe["path"]).to_owned()));
        }
        demands.extend(each(&object["spec"]["triggers"]).map(|trigger| trigger["metadata"].clone()));
    }
    assert!(probes.len() > 6 && demands.len() == 2, "{probes:?} {demands:?}");
    for path in probes {
        // Nobody gives a probe a token.
        assert_eq!(stranger.get(&path).await.status, 200, "{path}");
    }
    for demand in demands {
        let url = word(&demand["url"]);
        let (_, path) =
            url.split_once(&format!(":{}", port())).unwrap_or_else(|| panic!("{url}: another port"));
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let number = answer.value()[word(&demand["valueLocation"])].clone();
        assert!(number.is_u64(), "{demand}: {number}");
    }
}

#[test]
fn the_image_is_no_roots_and_keeps_its_data_in_a_volume() {
    assert_eq!(instruction("EXPOSE"), port().to_string());
    assert!(help("health").contains(&format!("http://127.0.0.1:{}", port())), "its check asks another port");
    assert_eq!(instruction("VOLUME"), variable("LONGRUN_DATA"));
    let user = instruction("USER");
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
    let build = text("Dockerfile");
    let (owner, group) = user.split_once(':').unwrap();
    let made = format!("-o {owner} -g {group} /image{}", variable("LONGRUN_DATA"));
    assert!(build.contains(&made), "its data's directory is another's");
    assert_eq!(instruction("ENTRYPOINT"), format!("[\"{BINARY}\"]"));
    assert!(build.contains(&format!("/image{BINARY}")), "the binary lies elsewhere");
}

#[test]
fn the_image_is_built_from_everything_that_cargo_reads() {
    let ignored = text(".dockerignore");
    let kept: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap().iter();
    let members = members.map(|member| member.as_str().expect("a path"));
    for path in members.chain(["Cargo.toml", "Cargo.lock", "src", "tests"]) {
        assert!(kept.iter().any(|kept| path.starts_with(kept)), "{path} is kept from the build");
    }
}

#[test]
fn the_nodes_of_compose_are_the_images() {
    let compose = &documents("deploy/compose.yaml")[0];
    let services = compose["services"].as_object().expect("there are services");
    let nodes: Vec<&str> =
        services.keys().map(String::as_str).filter(|name| name.starts_with("longrun-")).collect();
    assert!(nodes.len() > 1);
    let proxy = text("deploy/Caddyfile");
    let user = instruction("USER");
    for name in &nodes {
        let node = &services[*name];
        assert!(proxy.contains(&format!("{name}:{}", port())), "the proxy does not know {name}");
        let (owner, group) = user.split_once(':').unwrap();
        let data = format!("{}:mode=0700,uid={owner},gid={group}", variable("LONGRUN_DATA"));
        assert_eq!(node["tmpfs"], serde_json::json!([data]));
        let secret = &node["secrets"][0];
        assert_eq!(format!("{}:{}", word(&secret["uid"]), word(&secret["gid"])), user);
        assert_eq!(secret["mode"], 0o400);
        let file = word(&node["environment"]["LONGRUN_FIRST_TOKEN_FILE"]);
        assert_eq!(file, format!("/run/secrets/{}", word(&secret["source"])));
        assert!(compose["secrets"].get(word(&secret["source"])).is_some());
        let stops: u64 = word(&node["stop_grace_period"]).trim_end_matches('s').parse().unwrap();
        assert!(stops > grace_seconds(), "{name} is killed before its time");
    }
    for (name, service) in services {
        let after: Vec<&str> = match &service["depends_on"] {
            Value::Object(after) => after.keys().map(String::as_str).collect(),
            after => each(after).map(word).collect(),
        };
        assert!(after.iter().all(|other| services.contains_key(*other)), "{name}: {after:?}");
    }
    let published = format!("127.0.0.1:{0}:{0}", port());
    assert_eq!(
        services["proxy"]["ports"],
        serde_json::json!([published]),
        "only the proxy, only to this machine"
    );
    assert!(services.iter().all(|(name, service)| name == "proxy" || service.get("ports").is_none()));
}

#[test]
fn every_variable_of_compose_is_shown_in_the_example() {
    let (compose, example) = (text("deploy/compose.yaml"), text("deploy/.env.example"));
    let of_name = |next: char| next.is_ascii_uppercase() || next == '_';
    let shown: BTreeSet<&str> = example
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once('='))
        .map(|(name, _)| name)
        .collect();
    let mut used: BTreeSet<&str> = names(&compose, "${", of_name).collect();
    used.extend(names(&compose, "    environment: ", of_name).filter(|name| !name.is_empty()));
    assert!(used.len() > 3, "{used:?}");
    assert!(used.is_subset(&shown), "{used:?} but {shown:?}");
    let secrets = ["POSTGRES_PASSWORD=\n", "FIRST_TOKEN=\n"];
    assert!(secrets.iter().all(|secret| example.contains(secret)), "the example holds a secret");
}
