//! A database that is reached by TLS only: by whom it is trusted, and by whom it is not.

use std::process::Command;

use longrun_postgres::Postgres;

use super::database::lives_at_both;
use crate::support::Server;
use crate::support::server::LONGRUN;
use crate::support::tls::Authority;

/// What a node says that does not start over this database.
fn refused(url: &str) -> String {
    let data = tempfile::tempdir().expect("a temporary directory can be made");
    let mut serve = Command::new(LONGRUN);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--store", url, "--data"]).arg(data.path().join("data"));
    let ended = serve.output().expect("it can be run");
    assert!(!ended.status.success(), "it ends for that reason");
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[track_caller]
fn refused_because(url: &str, why: &str) {
    let said = refused(url);
    assert!(said.contains(why), "{said}");
    assert!(!said.contains("panicked") && said.lines().count() <= 2, "it is told in a line: {said}");
}

#[tokio::test]
async fn nodes_speak_tls_with_a_database_that_they_can_trust_and_with_no_other() {
    let postgres = Postgres::start_with_tls(&[]);
    let (url, authority) = (postgres.url("postgres"), postgres.authority());
    let by = |authority: &std::path::Path| format!("sslmode=verify-full&sslrootcert={}", authority.display());
    // Over the network the server takes nothing but TLS, so whoever is served has spoken it.
    let trusting = format!("{url}?{}", by(&authority));
    let nodes = [
        Server::node(&trusting, &["--workers", "0"]),
        Server::node(&format!("{url}?sslmode=require"), &["--workers", "0"]),
    ];
    lives_at_both(&nodes[0].client(), &nodes[1].client()).await;

    let stranger = Authority::new();
    refused_because(&format!("{url}?{}", by(&stranger.file())), "UnknownIssuer");
    // Nobody whom the system knows has signed it.
    refused_because(&format!("{url}?sslmode=verify-full"), "UnknownIssuer");
    refused_because(&format!("{url}?sslrootcert=system"), "UnknownIssuer");
    let elsewhere = trusting.replace("@127.0.0.1", "@db.example") + "&hostaddr=127.0.0.1";
    refused_because(&elsewhere, "not valid for name");
    refused_because(&format!("{url}?sslmode=disable"), "no encryption");
    refused_because(&format!("{url}?sslmode=disable&sslrootcert=system"), "sslrootcert=system");
    refused_because(&format!("{url}?{}", by("/nowhere".as_ref())), "sslrootcert /nowhere");
    for said in [refused(&elsewhere), refused(&format!("{url}?sslmode=disable"))] {
        let (secret, _) = url.trim_start_matches("postgres://postgres:").split_once('@').unwrap();
        assert!(!said.contains(secret), "the password is not told");
    }
}
