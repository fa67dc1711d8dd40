//! The door of a running server: HTTP over the Unix socket in its data directory.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use longrun_sdk::wire::ErrorBody;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Exit, Failure};
use crate::auth::admin::{TokenList, TokenMade, TokenRequest};
use crate::auth::socket::socket_path;
use crate::limits;

/// A server that needs longer does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the server of a data directory.
pub(super) struct Running {
    connection: SendRequest<Full<Bytes>>,
}

impl Running {
    /// Connects; none where no server runs, by what the system says of the socket.
    pub(super) async fn connect(data: &Path) -> Result<Option<Self>, Failure> {
        let path = socket_path(data).map_err(|error| Failure::usage(error.to_string()))?;
        let stream = match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            // Never made, or left behind by a server that was killed.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            Err(error) => {
                let denied = error.kind() == io::ErrorKind::PermissionDenied;
                let exit = if denied { Exit::NotAllowed } else { Exit::Unreachable };
                let message = format!("the server's socket {} cannot be reached: {error}", path.display());
                return Err(Failure::new(exit, message));
            }
        };
        let (connection, io) =
            handshake(TokioIo::new(stream)).await.map_err(|error| silent(&error.to_string()))?;
        // Its errors come back with the request that they end.
        tokio::spawn(io);
        Ok(Some(Self { connection }))
    }

    pub(super) async fn make(&mut self, request: &TokenRequest) -> Result<TokenMade, Failure> {
        let body = serde_json::to_vec(request).map_err(|error| Failure::usage(error.to_string()))?;
        read(&self.call(Method::POST, "/tokens", body).await?)
    }

    pub(super) async fn list(&mut self) -> Result<TokenList, Failure> {
        read(&self.call(Method::GET, "/tokens", Vec::new()).await?)
    }

    pub(super) async fn revoke(&mut self, id: &str) -> Result<(), Failure> {
        self.call(Method::DELETE, &format!("/tokens/{id}"), Vec::new()).await.map(drop)
    }

    /// Sends one request and reads the answer, if that is one of success.
    async fn call(&mut self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "localhost")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failure::usage(error.to_string()))?;
        let exchange = async {
            let answer =
                self.connection.send_request(request).await.map_err(|error| silent(&error.to_string()))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), limits::WORK_BODY_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| silent(&error.to_string()))?.to_bytes()))
        };
        let (status, body) =
            timeout(ANSWER_TIMEOUT, exchange).await.unwrap_or_else(|_| Err(silent("no answer in time")))?;
        if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let error = serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error;
    let message = if error.message.is_empty() { status.to_string() } else { error.message };
    Failure::refused(status.as_u16(), message)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| silent(&format!("its answer is not understood: {error}")))
}

fn silent(why: &str) -> Failure {
    Failure::new(Exit::Unreachable, format!("the running server cannot be asked: {why}"))
}
