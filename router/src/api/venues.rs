//! The catalogue: venues, and one venue. At most a second old; see `catalogue_cache`. Their products are in
//! [`super::products`].

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::response::Response;
use rotunda_booking::catalogue::{Opening, VenueDefinition};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{Call, Segments, tagged, unknown_venue};
use super::error::{Problem, ProblemBody};
use super::language::Interpreter;
use super::paging;
use super::search::{self, Search, Sought};
use super::views::AsOf;
use crate::catalogue_cache::Known;
use crate::idempotency::Fingerprint;

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
    /// Of name and description, as a tag of BCP 47; left out where the catalogue does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "pt")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
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
    /// Of name and description, as a tag of BCP 47; left out where the catalogue does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// Every language that name or description is in.
    languages: Vec<&'a str>,
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

/// Venues, in order of their ids, in the caller's language where the catalogue has it.
///
/// With parameters only those that fit all of them. Texts are compared without case and accents.
#[utoipa::path(
    get, path = "/v1/venues", tag = "catalogue",
    params(
        ("q" = Option<String>, Query, description = "Only with all these words in id, city, name or description, in any language"),
        ("city" = Option<String>, Query, description = "Only in this city"),
        ("open_on" = Option<String>, Query, description = "Only open on this service day, as `2027-01-15`"),
        ("price_min" = Option<i64>, Query, description = "Only with a product that costs as much, in minor units: see `price_from` of `/v1/products`"),
        ("price_max" = Option<i64>, Query, description = "Only with a product that costs no more, in minor units"),
        ("currency" = Option<String>, Query, description = "Only selling in this currency. A price needs it where the city's venues sell in several"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "At most so many, up to 200; 50 where left out"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("Accept-Language" = Option<String>, Header, description = "Languages that the caller reads, as `pt-BR, en;q=0.5`"),
    ),
    responses(
        (status = 200, body = VenuePage, headers(
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
    venues.retain(|venue| after.as_ref().is_none_or(|after| venue.slug > *after));
    let mut interpreter = Interpreter::of(&call.headers);
    let mut tag = Fingerprint::of("venues");
    let mut data: Vec<VenueEntry> = Vec::new();
    let mut next_cursor = String::new();
    search::look(&call, &venues, |known| {
        if !search.has_venue(known) {
            return ControlFlow::Continue(());
        }
        if data.len() == limit {
            next_cursor = data.last().map(|entry| paging::seal(&entry.id)).unwrap_or_default();
            return ControlFlow::Break(());
        }
        tag.text(&known.definition.slug).number(known.revision);
        data.push(entry(&known.definition, &mut interpreter));
        ControlFlow::Continue(())
    })
    .await?;
    tag.text(&next_cursor).number(interpreter.chosen());
    let page = VenuePage {
        has_more: !next_cursor.is_empty(),
        next_cursor,
        data,
    };
    let response = tagged(&call, format!("\"{:016x}\"", tag.short()), &page);
    Ok(interpreter.sign(response))
}

/// One venue, in the caller's language where the catalogue has it.
#[utoipa::path(
    get, path = "/v1/venues/{venue}", tag = "catalogue",
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("Accept-Language" = Option<String>, Header, description = "Languages that the caller reads, as `pt-BR, en;q=0.5`"),
    ),
    responses(
        (status = 200, body = Venue, headers(
            ("Content-Language" = String, description = "Languages that the texts are in, with commas"),
        )),
        (status = 304, description = "The caller has it"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn one(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    call.parameters([])?;
    let known = known(&call, &slug).await?;
    let definition = &known.definition;
    let mut interpreter = Interpreter::of(&call.headers);
    let shown = interpreter.show(&definition.language, &definition.name, &definition.texts);
    let translated = definition.texts.translations.iter();
    let venue = Venue {
        id: &definition.slug,
        name: shown.name,
        language: shown.language,
        description: shown.description,
        languages: Some(definition.language.as_str())
            .filter(|language| !language.is_empty())
            .into_iter()
            .chain(translated.map(|translation| translation.language.as_str()))
            .collect(),
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
    let tag = match shown.language {
        Some(language) => format!("\"{:016x}-{language}\"", known.revision),
        None => format!("\"{:016x}\"", known.revision),
    };
    let response = tagged(&call, tag, &venue);
    Ok(interpreter.sign(response))
}

/// The catalogue of the venue that a path names.
pub(crate) async fn known(call: &Call, slug: &str) -> Result<Arc<Known>, Problem> {
    let venue = call.venue(slug, "{venue}")?;
    // Assigned but not imported yet is as good as not there.
    call.catalogue(&venue)
        .await?
        .ok_or_else(|| unknown_venue(slug, "{venue}"))
}

fn entry(definition: &VenueDefinition, interpreter: &mut Interpreter) -> VenueEntry {
    let shown = interpreter.show(&definition.language, &definition.name, &definition.texts);
    VenueEntry {
        id: definition.slug.clone(),
        name: shown.name.to_owned(),
        language: shown.language.map(str::to_owned),
        description: shown.description.map(str::to_owned),
        city: definition.city.clone(),
        time_zone: definition.time_zone.clone(),
        currency: definition.currency.clone(),
    }
}

pub(super) fn as_of(known: &Known) -> AsOf {
    AsOf {
        shard: known.shard,
        index: known.index,
        time: None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
