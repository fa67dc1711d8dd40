//! What keeps an open server to the machine itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address that an open server may not listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "refusing to listen on {0}: no token was made, so everybody who reaches the server could do everything. \
     Make one with `longrun token create`, name a file with one by LONGRUN_FIRST_TOKEN_FILE, or listen on 127.0.0.1"
)]
pub struct ListenRefused(pub SocketAddr);

/// Whether the server may listen there: while it is open, on loopback only.
pub fn check_listen(address: SocketAddr, open: bool) -> Result<(), ListenRefused> {
    if open && !is_loopback(address.ip()) { Err(ListenRefused(address)) } else { Ok(()) }
}

fn is_loopback(address: IpAddr) -> bool {
    // `::ffff:127.0.0.1` is the same place as 127.0.0.1.
    address.to_canonical().is_loopback()
}

/// Whether a `Host` header (or `:authority`), with any port, names this machine's loopback.
///
/// A page in a browser can make its own name resolve to 127.0.0.1 and then read what a server there answers; its
/// requests still name the page's host. An open server answers only hosts for which this holds. Names below
/// `localhost` never leave the machine (RFC 6761 §6.3).
pub fn is_loopback_host(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let port = if port.is_empty() { Some(port) } else { port.strip_prefix(':') };
        return port.is_some_and(is_port)
            && address.parse::<Ipv6Addr>().is_ok_and(|address| is_loopback(address.into()));
    }
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    if !is_port(port) {
        return false;
    }
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        return address.is_loopback();
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    last.eq_ignore_ascii_case("localhost")
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_server_listens_on_loopback_only() {
        for loopback in ["127.0.0.1:8470", "127.9.9.9:1", "[::1]:8470", "[::ffff:127.0.0.1]:8470"] {
            assert_eq!(check_listen(loopback.parse().unwrap(), true), Ok(()), "{loopback}");
        }
        for other in ["0.0.0.0:8470", "[::]:8470", "192.168.1.7:8470", "[::ffff:10.0.0.1]:8470"] {
            let address = other.parse().unwrap();
            assert_eq!(check_listen(address, true), Err(ListenRefused(address)), "{other}");
            assert_eq!(check_listen(address, false), Ok(()), "{other}");
        }
    }

    #[test]
    fn the_refusal_says_what_to_do() {
        let said = ListenRefused("0.0.0.0:8470".parse().unwrap()).to_string();
        for word in ["0.0.0.0:8470", "longrun token create", "LONGRUN_FIRST_TOKEN_FILE", "127.0.0.1"] {
            assert!(said.contains(word), "{word}");
        }
    }

    #[test]
    fn only_hosts_that_are_this_machine_are_loopback_hosts() {
        for good in [
            "localhost",
            "LocalHost:8470",
            "localhost.",
            "app.localhost:80",
            "127.0.0.1:8470",
            "127.1.2.3",
            "[::1]",
            "[::1]:8470",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback_host(good), "{good}");
        }
        for bad in [
            "",
            ":8470",
            "evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "127.0.0.1:8470.evil.example",
            "localhost:80@evil.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::2]",
            "[::1",
            "[::1]x",
            "[::1]80",
            "::1",
        ] {
            assert!(!is_loopback_host(bad), "{bad}");
        }
    }
}
