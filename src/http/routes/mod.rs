//! The routes, one file a verb. Each reads what was sent, asks the tracker, and shows what it says.

mod attempts;
pub(super) mod bulk;
mod cancel;
mod delete;
mod docs;
mod events;
mod get;
mod health;
mod links;
mod list;
mod metrics;
mod patch;
mod queues;
mod retry;
mod submit;
mod travel;
mod work;
mod workers;

use std::sync::Arc;

use axum::extract::Path;
use utoipa_axum::routes;

use super::app::App;
use super::error::ApiError;
use super::table::Table;
use crate::auth::{Caller, Scope};
use crate::operation::{Actor, Command, OperationId, Seq, Via};
use crate::tracker::entry::Order;
pub(super) use health::Described;

/// Every route of the server; that of a clock which tests set ahead only where there is one.
pub fn table(app: App) -> Table {
    let can_travel = app.tracker.can_travel();
    let table = Table::new(app)
        .route(Scope::ReadWrite, routes!(submit::submit))
        .route(Scope::Read, routes!(list::list))
        .route(Scope::Read, routes!(list::count))
        .route(Scope::Read, routes!(get::get))
        .route(Scope::ReadWrite, routes!(patch::patch))
        .route(Scope::ReadWrite, routes!(delete::delete))
        .route(Scope::Read, routes!(attempts::attempts))
        .route(Scope::ReadWrite, routes!(cancel::cancel))
        .route(Scope::ReadWrite, routes!(retry::retry))
        .route(Scope::Read, routes!(events::of_one))
        .route(Scope::ReadWrite, routes!(links::create))
        .route(Scope::Link, routes!(links::status))
        .route(Scope::Link, routes!(links::events))
        .route(Scope::Read, routes!(events::of_many))
        .route(Scope::Execute, routes!(work::work))
        .route(Scope::Manage, routes!(queues::queues))
        .route(Scope::Manage, routes!(queues::patch))
        .route(Scope::Manage, routes!(queues::demand))
        .route(Scope::Manage, routes!(workers::workers))
        .route(Scope::Public, routes!(health::healthz))
        .route(Scope::Public, routes!(health::readyz))
        .route(Scope::Public, routes!(health::openapi))
        .route(Scope::Public, routes!(docs::home))
        .route(Scope::Public, routes!(docs::one))
        .route(Scope::ServerManage, routes!(metrics::metrics));
    if can_travel { table.route(Scope::Manage, routes!(travel::advance)) } else { table }
}

/// What a listener of its own gives to whoever can reach it.
pub fn open_table(app: App) -> Table {
    Table::new(app)
        .route(Scope::Public, routes!(metrics::metrics))
        .route(Scope::Public, routes!(health::healthz))
        .route(Scope::Public, routes!(health::readyz))
}

/// The operation that a path names. One that is no UUID names none.
fn id(Path(id): &Path<String>) -> Result<OperationId, ApiError> {
    OperationId::parse(id).map_err(|_| ApiError::no_such_operation())
}

/// A caller's command on one operation.
fn order(caller: &Caller, id: OperationId, command: Command, expected: Option<Vec<(Seq, i64)>>) -> Order {
    let actor = Actor { name: Arc::clone(&caller.name), via: Via::Http };
    Order { tenant: caller.tenant.clone(), id, command, expected, actor }
}
