//! What a setting may say, where that takes more than its type.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Database, SettingsError, Switch, TlsFiles, value};
use crate::limits;

/// A span of time as people write it: `7d`, `36h`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl FromStr for Span {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

pub(super) fn database(
    store: Option<String>,
    notify: Option<Switch>,
) -> Result<Option<Database>, SettingsError> {
    let Some(url) = store else {
        return if notify.is_some() {
            Err(value("notify", &"is for nodes that share a store"))
        } else {
            Ok(None)
        };
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(value("store", &"must be a URL such as postgres://longrun@db.example/longrun"));
    }
    Ok(Some(Database { url, notify: notify.unwrap_or_default() == Switch::On }))
}

/// Keys and ids live as long as their operations, and events no longer than those.
pub(super) fn retention(
    retain: Option<Span>,
    events: Option<Span>,
) -> Result<(Duration, Duration), SettingsError> {
    let spell = humantime::format_duration;
    let retain = retain.map_or(limits::RETAIN_DEFAULT, |span| span.0);
    if !(limits::RETAIN_MIN..=limits::RETAIN_MAX).contains(&retain) {
        let message =
            "at least 24h, so that what is repeated within a day makes nothing twice, and at most 10 years";
        return Err(value("retain", &message));
    }
    let events = events.map_or(limits::RETAIN_EVENTS_DEFAULT.min(retain), |span| span.0);
    if !(limits::RETAIN_EVENTS_MIN..=retain).contains(&events) {
        let (least, most) = (spell(limits::RETAIN_EVENTS_MIN), spell(retain));
        return Err(value("retain-events", &format!("from {least} to the {most} of retain")));
    }
    Ok((retain, events))
}

/// A path is put behind it, so it has neither a slash at its end nor a query.
pub(super) fn web_url(name: &'static str, text: &str) -> Result<String, SettingsError> {
    let wrong = || value(name, &"must be a URL such as https://longrun.example, without a query");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    let named = uri.authority().is_some_and(|authority| !authority.host().is_empty());
    if !web || !named || uri.query().is_some() || text.contains('#') {
        return Err(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A scheme, a host and perhaps a port, as browsers send it (RFC 6454): nothing after them, and no wildcard.
pub(super) fn origin(text: &str) -> Result<String, SettingsError> {
    let wrong = || value("cors-origin", &"must be an origin such as https://status.example, without a path");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(wrong)?;
    let origin = format!("{}://{authority}", uri.scheme_str().ok_or_else(wrong)?);
    if origin == text && !text.contains(['*', '@']) { Ok(origin) } else { Err(wrong()) }
}

/// A certificate is of use with its key only.
pub(super) fn tls(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<TlsFiles>, SettingsError> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (Some(_), None) => Err(value("tls-key", &"is needed with tls-cert")),
        (None, Some(_)) => Err(value("tls-cert", &"is needed with tls-key")),
    }
}

/// A network, or one machine.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    text.parse()
        .or_else(|_| alone())
        .map_err(|_| "must be a network such as 10.0.0.0/8, or an address".to_owned())
}

/// The same from a file.
pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<IpNet>>, D::Error> {
    let listed = Option::<Vec<String>>::deserialize(from)?.unwrap_or_default();
    listed.iter().map(|text| network(text).map_err(D::Error::custom)).collect::<Result<_, _>>().map(Some)
}
