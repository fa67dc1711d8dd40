//! Who a request comes from where proxies stand between: by what they say of it (RFC 7239, and `X-Forwarded-…` of before),
//! as far as they are to be believed.
//!
//! Each proxy adds, at the end, whom it has the request from. So the list is read from its end, and no further than the
//! first who is no proxy of ours: what stands before that, anybody may have written.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::arrival::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const OLDER: [HeaderName; 3] = [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST];

/// Networks whose machines are believed what they say of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

/// What the client itself has asked for, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// From where; none: from this machine's Unix socket, or a proxy does not say.
    pub(super) ip: Option<IpAddr>,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// Of which host, where a proxy says so.
    pub(super) host: Option<Cow<'a, str>>,
}

/// What one proxy says.
#[derive(Default)]
struct Hop<'a> {
    from: Option<Cow<'a, str>>,
    scheme: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
}

impl Proxies {
    /// Those of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    fn trust(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// What the client at the far end has asked for.
    pub(super) fn asked<'a>(&self, peer: Peer, headers: &'a HeaderMap) -> Asked<'a> {
        let scheme = if peer.is_secure() { "https" } else { "http" };
        let mut asked = Asked { ip: peer.ip(), scheme, host: None };
        if self.0.is_empty() || !peer.ip().is_some_and(|ip| self.trust(ip)) {
            return asked;
        }
        for hop in hops(headers).into_iter().rev() {
            let from = hop.from.as_deref().map(address);
            asked.ip = from.unwrap_or(asked.ip);
            match hop.scheme.as_deref() {
                Some(scheme) if scheme.eq_ignore_ascii_case("https") => asked.scheme = "https",
                Some(scheme) if scheme.eq_ignore_ascii_case("http") => asked.scheme = "http",
                _ => {}
            }
            asked.host = hop.host.or(asked.host);
            if !from.flatten().is_some_and(|ip| self.trust(ip)) {
                break;
            }
        }
        asked
    }
}

/// What each proxy says, the nearest last, in `Forwarded` or in `X-Forwarded-…`. Where there are both, a client may have sent those
/// which the proxy does not write, and nothing of it is believed.
fn hops(headers: &HeaderMap) -> Vec<Hop<'_>> {
    if headers.contains_key(header::FORWARDED) {
        if OLDER.iter().any(|name| headers.contains_key(name)) {
            return Vec::new();
        }
        return values(headers, &header::FORWARDED).flat_map(|value| parts(value, ',')).map(hop).collect();
    }
    let list = |name: &HeaderName| -> Vec<&str> {
        let listed = values(headers, name).flat_map(|value| value.split(','));
        listed.map(str::trim).filter(|part| !part.is_empty()).collect()
    };
    let (from, schemes, hosts) = (list(&X_FORWARDED_FOR), list(&X_FORWARDED_PROTO), list(&X_FORWARDED_HOST));
    let count = from.len().max(schemes.len()).max(hosts.len());
    // They are as long as one another where each proxy adds to all; one that sets them anew has said it all.
    let of = |list: &[&'_ str], back: usize| -> Option<usize> { list.len().checked_sub(back + 1) };
    (0..count)
        .rev()
        .map(|back| Hop {
            from: of(&from, back).map(|at| Cow::Borrowed(from[at])),
            scheme: of(&schemes, back).map(|at| Cow::Borrowed(schemes[at])),
            host: of(&hosts, back).map(|at| Cow::Borrowed(hosts[at])),
        })
        .collect()
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// The parts between separators that stand in no quoted string.
fn parts(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(move |character| {
        let separates = character == separator && !quoted;
        match character {
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = character == '\\' && quoted && !escaped;
        separates
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// An element of `Forwarded`: pairs of a name and a token or quoted string.
fn hop(element: &str) -> Hop<'_> {
    let mut hop = Hop::default();
    for pair in parts(element, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = match value.trim().strip_prefix('"').and_then(|opened| opened.strip_suffix('"')) {
            Some(inside) if inside.contains('\\') => Cow::Owned(inside.replace('\\', "")),
            Some(inside) => Cow::Borrowed(inside),
            None => Cow::Borrowed(value.trim()),
        };
        let place = match name.trim().to_ascii_lowercase().as_str() {
            "for" => &mut hop.from,
            "proto" => &mut hop.scheme,
            "host" => &mut hop.host,
            _ => continue,
        };
        *place = Some(value);
    }
    hop
}

/// The address of a node, with or without a port. A name that hides it is none.
fn address(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
    bare.parse().ok().or_else(|| node.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn peer(ip: &str) -> Peer {
        Peer::Net { address: SocketAddr::new(ip.parse().unwrap(), 4711), secure: false }
    }

    /// Behind proxies of `10.0.0.0/8` and `fd00::/8`: address, scheme, host.
    fn asked(from: &str, pairs: &[(&'static str, &str)]) -> (String, &'static str, String) {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let headers = headers(pairs);
        let asked = proxies.asked(peer(from), &headers);
        let ip = asked.ip.map(|ip| ip.to_string()).unwrap_or_default();
        (ip, asked.scheme, asked.host.unwrap_or_default().into_owned())
    }

    fn is(ip: &str, scheme: &'static str, host: &str) -> (String, &'static str, String) {
        (ip.to_owned(), scheme, host.to_owned())
    }

    #[test]
    fn only_proxies_that_are_named_are_believed() {
        let said = [("forwarded", "for=192.0.2.1;proto=https;host=a.example")];
        let spoken = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a.example"),
        ];
        for said in [&said[..], &spoken] {
            assert_eq!(asked("10.1.2.3", said), is("192.0.2.1", "https", "a.example"));
            assert_eq!(asked("::ffff:10.1.2.3", said), is("192.0.2.1", "https", "a.example"));
            assert_eq!(asked("11.0.0.1", said), is("11.0.0.1", "http", ""));
            let headers = headers(said);
            assert_eq!(
                Proxies::default().asked(peer("10.1.2.3"), &headers).ip,
                Some("10.1.2.3".parse().unwrap())
            );
            assert_eq!(Proxies::default().asked(Peer::Local, &headers).ip, None);
        }
        assert_eq!(asked("10.1.2.3", &[]), is("10.1.2.3", "http", ""));
    }

    #[test]
    fn the_list_is_read_from_its_end_and_no_further_than_the_first_who_is_no_proxy() {
        let forged = "for=127.0.0.1;host=evil.example, for=192.0.2.1;proto=https;host=a.example, for=10.0.0.7;proto=http";
        assert_eq!(asked("10.1.2.3", &[("forwarded", forged)]), is("192.0.2.1", "https", "a.example"));
        let lines =
            [("forwarded", "for=127.0.0.1"), ("forwarded", "for=192.0.2.1"), ("forwarded", "for=10.0.0.7")];
        assert_eq!(asked("10.1.2.3", &lines).0, "192.0.2.1");
        let older = [("x-forwarded-for", "127.0.0.1, 192.0.2.1, 10.0.0.7"), ("x-forwarded-proto", "https")];
        assert_eq!(asked("10.1.2.3", &older).0, "192.0.2.1");
        assert_eq!(asked("10.1.2.3", &older).1, "https");
        // The one or the other is a client's own.
        let both = [("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(asked("10.1.2.3", &both).0, "10.1.2.3");
    }

    #[test]
    fn addresses_are_read_in_every_form_and_hidden_ones_are_none() {
        for (said, ip) in [
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("For=192.0.2.1:80 ; PROTO = HTTPS", "192.0.2.1"),
            ("for=\"192.0.2.1\";by=\"a,b;c=\\\"d\"", "192.0.2.1"),
            ("for=unknown", ""),
            ("for=_hidden", ""),
            ("for=", ""),
            ("for=\"192.0.2.1", ""),
            // Who says nothing of it may itself have asked.
            ("for", "10.1.2.3"),
            (";;,,=", "10.1.2.3"),
        ] {
            assert_eq!(asked("10.1.2.3", &[("forwarded", said)]).0, ip, "{said}");
        }
        assert_eq!(asked("fd00::1", &[("x-forwarded-for", "2001:db8::1")]).0, "2001:db8::1");
        assert_eq!(asked("10.1.2.3", &[("x-forwarded-proto", "gopher")]).1, "http");
    }
}
