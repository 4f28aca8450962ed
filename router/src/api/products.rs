//! Products: those of a venue, whole; and those of all venues, as a visitor looks for them. At most a second old; see
//! `catalogue_cache`.

use std::ops::ControlFlow;

use axum::response::Response;
use rotunda_booking::catalogue::{ProductDefinition, UnitDefinition, VenueDefinition};
use rotunda_booking::time::ServiceDay;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{Call, Segments, tagged};
use super::error::{Problem, ProblemBody};
use super::language::Interpreter;
use super::paging;
use super::search::{self, Search, Sought, price_from};
use super::venues::{as_of, known};
use super::views::{AsOf, Money};
use crate::idempotency::Fingerprint;

/// One page of products.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProductPage {
    data: Vec<ProductEntry>,
    /// For `?cursor=`; empty on the last page.
    next_cursor: String,
    has_more: bool,
}

/// A product in a list; `/v1/venues/{venue}/products` has it whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProductEntry {
    #[schema(example = "lisbon-tides")]
    venue: String,
    #[schema(example = "general")]
    id: String,
    name: String,
    /// Of name and description, as a tag of BCP 47; left out where the catalogue does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "pt")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    venue_name: String,
    city: String,
    /// `timed`, `guided`, `group` or `day`.
    kind: &'static str,
    /// The lowest price of who comes alone and is no member.
    price_from: Money<'static>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    on_sale: Option<String>,
    /// Last service day whose slots can be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    planned_through: Option<String>,
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
    /// Of name and description, as a tag of BCP 47; left out where the catalogue does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
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
    /// Where the catalogue has one; else shops show one of their own for the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// Of name and description, where there is any of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
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

/// Products of all venues, in order of venue and id, in the caller's language where the catalogue has it.
///
/// With parameters only those that fit all of them. Texts are compared without case and accents.
#[utoipa::path(
    get, path = "/v1/products", tag = "catalogue",
    params(
        ("q" = Option<String>, Query, description = "Only with all these words in id, name or description, or in what the venue is called, in any language"),
        ("city" = Option<String>, Query, description = "Only in this city"),
        ("open_on" = Option<String>, Query, description = "Only sold for this service day, as `2027-01-15`: its slots are planned, and its sale begins before the day is over"),
        ("price_min" = Option<i64>, Query, description = "Only with a `price_from` as high, in minor units"),
        ("price_max" = Option<i64>, Query, description = "Only with a `price_from` no higher, in minor units"),
        ("currency" = Option<String>, Query, description = "Only sold in this currency. A price needs it where the city's venues sell in several"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "At most so many, up to 200; 50 where left out"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("Accept-Language" = Option<String>, Header, description = "Languages that the caller reads, as `pt-BR, en;q=0.5`"),
    ),
    responses(
        (status = 200, body = ProductPage, headers(
            ("Content-Language" = String, description = "Languages that the texts are in, with commas"),
        )),
        (status = 304, description = "The caller has it"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let [q, city, open_on, price_min, price_max, currency, limit, cursor] = call.parameters([
        "q",
        "city",
        "open_on",
        "price_min",
        "price_max",
        "currency",
        "limit",
        "cursor",
    ])?;
    let limit = paging::limit(limit.as_deref())?;
    let after = paging::after(cursor.as_deref())?;
    // No id has a slash.
    let (after_venue, after_product) = after
        .as_deref()
        .map_or(("", ""), |after| after.split_once('/').unwrap_or((after, "")));
    let sought = Sought {
        q,
        city,
        open_on,
        price_min,
        price_max,
        currency,
    };
    let search = Search::of(&call, sought).await?;

    let mut venues = search::venues(&call)?;
    venues.retain(|venue| venue.slug.as_str() >= after_venue);
    let mut interpreter = Interpreter::of(&call.headers);
    let mut tag = Fingerprint::of("all products");
    let mut data: Vec<ProductEntry> = Vec::new();
    let mut next_cursor = String::new();
    search::look(&call, &venues, |known| {
        let venue = &known.definition;
        let mut places = search.products(known);
        places.sort_by_key(|&place| venue.products[place].slug.as_str());
        for place in places {
            let product = &venue.products[place];
            if venue.slug == after_venue && product.slug.as_str() <= after_product {
                continue;
            }
            if data.len() == limit {
                let last = data.last();
                next_cursor = last
                    .map(|entry| paging::seal(&format!("{}/{}", entry.venue, entry.id)))
                    .unwrap_or_default();
                return ControlFlow::Break(());
            }
            let planned = known.planned_through.get(place).copied().flatten();
            tag.text(&venue.slug).text(&product.slug).number(known.revision);
            tag.number(day_number(planned));
            data.push(ProductEntry::new(venue, product, planned, &mut interpreter));
        }
        ControlFlow::Continue(())
    })
    .await?;
    tag.text(&next_cursor).number(interpreter.chosen());
    let page = ProductPage {
        has_more: !next_cursor.is_empty(),
        next_cursor,
        data,
    };
    let response = tagged(&call, format!("\"{:016x}\"", tag.short()), &page);
    Ok(interpreter.sign(response))
}

/// The products of a venue, with their units and prices, in the caller's language where the catalogue has it.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/products", tag = "catalogue",
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("Accept-Language" = Option<String>, Header, description = "Languages that the caller reads, as `pt-BR, en;q=0.5`"),
    ),
    responses(
        (status = 200, body = Products, headers(
            ("Content-Language" = String, description = "Languages that the texts are in, with commas"),
        )),
        (status = 304, description = "The caller has it"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn of_venue(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    call.parameters([])?;
    let known = known(&call, &slug).await?;
    let definition = &known.definition;
    let planned = known.planned_through.iter().copied().chain(std::iter::repeat(None));
    let products = definition.products.iter().zip(planned);
    let mut interpreter = Interpreter::of(&call.headers);
    let body = Products {
        venue: &definition.slug,
        products: products
            .map(|(product, planned)| Product::new(definition, product, planned, &mut interpreter))
            .collect(),
        as_of: as_of(&known),
    };
    let tag = products_tag(known.revision, &known.planned_through, interpreter.chosen());
    let response = tagged(&call, tag, &body);
    Ok(interpreter.sign(response))
}

/// Of all that the products show: the window of one may move on before that of another.
fn products_tag(revision: u64, planned: &[Option<ServiceDay>], chosen: u64) -> String {
    let mut tag = Fingerprint::of("products");
    tag.number(revision).number(chosen);
    for day in planned {
        tag.number(day_number(*day));
    }
    format!("\"{:016x}\"", tag.short())
}

/// As no day and each day have another.
fn day_number(day: Option<ServiceDay>) -> u64 {
    day.map_or(0, |day| 1 << 32 | u64::from(day.0 as u32))
}

impl ProductEntry {
    fn new(
        venue: &VenueDefinition,
        product: &ProductDefinition,
        planned: Option<ServiceDay>,
        interpreter: &mut Interpreter,
    ) -> Self {
        let shown = interpreter.show(&venue.language, &product.name, &product.texts);
        Self {
            venue: venue.slug.clone(),
            id: product.slug.clone(),
            name: shown.name.to_owned(),
            language: shown.language.map(str::to_owned),
            description: shown.description.map(str::to_owned),
            venue_name: interpreter.name(&venue.language, &venue.name, &venue.texts).to_owned(),
            city: venue.city.clone(),
            kind: product.kind.as_str(),
            price_from: Money::kept(price_from(product), &venue.currency),
            on_sale: product.on_sale.map(|at| at.to_rfc3339(0)),
            planned_through: planned.map(|day| day.to_string()),
        }
    }
}

impl<'a> Product<'a> {
    fn new(
        venue: &'a VenueDefinition,
        product: &'a ProductDefinition,
        planned: Option<ServiceDay>,
        interpreter: &mut Interpreter,
    ) -> Self {
        let shown = interpreter.show(&venue.language, &product.name, &product.texts);
        Self {
            id: &product.slug,
            name: shown.name,
            language: shown.language,
            description: shown.description,
            kind: product.kind.as_str(),
            slot_minutes: Some(product.slot_minutes).filter(|&minutes| minutes > 0),
            visit_minutes: Some(product.visit_minutes).filter(|&minutes| minutes > 0),
            capacity: product.capacity,
            on_sale: product.on_sale.map(|at| at.to_rfc3339(0)),
            hold_minutes: product.hold_minutes,
            min_units_per_booking: product.min_units_per_booking,
            max_units_per_booking: product.max_units_per_booking,
            planned_through: planned.map(|day| day.to_string()),
            units: product
                .units
                .iter()
                .map(|unit| Unit::new(venue, unit, interpreter))
                .collect(),
        }
    }
}

impl<'a> Unit<'a> {
    fn new(venue: &'a VenueDefinition, unit: &'a UnitDefinition, interpreter: &mut Interpreter) -> Self {
        // A translation may name what has no name of its own.
        let says_nothing = unit.name.is_none() && unit.texts.is_empty();
        let name = unit.name.as_deref().unwrap_or_default();
        let shown = (!says_nothing).then(|| interpreter.show(&venue.language, name, &unit.texts));
        Self {
            id: &unit.slug,
            name: shown.map(|shown| shown.name).filter(|name| !name.is_empty()),
            language: shown.and_then(|shown| shown.language),
            description: shown.and_then(|shown| shown.description),
            kind: &unit.kind,
            price: Money::kept(unit.price, &venue.currency),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_products_moves_with_the_window_of_each_and_the_language() {
        let (monday, tuesday) = (Some(ServiceDay(20_000)), Some(ServiceDay(20_001)));
        let tags = [
            products_tag(1, &[tuesday, None], 1),
            products_tag(1, &[tuesday, monday], 1),
            products_tag(1, &[tuesday, tuesday], 1),
            products_tag(1, &[tuesday, tuesday], 2),
            products_tag(2, &[tuesday, tuesday], 1),
        ];
        let different: std::collections::BTreeSet<&String> = tags.iter().collect();
        assert_eq!(different.len(), tags.len(), "{tags:?}");
    }
}
