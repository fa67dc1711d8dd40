//! What connections come from: the network, or a Unix socket of this machine.

use std::future::{Future, Ready, ready};
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::http::arrival::Peer;

/// Accepts connections.
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Makes one of what was accepted, at its client's pace.
    type Opening: Future<Output = io::Result<Self::Stream>> + Send + 'static;

    /// Waits for the next one.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Opening, Peer)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Opening = Ready<io::Result<TcpStream>>;

    async fn accept(&self) -> io::Result<(Self::Opening, Peer)> {
        let (stream, address) = Self::accept(self).await?;
        // Answers are written whole, so there is nothing to wait for. Where it fails the client is gone already.
        let _ = stream.set_nodelay(true);
        Ok((ready(Ok(stream)), Peer::Net { address, secure: false }))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    type Opening = Ready<io::Result<UnixStream>>;

    async fn accept(&self) -> io::Result<(Self::Opening, Peer)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((ready(Ok(stream)), Peer::Local))
    }
}
