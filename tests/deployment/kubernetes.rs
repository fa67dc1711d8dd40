//! The manifests: that their parts find one another and the image, and that a pod gives nothing away.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::files::{each, instruction, objects, port, variable, word};
use super::{grace_seconds, understands};

/// What holds pods, with its file.
fn workloads() -> Vec<(String, Value)> {
    let found: Vec<_> =
        objects().into_iter().filter(|(_, object)| object["spec"]["template"].is_object()).collect();
    assert!(found.len() > 2, "only {} were found", found.len());
    found
}

fn pod(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]
}

fn container(workload: &Value) -> &Value {
    let containers = &pod(workload)["containers"];
    assert_eq!(each(containers).count(), 1);
    &containers[0]
}

/// Those that run the image itself; the others are workers, each with an image of its own.
fn servers() -> Vec<(String, Value)> {
    workloads().into_iter().filter(|(_, workload)| container(workload)["args"] == json!(["serve"])).collect()
}

/// The value of a variable that is given as such.
fn set<'w>(workload: &'w Value, name: &str) -> Option<&'w str> {
    each(&container(workload)["env"]).find(|variable| variable["name"] == name)?["value"].as_str()
}

#[test]
fn a_pod_may_do_nothing_that_it_needs_not() {
    for (file, workload) in workloads() {
        let (pod, container) = (pod(&workload), container(&workload));
        let (of_pod, own) = (&pod["securityContext"], &container["securityContext"]);
        assert_eq!(of_pod["runAsNonRoot"], true, "{file}");
        assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault", "{file}");
        assert_eq!(own["allowPrivilegeEscalation"], false, "{file}");
        assert_eq!(own["readOnlyRootFilesystem"], true, "{file}");
        assert_eq!(own["capabilities"]["drop"], json!(["ALL"]), "{file}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{file}");
        // Its variables would look like settings: LONGRUN_PORT.
        assert_eq!(pod["enableServiceLinks"], false, "{file}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{file}");
        let (_, tag) = word(&container["image"]).rsplit_once(':').expect("a tag");
        assert!(tag.starts_with(|first: char| first.is_ascii_digit()), "{file}: {tag}");
    }
}

#[test]
fn the_servers_are_the_image() {
    let servers = servers();
    assert_eq!(servers.len(), 2);
    let user = instruction("USER");
    for (file, server) in servers {
        let (context, container) = (&pod(&server)["securityContext"], container(&server));
        assert_eq!(format!("{}:{}", context["runAsUser"], context["runAsGroup"]), user, "{file}");
        assert_eq!(format!("{0}:{0}", context["fsGroup"]), user, "{file}: its volumes are another's");
        let listens: SocketAddr = set(&server, "LONGRUN_ADMIN_LISTEN").unwrap().parse().unwrap();
        let metrics = listens.port();
        let ports = json!([{ "name": "http", "containerPort": port() }, { "name": "metrics", "containerPort": metrics }]);
        assert_eq!(container["ports"], ports, "{file}");
        let told = &server["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(told["prometheus.io/port"], metrics.to_string(), "{file}");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(container[probe]["httpGet"]["port"], "http", "{file}");
        }
        let live = &container["livenessProbe"]["httpGet"]["path"];
        assert_ne!(
            *live, container["readinessProbe"]["httpGet"]["path"],
            "{file}: it would be restarted in vain"
        );
        assert!(word(&container["image"]).ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{file}");
        let data = set(&server, "LONGRUN_DATA").map_or_else(|| variable("LONGRUN_DATA"), str::to_owned);
        let mounts: Vec<&str> =
            each(&container["volumeMounts"]).map(|mount| word(&mount["mountPath"])).collect();
        assert!(mounts.iter().any(|mount| data.starts_with(mount)), "{file}: {data} is in no volume");
        assert!(mounts.contains(&"/tmp"), "{file}: {mounts:?}");
        let token = set(&server, "LONGRUN_FIRST_TOKEN_FILE").expect("a first token");
        assert!(mounts.iter().any(|mount| token.starts_with(mount)), "{file}: {token} is in no volume");
        let secret = each(&pod(&server)["volumes"]).find(|volume| volume["secret"].is_object()).unwrap();
        assert_eq!(secret["secret"]["defaultMode"], 0o440, "{file}");
    }
}

#[test]
fn every_volume_is_there_and_is_used() {
    for (file, workload) in workloads() {
        let templates =
            each(&workload["spec"]["volumeClaimTemplates"]).map(|claim| word(&claim["metadata"]["name"]));
        let volumes: BTreeSet<&str> =
            each(&pod(&workload)["volumes"]).map(|volume| word(&volume["name"])).chain(templates).collect();
        let mounted: BTreeSet<&str> =
            each(&container(&workload)["volumeMounts"]).map(|mount| word(&mount["name"])).collect();
        assert_eq!(volumes, mounted, "{file}");
    }
}

#[test]
fn every_selector_finds_the_pods_of_its_file() {
    let objects = objects();
    let mut found = 0;
    for (file, object) in &objects {
        let selector = match word(&object["kind"]) {
            "Deployment" | "StatefulSet" | "PodDisruptionBudget" => {
                &object["spec"]["selector"]["matchLabels"]
            }
            "Service" => &object["spec"]["selector"],
            _ => continue,
        };
        let pods =
            objects.iter().find(|(other, object)| other == file && object["spec"]["template"].is_object());
        let (_, pods) = pods.unwrap_or_else(|| panic!("{file} has no pods"));
        assert_eq!(*selector, pods["spec"]["template"]["metadata"]["labels"], "{file}");
        if object["kind"] == "Service" {
            assert_eq!(each(&object["spec"]["ports"]).count(), 1, "{file}: metrics are for nobody outside");
            assert_eq!(object["spec"]["ports"][0]["port"], port(), "{file}");
            assert_eq!(
                object["spec"]["ports"][0]["targetPort"],
                container(pods)["ports"][0]["name"],
                "{file}"
            );
        }
        found += 1;
    }
    assert!(found > 5, "only {found} were found");
}

#[test]
fn nobody_is_killed_before_its_time() {
    for (file, workload) in workloads() {
        let grace =
            set(&workload, "LONGRUN_GRACE").map_or_else(grace_seconds, |grace| grace.parse().unwrap());
        let before = container(&workload)["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or(0);
        let killed = pod(&workload)["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(before + grace < killed, "{file}: {before} and {grace} of {killed} seconds");
    }
}

#[test]
fn a_worker_is_started_as_the_binary_understands_and_scaled_by_what_it_carries_out() {
    let workers: Vec<_> = workloads()
        .into_iter()
        .filter(|(_, workload)| container(workload)["command"][0] == "longrun")
        .collect();
    assert_eq!(workers.len(), 1);
    let (file, worker) = &workers[0];
    let container = container(worker);
    let words: Vec<&str> =
        each(&container["command"]).skip(1).chain(each(&container["args"])).map(word).collect();
    understands(file, &words);
    let told = |flag: &str| {
        let value = words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("{flag} in {words:?}"))
    };
    let objects = objects();
    let scaled =
        objects.iter().map(|(_, object)| object).find(|object| object["kind"] == "ScaledObject").unwrap();
    assert_eq!(scaled["spec"]["scaleTargetRef"]["name"], worker["metadata"]["name"]);
    let modifiers = &scaled["spec"]["advanced"]["scalingModifiers"];
    assert_eq!(word(&modifiers["target"]), told("--concurrency"));
    let known =
        objects.iter().map(|(_, object)| object).find(|object| object["kind"] == "TriggerAuthentication");
    for trigger in each(&scaled["spec"]["triggers"]) {
        assert!(word(&modifiers["formula"]).contains(word(&trigger["name"])), "{trigger}");
        assert!(
            word(&trigger["metadata"]["url"]).contains(&format!("/queues/{}/", told("--queue"))),
            "{trigger}"
        );
        assert_eq!(trigger["authenticationRef"]["name"], known.unwrap()["metadata"]["name"]);
    }
}
