//! The catalogue: venues, one venue, its products. At most a second old; see `catalogue_cache`.

use std::sync::Arc;

use axum::response::Response;
use futures::future::join_all;
use rotunda_booking::catalogue::{Opening, ProductDefinition, ProductKind, UnitDefinition, VenueDefinition};
use rotunda_booking::time::ServiceDay;
use rotunda_protocol::shard_map::VenueInfo;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{Call, Segments, parameter, tagged, unknown_venue};
use super::error::{Problem, ProblemBody};
use super::views::{AsOf, Money};
use crate::catalogue_cache::Known;
use crate::idempotency::Fingerprint;

/// Entries of a page where the caller does not say.
const DEFAULT_LIMIT: usize = 50;

/// Most entries of a page.
const MAX_LIMIT: usize = 200;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// One page of venues.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VenuePage {
    data: Vec<VenueEntry>,
    /// For `?cursor=`; empty on the last page.
    next_cursor: String,
    has_more: bool,
}

/// A venue in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VenueEntry {
    #[schema(example = "lisbon-tides")]
    id: String,
    name: String,
    city: String,
    /// IANA zone.
    time_zone: String,
    /// ISO 4217 code.
    currency: String,
}

/// A venue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Venue<'a> {
    id: &'a str,
    name: &'a str,
    city: &'a str,
    /// IANA zone.
    time_zone: &'a str,
    /// ISO 4217 code.
    currency: &'a str,
    /// Digits of the currency's minor unit.
    currency_digits: u8,
    /// Contained in prices.
    tax_basis_points: u32,
    /// People inside at once.
    building_capacity: u32,
    opening: Vec<OpeningHours>,
    /// Days without opening.
    closed: Vec<String>,
    /// Ids; `/products` has them whole.
    products: Vec<&'a str>,
    as_of: AsOf,
}

/// Open on these weekdays between these local times.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpeningHours {
    #[schema(example = json!(["tue", "wed"]))]
    days: Vec<&'static str>,
    #[schema(example = "10:00")]
    from: String,
    /// At or before `from` it is the next day's.
    #[schema(example = "18:00")]
    to: String,
}

/// The products of a venue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Products<'a> {
    venue: &'a str,
    products: Vec<Product<'a>>,
    as_of: AsOf,
}

/// A product.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Product<'a> {
    id: &'a str,
    name: &'a str,
    /// `timed`, `guided`, `group` or `day`.
    kind: &'static str,
    /// Minutes from slot to slot; not for day passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    slot_minutes: Option<u32>,
    /// Minutes that a visit takes; not for day passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    visit_minutes: Option<u32>,
    /// Places of a slot (of a day, for day passes).
    capacity: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    on_sale: Option<String>,
    hold_minutes: u32,
    min_units_per_booking: u32,
    max_units_per_booking: u32,
    /// Last service day whose slots can be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    planned_through: Option<String>,
    units: Vec<Unit<'a>>,
}

/// A ticket type.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Unit<'a> {
    id: &'a str,
    /// As resellers know it: `ADULT`.
    #[serde(rename = "type")]
    kind: &'a str,
    price: Money<'static>,
    /// Persons that one of it admits.
    pax: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_age: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u32>,
    /// At least one of these must be booked with it for the same slot.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    accompanied_by: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_quantity: Option<u32>,
    /// What the visitor must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    requires: Option<&'a str>,
    /// An identity card is looked at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    id_required: bool,
}

/// Venues, in order of their ids.
#[utoipa::path(
    get, path = "/v1/venues", tag = "catalogue",
    params(
        ("city" = Option<String>, Query, description = "Only in this city"),
        ("q" = Option<String>, Query, description = "Only with this in id, name or city"),
        ("open_on" = Option<String>, Query, description = "Only open on this service day, as `2027-01-15`"),
        ("limit" = Option<u32>, Query, description = "At most so many, up to 200; 50 where left out"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, body = VenuePage),
        (status = 304, description = "The caller has it"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let [city, q, open_on, limit, cursor] = call.parameters(["city", "q", "open_on", "limit", "cursor"])?;
    let limit = match limit {
        None => DEFAULT_LIMIT,
        Some(text) => match text.parse() {
            Ok(limit @ 1..=MAX_LIMIT) => limit,
            _ => return Err(parameter("limit", format!("it must be a number from 1 to {MAX_LIMIT}"))),
        },
    };
    let open_on: Option<ServiceDay> = open_on
        .map(|text| {
            text.parse()
                .map_err(|_| parameter("open_on", "it must be a day, as 2027-01-15"))
        })
        .transpose()?;
    let after = cursor
        .map(|text| unseal(&text).ok_or_else(|| parameter("cursor", "send back `next_cursor` as it came")))
        .transpose()?;

    let map = call.map()?;
    let mut venues: Vec<&VenueInfo> = map.venues().iter().collect();
    venues.sort_by(|one, other| one.slug.cmp(&other.slug));
    venues.retain(|venue| after.as_ref().is_none_or(|after| venue.slug > *after));

    let mut tag = Fingerprint::of("venues");
    let mut data = Vec::new();
    let mut next_cursor = String::new();
    // One page's worth of questions at a time: a filter may skip many venues, and each is a question to its shard.
    'pages: for chunk in venues.chunks(limit.max(16)) {
        let known = join_all(chunk.iter().map(|venue| call.catalogue(venue))).await;
        for known in known {
            let Some(known) = known? else { continue };
            if !matches(&known.definition, city.as_deref(), q.as_deref(), open_on) {
                continue;
            }
            if data.len() == limit {
                next_cursor = data
                    .last()
                    .map(|entry: &VenueEntry| seal(&entry.id))
                    .unwrap_or_default();
                break 'pages;
            }
            tag.text(&known.definition.slug).number(known.revision);
            data.push(entry(&known.definition));
        }
    }
    tag.text(&next_cursor);
    let page = VenuePage {
        has_more: !next_cursor.is_empty(),
        next_cursor,
        data,
    };
    Ok(tagged(&call, format!("\"{:016x}\"", tag.short()), &page))
}

/// One venue.
#[utoipa::path(
    get, path = "/v1/venues/{venue}", tag = "catalogue",
    params(("venue" = String, Path, description = "Venue id")),
    responses(
        (status = 200, body = Venue),
        (status = 304, description = "The caller has it"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn one(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    call.parameters([])?;
    let known = known(&call, &slug).await?;
    let definition = &known.definition;
    let venue = Venue {
        id: &definition.slug,
        name: &definition.name,
        city: &definition.city,
        time_zone: &definition.time_zone,
        currency: &definition.currency,
        currency_digits: definition.currency_digits,
        tax_basis_points: definition.tax_basis_points,
        building_capacity: definition.building_capacity,
        opening: definition.opening.iter().map(hours).collect(),
        closed: definition.closed.iter().map(ToString::to_string).collect(),
        products: definition
            .products
            .iter()
            .map(|product| product.slug.as_str())
            .collect(),
        as_of: as_of(&known),
    };
    Ok(tagged(&call, revision_tag(&known), &venue))
}

/// The products of a venue, with their units and prices.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/products", tag = "catalogue",
    params(("venue" = String, Path, description = "Venue id")),
    responses(
        (status = 200, body = Products),
        (status = 304, description = "The caller has it"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn products(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    call.parameters([])?;
    let known = known(&call, &slug).await?;
    let definition = &known.definition;
    let planned = known.planned_through.iter().copied().chain(std::iter::repeat(None));
    let products = definition.products.iter().zip(planned);
    let body = Products {
        venue: &definition.slug,
        products: products
            .map(|(product, planned)| Product::new(product, planned, &definition.currency))
            .collect(),
        as_of: as_of(&known),
    };
    Ok(tagged(
        &call,
        products_tag(known.revision, &known.planned_through),
        &body,
    ))
}

/// Of all that the products show: the window of one may move on before that of another.
fn products_tag(revision: u64, planned: &[Option<ServiceDay>]) -> String {
    let mut tag = Fingerprint::of("products");
    tag.number(revision);
    for day in planned {
        tag.number(day.map_or(0, |day| 1 << 32 | u64::from(day.0 as u32)));
    }
    format!("\"{:016x}\"", tag.short())
}

impl<'a> Product<'a> {
    fn new(product: &'a ProductDefinition, planned: Option<ServiceDay>, currency: &str) -> Self {
        Self {
            id: &product.slug,
            name: &product.name,
            kind: match product.kind {
                ProductKind::Timed => "timed",
                ProductKind::Guided => "guided",
                ProductKind::Group => "group",
                ProductKind::Day => "day",
            },
            slot_minutes: Some(product.slot_minutes).filter(|&minutes| minutes > 0),
            visit_minutes: Some(product.visit_minutes).filter(|&minutes| minutes > 0),
            capacity: product.capacity,
            on_sale: product.on_sale.map(|at| at.to_rfc3339(0)),
            hold_minutes: product.hold_minutes,
            min_units_per_booking: product.min_units_per_booking,
            max_units_per_booking: product.max_units_per_booking,
            planned_through: planned.map(|day| day.to_string()),
            units: product.units.iter().map(|unit| Unit::new(unit, currency)).collect(),
        }
    }
}

impl<'a> Unit<'a> {
    fn new(unit: &'a UnitDefinition, currency: &str) -> Self {
        Self {
            id: &unit.slug,
            kind: &unit.kind,
            price: Money::kept(unit.price, currency),
            pax: unit.pax,
            min_age: unit.min_age,
            max_age: unit.max_age,
            accompanied_by: &unit.accompanied_by,
            max_quantity: unit.max_quantity,
            requires: unit.requires.as_deref(),
            id_required: unit.id_required,
        }
    }
}

/// The catalogue of the venue that a path names.
pub(crate) async fn known(call: &Call, slug: &str) -> Result<Arc<Known>, Problem> {
    let venue = call.venue(slug, "{venue}")?;
    // Assigned but not imported yet is as good as not there.
    call.catalogue(&venue)
        .await?
        .ok_or_else(|| unknown_venue(slug, "{venue}"))
}

fn entry(definition: &VenueDefinition) -> VenueEntry {
    VenueEntry {
        id: definition.slug.clone(),
        name: definition.name.clone(),
        city: definition.city.clone(),
        time_zone: definition.time_zone.clone(),
        currency: definition.currency.clone(),
    }
}

fn as_of(known: &Known) -> AsOf {
    AsOf {
        shard: known.shard,
        index: known.index,
        time: None,
    }
}

fn revision_tag(known: &Known) -> String {
    format!("\"{:016x}\"", known.revision)
}

fn hours(opening: &Opening) -> OpeningHours {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let days = DAYS
        .iter()
        .enumerate()
        .filter(|(n, _)| opening.days >> n & 1 == 1)
        .map(|(_, day)| *day);
    OpeningHours {
        days: days.collect(),
        from: time(opening.from_minute),
        to: time(opening.to_minute),
    }
}

fn matches(definition: &VenueDefinition, city: Option<&str>, q: Option<&str>, open_on: Option<ServiceDay>) -> bool {
    let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
    city.is_none_or(|city| definition.city.to_lowercase() == city.to_lowercase())
        && q.is_none_or(|q| {
            [&definition.slug, &definition.name, &definition.city]
                .into_iter()
                .any(|text| has(text, q))
        })
        && open_on.is_none_or(|day| {
            !definition.closed.contains(&day)
                && definition
                    .opening
                    .iter()
                    .any(|opening| opening.days >> day.weekday() & 1 == 1)
        })
}

/// A cursor says where the page ended. In hexadecimal, so that nobody is tempted to write one by hand.
fn seal(slug: &str) -> String {
    use std::fmt::Write as _;
    slug.bytes().fold(String::from("v1"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unseal(cursor: &str) -> Option<String> {
    let hex = cursor
        .strip_prefix("v1")
        .filter(|hex| hex.len() % 2 == 0 && hex.is_ascii() && hex.len() <= 1_024)?;
    let bytes: Result<Vec<u8>, _> = (0..hex.len())
        .step_by(2)
        .map(|n| u8::from_str_radix(&hex[n..n + 2], 16))
        .collect();
    String::from_utf8(bytes.ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        assert_eq!(unseal(&seal("lisbon-tides")).as_deref(), Some("lisbon-tides"));
        for wrong in ["", "lisbon-tides", "v1zz", "v1f", "v1ff", "v2aa"] {
            assert_eq!(unseal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_tag_of_products_moves_with_the_window_of_each() {
        let (monday, tuesday) = (Some(ServiceDay(20_000)), Some(ServiceDay(20_001)));
        let tags = [
            products_tag(1, &[tuesday, None]),
            products_tag(1, &[tuesday, monday]),
            products_tag(1, &[tuesday, tuesday]),
            products_tag(2, &[tuesday, tuesday]),
        ];
        let different: std::collections::BTreeSet<&String> = tags.iter().collect();
        assert_eq!(different.len(), tags.len(), "{tags:?}");
    }

    #[test]
    fn opening_hours_read_as_in_the_file() {
        let opening = Opening {
            days: 0b011_0000,
            from_minute: 600,
            to_minute: 1440,
        };
        let hours = hours(&opening);
        assert_eq!(
            (hours.days, hours.from.as_str(), hours.to.as_str()),
            (vec!["fri", "sat"], "10:00", "24:00")
        );
    }
}
