//! The certificate that a server would show.

use std::time::Duration;

use super::{Findings, Level, span};
use crate::http::connection::Certificate;
use crate::operation::Timestamp;
use crate::settings::TlsFiles;

const ABOUT: &str = "certificate";
/// One that ends so soon should have been renewed: whoever leaves that to a machine has another one weeks before.
const SOON: Duration = Duration::from_hours(14 * 24);

/// Looks whether its files can be used, and for how long.
pub(super) fn look(files: &TlsFiles, findings: &mut Findings) {
    match Certificate::open(&files.certificate, &files.key) {
        Ok(certificate) => look_at(&certificate, Timestamp::wall(), findings),
        Err(error) => {
            let advice = "no server starts with that; one that runs goes on with what it had before";
            findings.bad(Level::Problem, ABOUT, error.to_string(), advice);
        }
    }
}

fn look_at(certificate: &Certificate, now: Timestamp, findings: &mut Findings) {
    let renew = "renew it: a server that runs shows the new one within seconds";
    match certificate.validity() {
        None => findings.bad(
            Level::Unknown,
            ABOUT,
            "it goes with its key, but until when it holds is not understood",
            "look by `openssl x509 -noout -enddate -in FILE`",
        ),
        Some(holds) if now < holds.start => {
            let found = format!("it holds only in {}", span(holds.start.since(now)));
            findings.bad(
                Level::Problem,
                ABOUT,
                found,
                "until then clients refuse it; or is the clock wrong?",
            );
        }
        Some(holds) if holds.end <= now => {
            let found = format!("it ended {} ago: clients refuse it", span(now.since(holds.end)));
            findings.bad(Level::Problem, ABOUT, found, renew);
        }
        Some(holds) => {
            let found = format!("it goes with its key, and ends in {}", span(holds.end.since(now)));
            if holds.end.since(now) < SOON {
                findings.bad(Level::Warning, ABOUT, found, renew);
            } else {
                findings.ok(ABOUT, found);
            }
        }
    }
}
