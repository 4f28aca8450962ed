//! Cash drawers of a venue's counters: opened with a float, filled by sales, closed with a count.

use axum::body::Bytes;
use axum::response::Response;
use http::StatusCode;
use rotunda_booking::command::{Command, Operation};
use rotunda_booking::ids::is_slug;
use rotunda_booking::outcome::{DrawerView, Outcome};
use rotunda_booking::query::{Answer, Query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body;
use super::call::{Call, Segments, current, json};
use super::error::{Code, Problem, ProblemBody};
use super::venues::known;
use super::views::{AsOf, Money};
use crate::idempotency::{Fingerprint, Key};

/// An amount of money that somebody counted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counted {
    /// In minor units of the venue's currency.
    #[schema(minimum = 0, example = 10000)]
    amount: i64,
    /// The venue's.
    #[schema(example = "EUR")]
    currency: String,
}

/// What is in a drawer when it is opened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenDrawer {
    float: Counted,
}

/// What is in a drawer when it is closed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseDrawer {
    counted: Counted,
}

/// How a drawer stands.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DrawerStatus {
    /// Takes cash.
    Open,
    /// Was counted.
    Closed,
}

/// A cash drawer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Drawer<'a> {
    #[schema(example = "till-1")]
    drawer: &'a str,
    /// Venue id.
    venue: &'a str,
    status: DrawerStatus,
    #[schema(format = DateTime)]
    opened_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    closed_at: Option<String>,
    /// Cash at its opening.
    float: Money<'a>,
    /// Cash taken since.
    sales: Money<'a>,
    /// Bookings that it was taken for.
    bookings: u64,
    /// What should be in it: float and sales.
    expected: Money<'a>,
    /// What was found in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<Money<'a>>,
    /// Counted less expected: negative where some was missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Money<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<AsOf>,
}

/// A route that changes one drawer.
macro_rules! change {
    ($(#[$doc:meta])* $name:ident $path:literal $body:ty, $read:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, tag = "counter", request_body = $body,
            params(
                ("venue" = String, Path, description = "Venue id"),
                ("drawer" = String, Path, pattern = "^[a-z0-9-]{1,40}$", description = "Id of the drawer: 1 to 40 of a-z, 0-9 and -"),
                ("Idempotency-Key" = String, Header, description = "A new UUID, the same one for retries"),
            ),
            responses(
                (status = 200, body = Drawer),
                (status = "default", body = ProblemBody, content_type = "application/problem+json"),
            ),
        )]
        pub(crate) async fn $name(
            call: Call,
            Segments((slug, drawer)): Segments<(String, String)>,
            bytes: Bytes,
        ) -> Result<Response, Problem> {
            let body: $body = body::read(&call.headers, &bytes)?;
            change(&call, &slug, drawer, stringify!($name), ($read)(body)).await
        }
    };
}

change! {
    /// Open a drawer with its float.
    open "/v1/venues/{venue}/drawers/{drawer}/open" OpenDrawer,
    |OpenDrawer { float }| Change { field: "/float", counted: float, make: |drawer, float| Operation::OpenDrawer { drawer, float } }
}

change! {
    /// Count a drawer and close it.
    ///
    /// What the count differs by stands in the ledger.
    close "/v1/venues/{venue}/drawers/{drawer}/close" CloseDrawer,
    |CloseDrawer { counted }| Change { field: "/counted", counted, make: |drawer, counted| Operation::CloseDrawer { drawer, counted } }
}

/// What is done to a drawer, and where the money for it stands in the body.
struct Change {
    field: &'static str,
    counted: Counted,
    make: fn(String, i64) -> Operation,
}

async fn change(
    call: &Call,
    slug: &str,
    drawer: String,
    name: &'static str,
    change: Change,
) -> Result<Response, Problem> {
    let key = Key::required(&call.headers, &call.caller)?;
    let drawer = named(drawer)?;
    let venue = call.venue(slug, "{venue}")?;
    let Change { field, counted, make } = change;
    let currency = known(call, slug).await?.definition.currency.clone();
    if counted.currency != currency {
        let detail = format!("the venue's currency is {currency}");
        return Err(
            Problem::new(Code::InvalidBody, format!("In `{field}/currency`: {detail}."))
                .issue(format!("{field}/currency"), detail),
        );
    }
    if counted.amount < 0 {
        let detail = "no drawer holds less than nothing";
        return Err(
            Problem::new(Code::InvalidBody, format!("In `{field}/amount`: {detail}."))
                .issue(format!("{field}/amount"), detail),
        );
    }
    let operation = if name == "open" { "open-drawer" } else { "close-drawer" };
    let mut fingerprint = Fingerprint::of(operation);
    fingerprint.text(&drawer).number(counted.amount as u64);
    let instance = format!("/v1/venues/{slug}/drawers/{drawer}/{name}");
    let command = Command {
        key: Some(key.command(&call.caller, operation, venue.number)),
        fingerprint: fingerprint.short(),
        venue: venue.number,
        actor: None,
        operation: make(drawer, counted.amount),
    };
    let decided = call.decide(&command, &instance, |_, _| "{drawer}".to_owned()).await?;
    let Outcome::Drawer(view) = &decided.outcome else {
        return Err(decided.misfit());
    };
    Ok(decided.answer(json(StatusCode::OK, &shown(slug, view, None))))
}

/// See a drawer, as it is or as it was closed last.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/drawers/{drawer}", tag = "counter",
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("drawer" = String, Path, description = "Id of the drawer"),
    ),
    responses(
        (status = 200, body = Drawer),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn one(call: Call, Segments((slug, drawer)): Segments<(String, String)>) -> Result<Response, Problem> {
    call.parameters([])?;
    let venue = call.venue(&slug, "{venue}")?;
    let query = Query::Drawer {
        venue: venue.number,
        drawer: named(drawer)?,
    };
    let answered = call.query(&query, venue.shard).await?;
    let Answer::Drawer(view) = answered.answer else {
        return Err(
            Problem::new(Code::UnknownDrawer, "The venue has no such drawer.").issue("{drawer}", "no such drawer")
        );
    };
    let (shard, index) = (answered.shard, answered.index);
    let as_of = AsOf {
        shard,
        index,
        time: None,
    };
    Ok(current(shard, index, &shown(&slug, &view, Some(as_of))))
}

fn named(drawer: String) -> Result<String, Problem> {
    if is_slug(&drawer) {
        return Ok(drawer);
    }
    let detail = "a drawer's id has 1 to 40 of a-z, 0-9 and -";
    Err(Problem::new(Code::UnknownDrawer, format!("There can be no such drawer: {detail}.")).issue("{drawer}", detail))
}

fn shown<'a>(venue: &'a str, view: &'a DrawerView, as_of: Option<AsOf>) -> Drawer<'a> {
    let money = |amount| Money::new(amount, &view.currency);
    let expected = view.float.saturating_add(view.sales);
    Drawer {
        drawer: &view.drawer,
        venue,
        status: if view.closed_at.is_some() {
            DrawerStatus::Closed
        } else {
            DrawerStatus::Open
        },
        opened_at: view.opened_at.to_rfc3339(0),
        closed_at: view.closed_at.map(|at| at.to_rfc3339(0)),
        float: money(view.float),
        sales: money(view.sales),
        bookings: view.bookings,
        expected: money(expected),
        counted: view.counted.map(money),
        difference: view.counted.map(|counted| money(counted.saturating_sub(expected))),
        as_of,
    }
}
