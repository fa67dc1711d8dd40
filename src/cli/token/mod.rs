//! `longrun token`: on the server's own machine, through the socket of a running server, or in the store of one that
//! does not run.

mod running;
mod stopped;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;

use super::exit::{Exit, Failure};
use super::output::{self, Output};
use crate::auth::Scope;
use crate::auth::admin::{TokenList, TokenMade, TokenRequest, TokenView};
use running::Running;
use stopped::Stopped;

/// Make, list and revoke tokens, on the server's own machine
///
/// From the first token on the server asks every client for one, and may listen on other addresses than loopback.
/// Revoking the last one does not undo that.
#[derive(clap::Args)]
#[command(subcommand_help_heading = "Subcommands", subcommand_value_name = "SUBCOMMAND")]
pub(super) struct Token {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a token; it is shown once
#[derive(clap::Args)]
struct Create {
    /// What to call it; events name whoever uses it so
    #[arg(long)]
    name: String,

    /// Whose operations it opens [default: default]
    #[arg(long)]
    tenant: Option<String>,

    /// What it allows; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    #[arg(value_parser = PossibleValuesParser::new(Scope::GRANTED.map(Scope::as_str)))]
    scopes: Vec<String>,

    /// With Operation.Execute: a queue that it may claim from; may be given several times [default: every queue]
    #[arg(long = "queue", value_name = "NAME", value_delimiter = ',')]
    queues: Vec<String>,

    /// How long it opens anything, as in 90d or 12h [default: until it is revoked]
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,

    #[command(flatten)]
    place: Place,
}

/// List all tokens, also those that open nothing any more
#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    place: Place,
}

/// Revoke a token: it opens nothing any more
#[derive(clap::Args)]
struct Revoke {
    /// Its id: what stands between lr_ and the next _
    id: String,

    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
struct Place {
    /// Directory of the server's data
    #[arg(long, env = "LONGRUN_DATA", value_name = "DIR", default_value = "./longrun-data")]
    data: PathBuf,

    /// The database of the nodes that share one, instead
    #[arg(long, env = "LONGRUN_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<String>,
}

impl Place {
    fn describe(&self) -> String {
        std::path::absolute(&self.data).unwrap_or_else(|_| self.data.clone()).display().to_string()
    }

    /// Only making a token may make a store: the others would find nothing in a new one.
    fn must_exist(&self) -> Result<(), Failure> {
        if self.store.is_some() || Stopped::is_there(&self.data) {
            return Ok(());
        }
        let message =
            format!("there is no store in {}: give the server's data by --data", self.data.display());
        Err(Failure::usage(message))
    }
}

impl Token {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        match self.action {
            Action::Create(create) => create.run(output).await,
            Action::List(list) => list.run(output).await,
            Action::Revoke(revoke) => revoke.run(output).await,
        }
    }
}

impl Create {
    async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let request = TokenRequest {
            name: self.name,
            tenant: self.tenant,
            scopes: self.scopes,
            queues: (!self.queues.is_empty()).then_some(self.queues),
            lifetime_seconds: self.expires_in.map(|life| life.as_secs()),
        };
        let mut door = Door::to(&self.place).await?;
        let made = door.make(&request).await?;
        output.note(&format!("made in {}; it is shown this once:", door.describe(&self.place)));
        output.show(&made, |made| format!("{}\n\n{}", made.token, fields(&made.view)))?;
        Ok(Exit::Done)
    }
}

impl List {
    async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        self.place.must_exist()?;
        let list = Door::to(&self.place).await?.list().await?;
        output.show(&list, table)?;
        Ok(Exit::Done)
    }
}

impl Revoke {
    async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        // Whoever has to revoke one in a hurry may well paste all of it.
        if !self.id.bytes().all(|byte| byte.is_ascii_alphanumeric()) || self.id.is_empty() {
            return Err(Failure::usage("give only the token's id: what stands between lr_ and the next _"));
        }
        self.place.must_exist()?;
        Door::to(&self.place).await?.revoke(&self.id).await?;
        output.show(&serde_json::json!({ "id": self.id, "revoked": true }), |_| {
            format!("{} is revoked", self.id)
        })?;
        Ok(Exit::Done)
    }
}

/// Where the credentials are.
enum Door {
    Running(Running),
    Stopped(Stopped),
}

impl Door {
    /// The running server's, else that of the store itself.
    async fn to(place: &Place) -> Result<Self, Failure> {
        if let Some(url) = &place.store {
            return Stopped::database(url.clone()).await.map(Self::Stopped);
        }
        match Running::connect(&place.data).await? {
            Some(running) => Ok(Self::Running(running)),
            None => Stopped::open(&place.data).map(Self::Stopped),
        }
    }

    fn describe(&self, place: &Place) -> String {
        match self {
            Self::Running(_) => format!("the running server of {}", place.describe()),
            Self::Stopped(_) if place.store.is_some() => "the database of all nodes".to_owned(),
            Self::Stopped(_) => format!("{}, where no server runs", place.describe()),
        }
    }

    async fn make(&mut self, request: &TokenRequest) -> Result<TokenMade, Failure> {
        match self {
            Self::Running(running) => running.make(request).await,
            Self::Stopped(stopped) => stopped.make(request).await,
        }
    }

    async fn list(&mut self) -> Result<TokenList, Failure> {
        match self {
            Self::Running(running) => running.list().await,
            Self::Stopped(stopped) => stopped.list().await,
        }
    }

    async fn revoke(&mut self, id: &str) -> Result<(), Failure> {
        match self {
            Self::Running(running) => running.revoke(id).await,
            Self::Stopped(stopped) => stopped.revoke(id).await,
        }
    }
}

fn fields(view: &TokenView) -> String {
    let executes = view.scopes.iter().any(|scope| scope == Scope::Execute.as_str());
    let queues = view.queues.as_ref().map_or_else(|| "every queue".to_owned(), |queues| queues.join(" "));
    let fields = [
        ("id", Some(view.id.clone())),
        ("name", Some(view.name.clone())),
        ("tenant", Some(view.tenant.clone())),
        ("scopes", Some(view.scopes.join(" "))),
        ("queues", executes.then_some(queues)),
        ("expires", view.expiration_date_time.clone()),
    ];
    let rows = fields.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?]));
    output::table(&[], rows)
}

fn state(view: &TokenView) -> &'static str {
    match view {
        TokenView { revoked: true, .. } => "revoked",
        TokenView { expired: true, .. } => "expired",
        _ => "valid",
    }
}

fn table(list: &TokenList) -> String {
    let rows = list.value.iter().map(|view| {
        [
            view.id.clone(),
            view.name.clone(),
            view.tenant.clone(),
            view.scopes.join(" "),
            view.queues.as_ref().map(|queues| queues.join(" ")).unwrap_or_default(),
            view.created_date_time.clone(),
            view.expiration_date_time.clone().unwrap_or_default(),
            view.last_used_date_time.clone().unwrap_or_default(),
            state(view).to_owned(),
        ]
    });
    output::table(
        &["ID", "NAME", "TENANT", "SCOPES", "QUEUES", "CREATED", "EXPIRES", "LAST USED", "STATE"],
        rows,
    )
}
