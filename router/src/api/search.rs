//! What a visitor looks for: words, a city, a day, a price. Answered from the router's copies of the catalogue
//! (`catalogue_cache`), which are at most a second old.
//!
//! A search goes through the venues in order of their ids and looks at each: a network has a thousand at most, and their
//! texts are folded beforehand. It ranks nothing, so that its pages have an order that a cursor can hold.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures::future::join_all;
use rotunda_booking::catalogue::{ProductDefinition, VenueDefinition};
use rotunda_booking::money::currency_digits;
use rotunda_booking::time::ServiceDay;
use rotunda_protocol::shard_map::VenueInfo;

use super::call::{Call, parameter};
use super::error::Problem;
use crate::catalogue_cache::Known;
use crate::folded_text::folded;
use crate::venue_clock::VenueClock;

/// Longest text that is looked for, in characters.
const MAX_TEXT: usize = 200;

/// Venues that are asked for at once, where the router has no copies of them.
const AT_ONCE: usize = 64;

/// What a query says, one for each parameter.
#[derive(Default)]
pub(crate) struct Sought {
    pub(crate) q: Option<String>,
    pub(crate) city: Option<String>,
    pub(crate) open_on: Option<String>,
    pub(crate) price_min: Option<String>,
    pub(crate) price_max: Option<String>,
    pub(crate) currency: Option<String>,
}

/// What is looked for.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// Folded; all of them must be there.
    words: Vec<String>,
    /// Folded.
    city: Option<String>,
    open_on: Option<ServiceDay>,
    /// Lowest and highest price, in minor units.
    price: Option<(i64, i64)>,
    currency: Option<String>,
}

impl Search {
    /// Reads the parameters. A price without a currency is of the one that the venues of the city sell in, where that is
    /// one.
    pub(crate) async fn of(call: &Call, sought: Sought) -> Result<Self, Problem> {
        let mut search = Self::read(sought)?;
        if search.price.is_some() && search.currency.is_none() {
            let mut currencies = BTreeSet::new();
            look(call, &venues(call)?, |known| {
                if search.is_in_city(known) {
                    currencies.insert(known.definition.currency.clone());
                }
                ControlFlow::Continue(())
            })
            .await?;
            search.currency = the_only(currencies)?;
        }
        Ok(search)
    }

    fn read(sought: Sought) -> Result<Self, Problem> {
        let text = |name: &str, text: Option<String>| match text {
            Some(text) if text.chars().count() > MAX_TEXT => {
                Err(parameter(name, format!("it may have {MAX_TEXT} characters at most")))
            }
            text => Ok(text.map(|text| folded(&text))),
        };
        let q = text("q", sought.q)?.unwrap_or_default();
        let open_on = sought.open_on.map(|text| {
            text.parse()
                .map_err(|_| parameter("open_on", "it must be a day, as 2027-01-15"))
        });
        Ok(Self {
            words: q.split_whitespace().map(str::to_owned).collect(),
            city: text("city", sought.city)?,
            open_on: open_on.transpose()?,
            price: price(sought.price_min.as_deref(), sought.price_max.as_deref())?,
            currency: currency(sought.currency)?,
        })
    }

    fn is_in_city(&self, known: &Known) -> bool {
        let is_in = |city: &String| known.folded().city.trim() == city.trim();
        self.city.as_ref().is_none_or(is_in)
    }

    /// Whether a venue is among what is looked for.
    pub(crate) fn has_venue(&self, known: &Known) -> bool {
        let venue = &known.definition;
        self.is_in_city(known)
            && self.sells_in(venue)
            && self.has_words(&known.folded().all)
            && self.open_on.is_none_or(|day| is_open(venue, day))
            && (self.price.is_none() || venue.products.iter().any(|product| self.costs(product)))
    }

    /// The products of a venue that are among what is looked for: their places in the definition.
    pub(crate) fn products(&self, known: &Known) -> Vec<usize> {
        let venue = &known.definition;
        if !self.is_in_city(known) || !self.sells_in(venue) {
            return Vec::new();
        }
        let texts = &known.folded().products;
        let places = venue.products.iter().enumerate();
        let wanted = places.filter(|(place, product)| {
            let planned = known.planned_through.get(*place).copied().flatten();
            texts.get(*place).is_some_and(|text| self.has_words(text))
                && self.costs(product)
                && self.open_on.is_none_or(|day| is_sold(venue, product, planned, day))
        });
        wanted.map(|(place, _)| place).collect()
    }

    fn has_words(&self, text: &str) -> bool {
        self.words.iter().all(|word| text.contains(word))
    }

    fn sells_in(&self, venue: &VenueDefinition) -> bool {
        self.currency
            .as_ref()
            .is_none_or(|currency| venue.currency == *currency)
    }

    fn costs(&self, product: &ProductDefinition) -> bool {
        self.price
            .is_none_or(|(lowest, highest)| (lowest..=highest).contains(&price_from(product)))
    }
}

/// The lowest price that somebody pays who comes alone and is no member: of the units that need neither company nor a
/// claim, or of all where there is none such. Nearly every museum lets accompanied children in for nothing, and would be
/// found by any price otherwise.
pub(crate) fn price_from(product: &ProductDefinition) -> i64 {
    let by_itself = product
        .units
        .iter()
        .filter(|unit| unit.requires.is_none() && unit.accompanied_by.is_empty());
    let all = || product.units.iter().map(|unit| unit.price).min();
    by_itself.map(|unit| unit.price).min().or_else(all).unwrap_or_default()
}

/// Open at some time of the service day.
fn is_open(venue: &VenueDefinition, day: ServiceDay) -> bool {
    let opens = |opening: &rotunda_booking::catalogue::Opening| opening.days >> day.weekday() & 1 == 1;
    !venue.closed.contains(&day) && venue.opening.iter().any(opens)
}

/// Its slots of the service day are there, and their sale begins before the day is over.
fn is_sold(
    venue: &VenueDefinition,
    product: &ProductDefinition,
    planned_through: Option<ServiceDay>,
    day: ServiceDay,
) -> bool {
    let begins = product
        .on_sale
        .and_then(|instant| VenueClock::of(venue)?.service_day(instant));
    is_open(venue, day) && planned_through.is_some_and(|last| day <= last) && begins.is_none_or(|first| first <= day)
}

fn price(lowest: Option<&str>, highest: Option<&str>) -> Result<Option<(i64, i64)>, Problem> {
    let read = |name: &str, text: Option<&str>, missing: i64| match text.map(str::parse) {
        None => Ok(missing),
        Some(Ok(price @ 0..)) => Ok(price),
        Some(_) => Err(parameter(
            name,
            "it must be a number of minor units of the currency, as 1400 for 14 euros",
        )),
    };
    let price = (read("price_min", lowest, 0)?, read("price_max", highest, i64::MAX)?);
    if price.0 > price.1 {
        return Err(parameter("price_min", "it is above `price_max`"));
    }
    Ok((lowest.is_some() || highest.is_some()).then_some(price))
}

fn currency(code: Option<String>) -> Result<Option<String>, Problem> {
    match code {
        Some(code) if currency_digits(&code).is_none() => Err(parameter(
            "currency",
            "there is no such currency; use a code of ISO 4217 in capitals, as EUR",
        )),
        code => Ok(code),
    }
}

/// The currency of a price that does not name one. Where nothing sells, none is needed.
fn the_only(mut currencies: BTreeSet<String>) -> Result<Option<String>, Problem> {
    if currencies.len() > 1 {
        let all = currencies.into_iter().collect::<Vec<_>>().join(", ");
        return Err(parameter("currency", format!("a price needs one of {all}")));
    }
    Ok(currencies.pop_first())
}

/// All venues, in order of their ids.
pub(crate) fn venues(call: &Call) -> Result<Vec<VenueInfo>, Problem> {
    let mut venues = call.map()?.venues().to_vec();
    venues.sort_by(|one, other| one.slug.cmp(&other.slug));
    Ok(venues)
}

/// Shows the catalogues of these venues one by one, until it is enough. Venues that are assigned and not imported yet are
/// passed over.
pub(crate) async fn look(
    call: &Call,
    venues: &[VenueInfo],
    mut see: impl FnMut(&Arc<Known>) -> ControlFlow<()>,
) -> Result<(), Problem> {
    // Some at a time: each venue without a copy is a question to its shard, and a page may end early.
    for chunk in venues.chunks(AT_ONCE) {
        for known in join_all(chunk.iter().map(|venue| call.catalogue(venue))).await {
            let Some(known) = known? else { continue };
            if see(&known).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn sought(edit: impl FnOnce(&mut Sought)) -> Result<Search, Problem> {
        let mut sought = Sought::default();
        edit(&mut sought);
        Search::read(sought)
    }

    #[test]
    fn words_are_found_in_any_order_and_all_of_them() {
        let search = sought(|sought| sought.q = Some("  MARÉS museu ".into())).unwrap();
        assert!(search.has_words(&folded("Museum of Tides\nMuseu das Marés")));
        assert!(!search.has_words(&folded("Museum of Tides")));
        assert!(
            sought(|sought| sought.q = Some(" ".into()))
                .unwrap()
                .has_words("anything")
        );
        assert!(sought(|sought| sought.q = Some("x".repeat(MAX_TEXT + 1))).is_err());
    }

    #[test]
    fn a_price_is_whole_and_its_ends_are_in_order() {
        let price = |lowest: &str, highest: &str| super::price(Some(lowest), Some(highest));
        assert_eq!(price("0", "0").unwrap(), Some((0, 0)));
        assert_eq!(super::price(None, Some("5")).unwrap(), Some((0, 5)));
        assert_eq!(super::price(Some("5"), None).unwrap(), Some((5, i64::MAX)));
        assert_eq!(super::price(None, None).unwrap(), None);
        for (lowest, highest) in [
            ("2", "1"),
            ("-1", "1"),
            ("1.5", "2"),
            ("", "1"),
            ("1", "99999999999999999999"),
        ] {
            assert!(price(lowest, highest).is_err(), "{lowest} {highest}");
        }
    }

    #[test]
    fn a_currency_is_taken_where_there_is_one() {
        let currencies = |codes: &[&str]| the_only(codes.iter().map(|code| (*code).to_owned()).collect());
        assert_eq!(currencies(&["EUR"]).unwrap().as_deref(), Some("EUR"));
        assert_eq!(currencies(&[]).unwrap(), None);
        assert!(currencies(&["EUR", "JPY"]).is_err());
        assert!(currency(Some("eur".into())).is_err());
        assert!(currency(Some("XXX".into())).is_err());
    }
}
