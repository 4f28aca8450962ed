//! The ledger of a venue, line by line: what was sold and taken back, by double entry, each line chained to the one before.

use axum::response::Response;
use rotunda_booking::ledger::{LedgerItem, LedgerLine, Posting};
use rotunda_booking::query::{Answer, MAX_LEDGER_LINES, Query};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{Call, Segments, current, hex, parameter, unknown_venue};
use super::error::{Problem, ProblemBody};
use super::views::{AsOf, ChannelName};

/// Lines of an answer where the caller says nothing.
const DEFAULT_LIMIT: u32 = 100;

/// Lines of a venue's ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ledger<'a> {
    /// Venue id.
    venue: &'a str,
    /// ISO 4217 code. All amounts are in its minor units.
    currency: &'a str,
    /// Digits of the currency's minor unit.
    currency_digits: u8,
    /// In order of number.
    data: Vec<Line<'a>>,
    /// Number of the newest line that there is; 0 where there is none.
    last: u64,
    /// True where there are more behind these: go on with `?after=` the number of the last of them.
    has_more: bool,
    as_of: AsOf,
}

/// One line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerLine)]
pub(crate) struct Line<'a> {
    /// Counts from 1 within the venue.
    number: u64,
    /// Log time.
    #[schema(format = DateTime)]
    at: String,
    /// `sale`, `reversal`, `exchange`, `tour_cancelled` or `drawer_closed`.
    #[schema(example = "sale")]
    reason: &'static str,
    /// The booking's number within the venue; 0 where it is about none.
    booking: u64,
    channel: ChannelName,
    /// Places that change hands: positive for a sale.
    places: i64,
    /// What was sold or taken back.
    items: Vec<Item<'a>>,
    /// They sum to zero.
    postings: Vec<Entry>,
    /// SHA-256 over the line before and this one, in hexadecimal; `rotunda ledger verify` recomputes it.
    hash: String,
}

/// Units that were sold, or (negative) taken back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerItem)]
pub(crate) struct Item<'a> {
    product: &'a str,
    unit: &'a str,
    quantity: i64,
    /// Tax included.
    total: i64,
    /// Contained in `total`.
    tax: i64,
}

/// One amount on one account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerPosting)]
pub(crate) struct Entry {
    /// Position in `items`; 0 where the line has none.
    item: u16,
    /// `takings`, `sales`, `tax`, `cash`, `card` or `cash_difference`.
    #[schema(example = "takings")]
    account: &'static str,
    /// Positive is a debit.
    amount: i64,
}

/// A venue's ledger, from after a line.
///
/// Nothing in it is ever edited: what is taken back is a line of its own. The hash of a line is SHA-256 over the text
/// `rotunda ledger 1`, a zero byte, the hash of the line before (zeros for the first), and the line in the layout of
/// `rotunda_booking::ledger`.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/ledger", tag = "reports",
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("after" = Option<u64>, Query, description = "Number of the last line that the caller has; 0 where left out"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "At most so many lines, up to 1000; 100 where left out"),
    ),
    responses(
        (status = 200, body = Ledger),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn lines(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    let [after, limit] = call.parameters(["after", "limit"])?;
    let after: u64 = match after {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| parameter("after", "it must be the number of a line, or 0"))?,
    };
    let limit = match limit.as_deref().map(str::parse) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit @ 1..=MAX_LEDGER_LINES)) => limit,
        Some(_) => {
            return Err(parameter(
                "limit",
                format!("it must be a number from 1 to {MAX_LEDGER_LINES}"),
            ));
        }
    };
    let venue = call.venue(&slug, "{venue}")?;
    let query = Query::Ledger {
        venue: venue.number,
        after,
        limit,
    };
    let answered = call.query(&query, venue.shard).await?;
    let Answer::Ledger {
        currency,
        currency_digits,
        lines,
        last,
        time,
    } = answered.answer
    else {
        return Err(unknown_venue(&slug, "{venue}"));
    };
    let (shard, index) = (answered.shard, answered.index);
    let body = Ledger {
        venue: &slug,
        currency: &currency,
        currency_digits,
        has_more: lines.last().is_some_and(|line| line.number < last),
        data: lines.iter().map(Line::of).collect(),
        last,
        as_of: AsOf {
            shard,
            index,
            time: Some(time.to_rfc3339(0)),
        },
    };
    Ok(current(shard, index, &body))
}

impl<'a> Line<'a> {
    fn of(line: &'a LedgerLine) -> Self {
        let item = |item: &'a LedgerItem| Item {
            product: &item.product,
            unit: &item.unit,
            quantity: item.quantity,
            total: item.total,
            tax: item.tax,
        };
        let entry = |posting: &Posting| Entry {
            item: posting.item,
            account: posting.account.as_str(),
            amount: posting.amount,
        };
        Self {
            number: line.number,
            at: line.at.to_rfc3339(0),
            reason: line.reason.as_str(),
            booking: line.booking,
            channel: line.channel.into(),
            places: line.places,
            items: line.items.iter().map(item).collect(),
            postings: line.postings.iter().map(entry).collect(),
            hash: hex(&line.hash),
        }
    }
}
