//! Availability: the slots of some days with what is left. It never decides a sale.

use axum::response::Response;
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::time::ServiceDay;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{COMMIT, Call, Segments, commit, parameter, tagged, unknown_venue};
use super::error::{Code, Problem, ProblemBody};
use super::venues::known;
use super::views::{AsOf, Money, Slot, UnitPrice};

/// Most days of one question.
const MAX_DAYS: i32 = 31;

/// The slots of some days.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Availability<'a> {
    venue: &'a str,
    as_of: AsOf,
    /// In order of product and start.
    slots: Vec<Slot<'a>>,
}

/// Slots with what is left.
///
/// `from` and `to` are service days at the venue, both included: the days on which the openings began. At most 31 days.
/// The entity tag is the log position that the answer shows.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/availability", tag = "catalogue",
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("product" = Option<String>, Query, description = "Only this product"),
        ("from" = String, Query, description = "First service day, as `2027-01-15`"),
        ("to" = Option<String>, Query, description = "Last service day, included; `from` where left out"),
        ("Rotunda-Commit" = Option<String>, Header, description = "The answer shows at least this"),
    ),
    responses(
        (status = 200, body = Availability, headers(("ETag" = String, description = "`\"<shard>-<index>\"`"))),
        (status = 304, description = "The caller has it"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn slots(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    let [product, from, to] = call.parameters(["product", "from", "to"])?;
    let day = |name: &str, text: &str| {
        text.parse::<ServiceDay>()
            .map_err(|error| parameter(name, error.to_string()))
    };
    let from = day(
        "from",
        &from.ok_or_else(|| parameter("from", "it is missing; write a day as 2027-01-15"))?,
    )?;
    let to = to.map_or(Ok(from), |text| day("to", &text))?;
    if to < from {
        return Err(parameter("to", "it is before `from`"));
    }
    if to.0.saturating_sub(from.0) >= MAX_DAYS {
        return Err(parameter("to", format!("at most {MAX_DAYS} days at once")));
    }
    let venue = call.venue(&slug, "{venue}")?;
    let known = known(&call, &slug).await?;
    let query = Query::Availability {
        venue: venue.number,
        product: product.clone(),
        from,
        to,
    };
    let answered = call.query(&query, venue.shard).await?;
    let (time, slots) = match (answered.answer, product) {
        (Answer::Availability { time, slots }, _) => (time, slots),
        (_, Some(product)) => {
            return Err(
                Problem::new(Code::UnknownProduct, format!("`{slug}` has no product `{product}`."))
                    .issue("?product", "no such product"),
            );
        }
        (_, None) => return Err(unknown_venue(&slug, "{venue}")),
    };
    let prices: Vec<(&str, Vec<UnitPrice>)> = known
        .definition
        .products
        .iter()
        .map(|product| {
            let price = |unit: &rotunda_booking::catalogue::UnitDefinition| UnitPrice {
                unit: unit.slug.clone(),
                price: Money::kept(unit.price, &known.definition.currency),
            };
            (product.slug.as_str(), product.units.iter().map(price).collect())
        })
        .collect();
    let prices_of = |product: &str| {
        prices
            .iter()
            .find(|(slug, _)| *slug == product)
            .map(|(_, prices)| prices.as_slice())
    };
    let (shard, index) = (answered.shard, answered.index);
    let body = Availability {
        venue: &slug,
        as_of: AsOf {
            shard,
            index,
            time: Some(time.to_rfc3339(0)),
        },
        slots: slots
            .iter()
            .map(|slot| Slot::new(slot, prices_of(&slot.slot.product)))
            .collect(),
    };
    let mut response = tagged(&call, format!("\"{shard}-{index}\""), &body);
    response.headers_mut().insert(COMMIT, commit(shard, index));
    Ok(response)
}
