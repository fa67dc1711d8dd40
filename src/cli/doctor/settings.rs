//! What `serve` would be told.

use rustix::process::{Resource, getrlimit};

use super::{Findings, Level};
use crate::auth::first_token;
use crate::limits;
use crate::operation::Timestamp;
use crate::settings::{Given, Settings};

const ABOUT: &str = "settings";

/// The settings that hold; none: there are none that do.
pub(super) fn look(given: Given, findings: &mut Findings) -> Option<Settings> {
    let settings = match given.settle() {
        Ok(settings) => settings,
        Err(error) => {
            let advice = "no server starts with that; `longrun serve --help` tells what each setting takes";
            findings.bad(Level::Problem, ABOUT, error.to_string(), advice);
            return None;
        }
    };
    let before = findings.0.len();
    if let Some(file) = &settings.first_token_file
        && let Err(error) = first_token(file, Timestamp::wall())
    {
        findings.bad(Level::Problem, ABOUT, error.to_string(), "no server starts without it");
    }
    if !settings.listen.ip().to_canonical().is_loopback() && settings.public_url.is_none() {
        let found = "others may reach the server, and its links begin with whatever host each request names";
        findings.bad(Level::Warning, ABOUT, found, "set public-url to the URL by which clients reach it");
    }
    let files = getrlimit(Resource::Nofile).maximum;
    if files.is_some_and(|files| files < limits::FILES_MAX) {
        let found = format!("at most {} files may be open here", files.unwrap_or(0));
        let advice = format!(
            "each connection is one: let the server have {} (ulimit -n, LimitNOFILE)",
            limits::FILES_MAX
        );
        findings.bad(Level::Warning, ABOUT, found, advice);
    }
    if findings.0.len() == before {
        findings.ok(ABOUT, format!("a server with them listens on {}", settings.listen));
    }
    Some(settings)
}
