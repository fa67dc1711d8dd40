//! What the server knows of a request before any route does.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use uuid::Uuid;

/// Where a connection comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// The network.
    Net {
        /// The other end, which may be a proxy's.
        address: SocketAddr,
        /// Whether it speaks TLS.
        secure: bool,
    },
    /// A Unix socket of this machine.
    Local,
}

impl Peer {
    /// The address of the machine at the other end, which may be a proxy; none on this one's Unix socket.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Net { address, .. } => Some(address.ip()),
            Self::Local => None,
        }
    }

    /// Whether it speaks TLS with this server.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Net { secure: true, .. })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net { address, .. } => write!(out, "{address}"),
            Self::Local => out.write_str("local"),
        }
    }
}

/// What the server knows of a request before any route does; an extension of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The request's identifier, returned as `request-id`.
    pub id: RequestId,
    /// Who is on the other end of the connection.
    pub peer: Peer,
}

/// A request's identifier: written as a UUID, unique among all of this process and, by chance, of all others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(Uuid);

impl RequestId {
    pub(super) fn header(self) -> HeaderValue {
        let mut text = Uuid::encode_buffer();
        // Hexadecimal digits and hyphens are fit for a header.
        HeaderValue::from_str(self.0.as_hyphenated().encode_lower(&mut text))
            .unwrap_or(HeaderValue::from_static("-"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), out)
    }
}

/// Half of each identifier is drawn once, the other half counts: a request costs one addition.
#[derive(Debug)]
pub(super) struct RequestIds {
    process: [u8; 8],
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        let [process @ .., _, _, _, _, _, _, _, _] = Uuid::new_v4().into_bytes();
        Self { process, next: AtomicU64::new(1) }
    }

    pub(super) fn next(&self) -> RequestId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.process);
        bytes[8..].copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        // Version 8 of RFC 9562: a UUID of its maker's own design.
        RequestId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}
