//! What the server says of itself against its answers to strangers: schemathesis makes requests from the description,
//! fit ones and unfit ones, some leading to others, and holds each answer against it. By hand more of them:
//! `LONGRUN_STRANGE_REQUESTS=20000`.

mod alone {
    use std::process::Command;
    use std::time::Instant;

    use http::StatusCode;
    use longrun::auth::Scope;

    use crate::support::exposition::Exposition;
    use crate::support::{Server, programs};
    use crate::wire::token;

    const ROOT: &str = env!("CARGO_MANIFEST_DIR");
    const REQUESTS: &str = "LONGRUN_STRANGE_REQUESTS";
    /// Of all routes together.
    const REQUESTS_MIN: u32 = 2_000;

    #[tokio::test(flavor = "multi_thread")]
    async fn strangers_get_only_answers_that_are_described() {
        let by_hand = std::env::var(REQUESTS).ok().map(|number| number.parse::<u32>().expect("a number"));
        let wanted = by_hand.unwrap_or(REQUESTS_MIN);
        let server = Server::start(&[]);
        let token = token(&server, &["--scope", &Scope::GRANTED.map(Scope::as_str).join(",")]);
        let client = server.client().with_token(&token);
        let document = client.get("/openapi.json").await.value();
        let routes: Vec<(String, &str)> = document["paths"]
            .as_object()
            .expect("there are paths")
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().into_iter().flatten().map(move |(method, _)| (method, path))
            })
            .map(|(method, path)| (method.to_uppercase(), path.as_str()))
            .collect();

        // Of some routes there are so few requests to be made that they end sooner.
        let each = wanted * 3 / 2 / u32::try_from(routes.len()).expect("few routes");
        let scratch = tempfile::tempdir().expect("a temporary directory can be made");
        let mut command = Command::new(programs::python().expect("it is set up"));
        command
            .args(["-m", "schemathesis.cli", "--config-file"])
            .arg(format!("{ROOT}/tests/wire/described.toml"));
        command.args(["run", "--no-color", "--max-examples", &each.to_string()]);
        if by_hand.is_none() {
            // The same ones at each run: what is new is looked for by hand.
            command.arg("--generation-deterministic");
        }
        command.arg(format!("{}/openapi.json", server.url));
        command
            .env("LONGRUN_TOKEN", &token)
            .env("SCHEMATHESIS_HOOKS", format!("{ROOT}/tests/wire/described.py"));
        command.current_dir(scratch.path());
        let began = Instant::now();
        let ended = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
        let ended = ended.expect("schemathesis can be run");
        let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{}: {said}", ended.status);

        let answer = client.get("/metrics").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let told = Exposition::read(&answer.text());
        let count = |labels: &[(&str, &str)]| told.sum("longrun_http_requests_total", labels).unwrap_or(0.0);
        for (method, route) in &routes {
            assert!(
                count(&[("method", method), ("route", route)]) > 0.0,
                "nobody asked for {method} {route}"
            );
        }
        let all = count(&[]);
        println!("{all} requests in {:.0?}", began.elapsed());
        for status in told.values_of("status").into_iter().filter(|status| status.parse::<u16>().is_ok()) {
            let of_it = count(&[("status", status)]);
            println!("{of_it} answered {status}");
            assert!(!status.starts_with('5'), "{of_it} were answered {status}: {said}");
        }
        assert!(all >= f64::from(wanted), "only {all} requests were made: {said}");
    }
}
