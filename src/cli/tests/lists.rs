use super::*;

const OTHER: &str = "00000000-0000-0000-0000-000000000002";

/// A server with three operations, one of them on a second page.
async fn three() -> (String, Arc<Mutex<Vec<Asked>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked_for = Arc::clone(&seen);
    let url = fake::on_tcp(move |asked: Asked| {
        let is_second = asked.query.iter().any(|(name, _)| name == "$skiptoken");
        let counted = asked.what.ends_with("$count");
        asked_for.lock().unwrap().push(asked);
        let failed = format!(
            r#"{{"id":"{OTHER}","status":"Failed","queue":"media","operationType":"thumb",
                "createdDateTime":"2026-01-31T09:30:00.1234567Z","error":{{"code":"upstream","message":"no\nanswer"}}}}"#
        );
        match (counted, is_second) {
            (true, _) => (200, "3".to_owned()),
            (_, true) => (200, format!(r#"{{"value":[{}]}}"#, operation("Running"))),
            _ => {
                let link = "http://a/v1.0/operations?$skiptoken=t";
                let value = format!("{failed},{}", operation("Completed"));
                (200, format!(r#"{{"value":[{value}],"@odata.nextLink":"{link}"}}"#))
            }
        }
    });
    (url.await, seen)
}

fn asked(seen: &Mutex<Vec<Asked>>) -> Vec<(String, String)> {
    seen.lock().unwrap().remove(0).query
}

#[tokio::test]
async fn a_list_is_a_table_for_people_and_lines_in_a_pipe() {
    let (url, _) = three().await;
    let ran = run_on(&["list", "--server", &url], true).await;
    let lines: Vec<&str> = ran.out.lines().map(str::trim_end).collect();
    assert!(lines[0].starts_with("ID ") && lines.len() == 4, "{}", ran.out);
    let (start, detail) = lines[1].split_once("upstream: ").expect("why it failed");
    let words: Vec<&str> = start.split_whitespace().collect();
    assert_eq!(words, [OTHER, "Failed", "thumb", "media", "2026-01-31T09:30:00Z"]);
    assert_eq!(detail, "no\\nanswer");
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Done, ""));

    let ran = run(&["list", "--server", &url]).await;
    let statuses: Vec<String> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["status"].to_string())
        .collect();
    assert_eq!(statuses, ["\"Failed\"", "\"Completed\"", "\"Running\""], "all pages");
}

#[tokio::test]
async fn a_list_stops_where_it_is_told_to_and_says_so() {
    let (url, seen) = three().await;
    for (top, shown) in [("1", 1), ("2", 2), ("3", 3)] {
        let ran = run_on(&["list", "--top", top, "--server", &url], true).await;
        assert_eq!(ran.out.lines().count(), 1 + shown, "{}", ran.out);
        assert_eq!(ran.err.contains("--all"), shown < 3, "{top}: {}", ran.err);
        assert_eq!(asked(&seen), [("$top".to_owned(), top.to_owned())]);
    }
    seen.lock().unwrap().clear();
    let ran = run(&["list", "--all", "--server", &url]).await;
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (3, ""));
    assert_eq!(asked(&seen), [("$top".to_owned(), "1000".to_owned())]);
}

#[tokio::test]
async fn a_list_is_narrowed_by_all_flags_together() {
    let (url, seen) = three().await;
    let words = [
        "list",
        "--status=Failed",
        "--status=Running",
        "--queue=it's",
        "--type=thumb",
        "--label=a=x",
        "--label=b=y=z",
        "--filter=priority gt 0 or priority lt 0",
        "--order=oldest",
        "--server",
        &url,
    ];
    run(&words).await;
    let query = asked(&seen);
    let filter = "((((status eq 'Failed') or (status eq 'Running')) and (queue eq 'it''s')) and (operationType eq \
                  'thumb')) and ((labels/a eq 'x') and (labels/b eq 'y=z'))";
    let filter = format!("({filter}) and (priority gt 0 or priority lt 0)");
    assert_eq!(query[0], ("$filter".to_owned(), filter.clone()));
    assert_eq!(query[1], ("$orderby".to_owned(), "createdDateTime asc".to_owned()));
    seen.lock().unwrap().clear();
    let ran = run(&["list", "--count", "--status=Failed", "--server", &url]).await;
    assert_eq!(ran.out, "3\n");
    assert_eq!(asked(&seen), [("$filter".to_owned(), "status eq 'Failed'".to_owned())]);
}

#[tokio::test]
async fn what_is_selected_is_what_is_shown() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked_for = Arc::clone(&seen);
    let url = fake::on_tcp(move |asked: Asked| {
        asked_for.lock().unwrap().push(asked);
        (200, format!(r#"{{"value":[{{"id":"{ID}","input":{{"n":1.50}},"queue":"media"}}]}}"#))
    })
    .await;
    let words = ["list", "--select=queue,input,error", "--server", &url];
    let ran = run_on(&words, true).await;
    let lines: Vec<&str> = ran.out.lines().map(str::trim_end).collect();
    assert!(lines[0].starts_with("id ") && lines[0].ends_with("queue  input       error"), "{}", ran.out);
    assert_eq!(lines[1], format!("{ID}  media  {{\"n\":1.50}}"));
    assert_eq!(asked(&seen)[1], ("$select".to_owned(), "queue,input,error".to_owned()));
    assert_eq!(
        run(&words).await.out,
        format!("{{\"id\":\"{ID}\",\"input\":{{\"n\":1.50}},\"queue\":\"media\"}}\n")
    );
}

#[tokio::test]
async fn an_empty_list_says_so_to_a_person() {
    let url = fake::on_tcp(|_| (200, r#"{"value":[]}"#.to_owned())).await;
    let ran = run_on(&["list", "--server", &url], true).await;
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "There are none.\n"));
    assert_eq!(run(&["list", "--server", &url]).await.out, "");
}

#[tokio::test]
async fn each_of_several_is_deleted_by_itself() {
    let url = fake::on_tcp(|asked: Asked| {
        if asked.what.ends_with(ID) {
            (204, String::new())
        } else {
            (409, error("conflict", "it has not ended"))
        }
    })
    .await;
    let ran = run(&["delete", OTHER, ID, "--server", &url]).await;
    assert_eq!(ran.out, format!("{{\"deleted\":\"{ID}\"}}\n"));
    assert_eq!(ran.err, format!("error: {OTHER}: it has not ended (conflict)\n"));
    assert_eq!(ran.exit, Exit::Failed);
    let ran = run_on(&["delete", ID, "--server", &url], true).await;
    assert_eq!((ran.exit, ran.out), (Exit::Done, format!("{ID}  deleted\n")));
}

const MEDIA: &str = r#"{"name":"media","ready":2,"delayed":1,"running":0,"completed":7,"failed":0,"oldestReadySeconds":90,"paused":true,"maxRunning":4}"#;

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[tokio::test]
async fn queues_are_a_table_for_people_and_as_they_were_sent_in_a_pipe() {
    let rest = r#"{"name":"rest","ready":0,"delayed":0,"running":0,"completed":0,"failed":0,"oldestReadySeconds":0,"paused":false}"#;
    let sent = format!(r#"{{"value":[{MEDIA},{rest}]}}"#);
    let answer = sent.clone();
    let url = fake::on_tcp(move |_| (200, answer.clone())).await;
    assert_eq!(run(&["queues", "--server", &url]).await.out, format!("{sent}\n"));
    let ran = run_on(&["queues", "--server", &url], true).await;
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("QUEUE  READY  DELAYED  RUNNING"), "{}", ran.out);
    assert!(lines[0].contains("PAUSED  MAX RUNNING  MAX WAITING"), "{}", ran.out);
    assert_eq!(words(lines[1]), ["media", "2", "1", "0", "7", "0", "90s", "yes", "4"]);
    assert_eq!(words(lines[2]), ["rest", "0", "0", "0", "0", "0"]);
}

#[tokio::test]
async fn a_queue_is_paused_resumed_and_limited_by_its_name() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let url = fake::on_tcp(move |asked: Asked| {
        kept.lock().unwrap().push(format!("{} {}", asked.what, asked.body));
        (200, MEDIA.to_owned())
    })
    .await;
    for arguments in [
        &["pause", "media"][..],
        &["resume", "media"],
        &["limit", "media", "--max-running=4"],
        &["limit", "media", "--max-running=none", "--max-waiting=0"],
    ] {
        let ran = run(&[&["queues"], arguments, &["--server", &url]].concat()).await;
        assert_eq!((ran.exit, ran.out), (Exit::Done, format!("{MEDIA}\n")), "{arguments:?}: {}", ran.err);
    }
    let expected = [
        r#"{"paused":true}"#,
        r#"{"paused":false}"#,
        r#"{"maxRunning":4}"#,
        r#"{"maxRunning":null,"maxWaiting":0}"#,
    ];
    assert_eq!(*asked.lock().unwrap(), expected.map(|body| format!("PATCH /v1.0/queues/media {body}")));
    let ran = run_on(&["queues", "pause", "media", "--server", &url], true).await;
    assert_eq!(words(ran.out.lines().nth(1).unwrap())[..2], ["media", "2"]);
}

#[test]
fn a_limit_without_a_limit_is_no_subcommand() {
    for wrong in
        [&["limit", "media"][..], &["limit", "media", "--max-running=many"], &["pause"], &["stop", "x"]]
    {
        let arguments = ["longrun", "queues"].iter().chain(wrong);
        assert!(Arguments::try_parse_from(arguments).is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn workers_are_a_table_for_people_and_as_they_were_sent_in_a_pipe() {
    let held = r#"{"id":"7986a22f-a22f-7986-2fa2-86792fa28679","queue":"media","operationType":"t","leaseToken":3,"leaseSeconds":29.5}"#;
    let sent = format!(
        r#"{{"value":[{{"workerId":"w:1","lastAskedDateTime":"2026-01-31T09:30:00.0000000Z","address":"10.0.0.7","queues":["media","rest"],"running":1,"operations":[{held}]}},{{"workerId":"gone","running":0,"operations":[]}}]}}"#
    );
    let answer = sent.clone();
    let url = fake::on_tcp(move |_| (200, answer.clone())).await;
    assert_eq!(run(&["workers", "--server", &url]).await.out, format!("{sent}\n"));
    let ran = run_on(&["workers", "--server", &url], true).await;
    let lines: Vec<&str> = ran.out.lines().collect();
    let expected = ["w:1", "2026-01-31T09:30:00Z", "10.0.0.7", "media,rest", "(every", "one)", "1"];
    assert_eq!(words(lines[1]), expected, "{}", ran.out);
    assert_eq!(words(lines[2]), ["gone", "0"]);
}

#[tokio::test]
async fn a_demo_tells_people_what_to_look_at_next() {
    let url = fake::on_tcp(|_| (201, operation("NotStarted"))).await;
    let ran = run_on(&["demo", "--server", &url], true).await;
    assert!(ran.exit == Exit::Done && ran.out.contains("WHAT BECOMES OF IT"), "{}", ran.out);
    assert!(ran.err.contains(&format!("longrun watch {ID}")) && ran.err.lines().count() == 1, "{}", ran.err);
}
