//! Lists: page after page, each from where the one before ended.

mod filter;

use std::marker::PhantomData;
use std::time::Duration;

use form_urlencoded::{Serializer, parse};
use futures_util::{Stream, stream};
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{Client, ClientError};
use crate::wire::Operation;

pub use filter::Filter;

const OPERATIONS: &str = "/v1.0/operations?";
const COUNT: &str = "/v1.0/operations/$count?";
const SKIP_TOKEN: &str = "$skiptoken";

/// Which operations are listed, and what of them. The default: all of the tenant, the newest first, without their
/// inputs and results.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Which.
    pub filter: Option<Filter>,
    /// By the time of their creation, and not the newest first.
    pub oldest_first: bool,
    /// Operations of one page, 1…1000; 100 unless set.
    pub page_size: Option<u32>,
    /// Fields, by their names on the wire; without any, all but `input` and `result`. A field that is not selected is
    /// as if the operation had none: see [`Client::list_as`].
    pub select: Vec<String>,
    /// Whether to tell how many there are on all pages.
    pub count: bool,
}

impl ListQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let order = self.oldest_first.then(|| "createdDateTime asc".to_owned());
        let select = (!self.select.is_empty()).then(|| self.select.join(","));
        let pairs = [
            ("$filter", self.filter.as_ref().map(ToString::to_string)),
            ("$orderby", order),
            ("$top", self.page_size.map(|size| size.to_string())),
            ("$select", select),
            ("$count", self.count.then(|| "true".to_owned())),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn path(of: &str, pairs: &[(&'static str, String)]) -> String {
    let mut query = Serializer::for_suffix(of.to_owned(), of.len());
    query.extend_pairs(pairs);
    query.finish().trim_end_matches('?').to_owned()
}

/// One page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct Page<T = Operation> {
    /// The operations.
    pub value: Vec<T>,
    /// How many there are on all pages, where that was asked for.
    #[serde(rename = "@odata.count")]
    pub count: Option<u64>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<String>,
}

impl<T> Page<T> {
    /// Whether this is the last.
    pub fn is_last(&self) -> bool {
        self.next_link.is_none()
    }
}

/// The pages of a list: [`Pages::next`] gives them.
#[derive(Clone, Debug)]
pub struct Pages<T = Operation> {
    client: Client,
    query: ListQuery,
    at: At,
    of: PhantomData<fn() -> T>,
}

/// How far they were read.
#[derive(Clone, Debug)]
enum At {
    Start,
    After(String),
    End,
}

impl Client {
    /// The operations that a query asks for.
    ///
    /// ```no_run
    /// # async fn example(client: longrun_sdk::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use longrun_sdk::{client::{Filter, ListQuery}, wire::Status};
    ///
    /// let filter = Filter::status(Status::Failed).and(Filter::label("customer", "O'Hara"));
    /// let mut pages = client.list(ListQuery { filter: Some(filter), ..ListQuery::default() });
    /// while let Some(page) = pages.next().await? {
    ///     for operation in page.value {
    ///         println!("{}", operation.id);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self, query: ListQuery) -> Pages {
        self.list_as(query)
    }

    /// The same, with each operation read as something else: what has only the selected fields.
    pub fn list_as<T: DeserializeOwned>(&self, query: ListQuery) -> Pages<T> {
        Pages { client: self.clone(), query, at: At::Start, of: PhantomData }
    }

    /// How many operations there are, of those that the filter lets through or of all.
    pub async fn count(&self, filter: Option<&Filter>) -> Result<u64, ClientError> {
        let pairs: Vec<_> = filter.map(|filter| ("$filter", filter.to_string())).into_iter().collect();
        let answer = self.read(&path(COUNT, &pairs), Vec::new()).await?.success()?;
        answer.json()
    }
}

impl<T: DeserializeOwned> Pages<T> {
    /// The next page; `None` after the last.
    ///
    /// # Errors
    ///
    /// Those of the call; it may be asked for again.
    pub async fn next(&mut self) -> Result<Option<Page<T>>, ClientError> {
        let mut pairs = self.query.pairs();
        match &self.at {
            At::Start => {}
            At::After(token) => pairs.push((SKIP_TOKEN, token.clone())),
            At::End => return Ok(None),
        }
        let deadline = Instant::now() + self.client.deadline;
        let path = path(OPERATIONS, &pairs);
        let answer =
            self.client.repeated(Method::GET, &path, Vec::new(), None, Duration::ZERO, deadline).await?;
        let page: Page<T> = answer.json()?;
        self.at = match &page.next_link {
            None => At::End,
            Some(link) => At::After(token(link)?),
        };
        Ok(Some(page))
    }

    /// Every operation of every page, as a [`Stream`]; it ends with the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<T, ClientError>> + Send
    where
        T: Send,
    {
        let begun = (self, Vec::new().into_iter());
        stream::try_unfold(begun, |(mut pages, mut rest)| async move {
            loop {
                if let Some(operation) = rest.next() {
                    return Ok(Some((operation, (pages, rest))));
                }
                match pages.next().await? {
                    Some(page) => rest = page.value.into_iter(),
                    None => return Ok(None),
                }
            }
        })
    }
}

/// Where the next page begins. The link may lead through another host than the one this client was given, and the token
/// of the client is for that one only; so only this is taken from it.
fn token(link: &str) -> Result<String, ClientError> {
    let query = link.split_once('?').map_or("", |(_, query)| query);
    let found = parse(query.as_bytes()).find(|(name, _)| name == SKIP_TOKEN);
    let missing = || ClientError::InvalidAnswer { message: "a next link without a $skiptoken".to_owned() };
    found.map(|(_, token)| token.into_owned()).ok_or_else(missing)
}
