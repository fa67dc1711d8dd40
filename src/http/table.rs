//! Every route, with the scope that opens it. A route can be added in no other way than together with its scope.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::header;
use tokio_util::either::Either;
use tower::Service;
use tower::layer::layer_fn;
use tower::util::MapResponseLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::app::App;
use super::error::{ApiError, Code};
use super::trace::{self, Traced};
use super::{cors, opened, shared};
use crate::auth::{self, Scope};

/// One route, as the tests and the documentation see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, with its parameters in braces.
    pub path: String,
    /// What opens it.
    pub scope: Scope,
}

/// The path of the route that answered, as the table has it; an extension of the answer.
#[derive(Debug, Clone)]
pub(super) struct TakenBy(pub(super) Arc<String>);

/// The routes of a server under construction.
pub struct Table {
    app: App,
    router: OpenApiRouter<App>,
    /// Those that links open, to pages of any origin.
    linked: OpenApiRouter<App>,
    entries: Vec<Entry>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Table").field("entries", &self.entries).finish_non_exhaustive()
    }
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Longrun",
    description = "Tracks long-running operations: submit one, poll it, carry it out from anywhere.",
    license(name = "MIT OR Apache-2.0")
))]
struct Document;

const BEARER: &str = "bearer";

impl Table {
    /// A table without routes.
    pub fn new(app: App) -> Self {
        let router = OpenApiRouter::with_openapi(Document::openapi());
        Self { app, router, linked: OpenApiRouter::new(), entries: Vec::new() }
    }

    /// Adds a route: what its handler's annotation says of method and path, under a scope.
    #[must_use]
    pub fn route(mut self, scope: Scope, (schemas, mut paths, methods): UtoipaMethodRouter<App>) -> Self {
        for (path, item) in &mut paths.paths {
            for (method, operation) in [
                ("GET", &mut item.get),
                ("POST", &mut item.post),
                ("PATCH", &mut item.patch),
                ("DELETE", &mut item.delete),
            ] {
                let Some(operation) = operation else { continue };
                self.entries.push(Entry { method: method.to_owned(), path: path.clone(), scope });
                shared::refer(operation, scope);
                if !matches!(scope, Scope::Public | Scope::Link) {
                    let needed = SecurityRequirement::new(BEARER, [scope.as_str()]);
                    operation.security = Some(vec![needed]);
                }
            }
        }
        let path = Arc::new(paths.paths.keys().next().cloned().unwrap_or_default());
        let methods = match self.app.tracker.traces().cloned() {
            Some(traces) if scope != Scope::Public => {
                let of_route = Traced { traces, route: path.clone() };
                methods.layer(from_fn_with_state(of_route, trace::request))
            }
            _ => methods,
        };
        let app = self.app.clone();
        let guarded = match scope {
            Scope::Public => methods,
            Scope::Link => methods.layer(from_fn_with_state(app, opened::by_link)),
            _ => methods.layer(layer_fn(move |inner| Guard { inner, app: app.clone(), scope })),
        };
        let taken = TakenBy(path);
        let named = guarded.layer(MapResponseLayer::new(move |mut response: Response| {
            response.extensions_mut().insert(taken.clone());
            response
        }));
        let router = if scope == Scope::Link { &mut self.linked } else { &mut self.router };
        *router = std::mem::take(router).routes((schemas, paths, named));
        self
    }

    /// The routes.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The router, and the document that describes it.
    pub fn finish(self) -> (Router, utoipa::openapi::OpenApi) {
        let (router, mut document) = self.router.split_for_parts();
        let (linked, of_links) = self.linked.split_for_parts();
        document.merge(of_links);
        let router = match cors::layer(&self.app.cors_origins) {
            Some(cors) => router.layer(cors),
            None => router,
        };
        // Merged so, the answer to a path that nobody knows is that of the others.
        let router = linked.layer(cors::of_links()).merge(router);
        let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, bearer);
        for (name, response) in shared::responses() {
            components.responses.insert(name, response.into());
        }
        (router.with_state(self.app), document)
    }
}

/// Lets only callers with the scope pass, and tells the route who calls.
#[derive(Clone, Debug)]
struct Guard<S> {
    inner: S,
    app: App,
    scope: Scope,
}

impl<S> Service<Request> for Guard<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match (admit(&self.app, self.scope, &request), &self.app.registry) {
            (Ok(caller), _) => {
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            (Err(Refused::Unknown), Some(registry)) => {
                // Another node may have made the token a moment ago.
                let (again, registry) = (self.clone(), registry.clone());
                Either::Right(Box::pin(async move {
                    registry.look_again().await;
                    again.last_word(request).await
                }))
            }
            (Err(refused), _) => {
                let refused = ApiError::from(refused).into_response();
                Either::Right(Box::pin(ready(Ok(refused))))
            }
        }
    }
}

impl<S> Guard<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    async fn last_word(mut self, mut request: Request) -> Result<Response, Infallible> {
        match admit(&self.app, self.scope, &request) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                self.inner.call(request).await
            }
            Err(refused) => Ok(ApiError::from(refused).into_response()),
        }
    }
}

/// Why a request is not let in.
enum Refused {
    /// By a token that this node does not know.
    Unknown,
    Otherwise(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Otherwise(error)
    }
}

impl From<auth::Denied> for Refused {
    fn from(denied: auth::Denied) -> Self {
        match denied {
            auth::Denied::UnknownToken => Self::Unknown,
            denied => Self::Otherwise(denied.into()),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => auth::Denied::UnknownToken.into(),
            Refused::Otherwise(error) => error,
        }
    }
}

/// A page in a browser of this machine may send requests here under a name of its own (DNS rebinding).
fn check_host(request: &Request) -> Result<(), ApiError> {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = named.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    if host.is_some_and(auth::is_loopback_host) {
        return Ok(());
    }
    let message =
        "without a token this server answers only to the machine's own names, as in http://127.0.0.1";
    Err(ApiError::new(Code::AccessDenied, message))
}

/// The same for routes that need no token at all.
pub(super) async fn only_of_machine(request: Request, next: Next) -> Result<Response, ApiError> {
    check_host(&request)?;
    Ok(next.run(request).await)
}

fn admit(app: &App, scope: Scope, request: &Request) -> Result<auth::Caller, Refused> {
    if app.keys.is_open() {
        check_host(request)?;
        // Or, without reading the answers, to its true name.
        let origin = request.headers().get(header::ORIGIN);
        let of_machine = |origin: &http::HeaderValue| {
            let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
            host.is_some_and(auth::is_loopback_host)
        };
        if origin.is_some_and(|origin| !of_machine(origin) && !app.cors_origins.contains(origin)) {
            let message = "without a token this server answers no pages of other machines";
            return Err(ApiError::new(Code::AccessDenied, message).into());
        }
    }
    let caller = app.keys.verify(request.headers(), || app.tracker.reader().now())?;
    caller.require(scope)?;
    Ok(caller)
}

impl From<auth::Denied> for ApiError {
    fn from(denied: auth::Denied) -> Self {
        let code = if denied.is_unauthenticated() { Code::Unauthenticated } else { Code::AccessDenied };
        Self::new(code, denied.to_string())
    }
}
