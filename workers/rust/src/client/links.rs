//! Links to operations.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Client, ClientError, json_body, operation_path};
use crate::wire::{Link, LinkRequest};

#[derive(Deserialize)]
struct Made {
    link: Link,
}

impl Client {
    /// Makes a link, by which whoever has it, as a page in a browser, follows the operation without a token. Repeated within
    /// the client's deadline: of a link whose answer was lost nobody knows.
    pub async fn create_link(&self, id: Uuid, request: &LinkRequest) -> Result<Link, ClientError> {
        let (path, body) = (operation_path(id, "/createLink"), Some(json_body(request)?));
        let deadline = Instant::now() + self.deadline;
        let answer = self.repeated(Method::POST, &path, Vec::new(), body, Duration::ZERO, deadline).await?;
        answer.json::<Made>().map(|made| made.link)
    }
}
