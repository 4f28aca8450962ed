//! Availability: the slots of some days with what is left. It never decides a sale.
//!
//! Answers come out of the router's picture of the venue (`live`) while that is at most a second old, mostly as bytes that
//! were put together for somebody before; else the cluster is asked. Slots of a day are written once until one of them
//! changes, and a month's answer is days side by side.

mod party;
pub(crate) mod stream;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG};
use http::{HeaderValue, StatusCode};
use rotunda_booking::catalogue::{ProductDefinition, VenueDefinition};
use rotunda_booking::live::fits;
use rotunda_booking::outcome::SlotView;
use rotunda_booking::query::Answer;
use rotunda_booking::time::{ServiceDay, Timestamp};
use rotunda_protocol::shard_map::VenueInfo;
use serde::Serialize;
use utoipa::ToSchema;

use self::party::Party;
use super::call::{COMMIT, Call, Segments, commit, parameter, tagged_as, unknown_venue, written};
use super::error::{Code, Problem, ProblemBody};
use super::venues::known;
use super::views::{AsOf, Money, Slot, UnitPrice};
use crate::live::picture::Range;
use crate::live::venue::{Rendered, Venue, View};

/// Most days of one question.
const MAX_DAYS: i32 = 366;

/// Bytes that a slot takes in an answer, about.
const SLOT_BYTES: usize = 400;

/// The slots of some days.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Availability<'a> {
    venue: &'a str,
    as_of: AsOf,
    /// In order of product and start.
    slots: Vec<Slot<'a>>,
}

/// What is asked.
struct Asked {
    product: Option<String>,
    from: ServiceDay,
    to: ServiceDay,
}

impl Asked {
    fn new(product: Option<String>, from: Option<String>, to: Option<String>) -> Result<Self, Problem> {
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
        Ok(Self { product, from, to })
    }

    /// In the picture of the venue. `None` where that does not reach so far back.
    fn range(&self, slug: &str, view: &View) -> Result<Option<Range>, Problem> {
        let product = match &self.product {
            Some(product) => {
                let position = view.picture.product(product);
                Some(position.ok_or_else(|| unknown_product(slug, product))?)
            }
            None => None,
        };
        Ok((self.from >= view.picture.first_day).then_some(Range {
            product,
            from: self.from,
            to: self.to,
        }))
    }
}

fn unknown_product(slug: &str, product: &str) -> Problem {
    Problem::new(Code::UnknownProduct, format!("`{slug}` has no product `{product}`."))
        .issue("?product", "no such product")
}

/// Slots with what is left.
///
/// `from` and `to` are service days at the venue, both included: the days on which the openings began. At most 366 days.
/// The answer is at most one second old; `as_of` says which state it shows, and a `Rotunda-Commit` that is sent along is in
/// it. With `units` each slot also says whether these units, together, could be held in it. The entity tag changes when
/// what is shown of the slots does.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/availability", tag = "catalogue",
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("product" = Option<String>, Query, description = "Only this product"),
        ("from" = String, Query, description = "First service day, as `2027-01-15`"),
        ("to" = Option<String>, Query, description = "Last service day, included; `from` where left out"),
        ("units" = Option<String>, Query, description = "Who wants to come, as `adult:2,child:1`"),
        ("Rotunda-Commit" = Option<String>, Header, description = "The answer shows at least this"),
    ),
    responses(
        (status = 200, body = Availability, headers(("ETag" = String, description = "`W/\"<shard>-<index>\"`, the log index at which what is shown last changed, or `\"<shard>-<index>\"`"))),
        (status = 304, description = "The caller has it"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn slots(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    let [product, from, to, units] = call.parameters(["product", "from", "to", "units"])?;
    let asked = Asked::new(product, from, to)?;
    let party = units.as_deref().map(Party::read).transpose()?;
    let venue = call.venue(&slug, "{venue}")?;
    let at_least = call.at_least(venue.shard)?;
    if let Some(watched) = call.door.live.watched(&venue)
        && let Some(view) = watched.fresh()
        && view.shard == venue.shard
        && at_least.is_none_or(|index| view.index >= index)
        && let Some(range) = asked.range(&slug, &view)?
    {
        if let Some(party) = &party {
            party.check(&view.picture.catalogue.definition, asked.product.as_deref())?;
        }
        call.door.live.shown.increment(1);
        let answer = rendered(&slug, &watched, &view, range, party);
        return Ok(out_of_picture(&call, &view, &answer));
    }
    ask(&call, &slug, &venue, asked, at_least, party).await
}

/// The answer that was kept, where it is still one, or a new one.
fn rendered(slug: &str, venue: &Venue, view: &View, range: Range, party: Option<Party>) -> Arc<Rendered> {
    let key = (range, party.map(Party::into_units).unwrap_or_default());
    let kept = venue.rendered(&key);
    if let Some(kept) = &kept
        && kept.serial == view.picture.serial
        && kept.index == view.index
    {
        return kept.clone();
    }
    let (range, units) = &key;
    // Whether a party fits depends on the time as well.
    let changed = if units.is_empty() {
        view.picture.changed(range)
    } else {
        view.index
    };
    let head = head(slug, view);
    let mut body;
    match kept.filter(|kept| kept.changed == changed && units.is_empty()) {
        Some(kept) => {
            let slots = &kept.body[kept.slots_at..];
            body = Vec::with_capacity(head.len() + slots.len());
            body.extend_from_slice(&head);
            body.extend_from_slice(slots);
        }
        None => {
            body = Vec::with_capacity(head.len() + 64 * SLOT_BYTES);
            body.extend_from_slice(&head);
            put_slots(&mut body, view, range, units);
            body.extend_from_slice(b"}");
        }
    }
    let answer = Arc::new(Rendered {
        serial: view.picture.serial,
        changed,
        index: view.index,
        slots_at: head.len(),
        body: body.into(),
    });
    venue.keep(key, answer.clone());
    answer
}

/// Up to the slots.
fn head(slug: &str, view: &View) -> Vec<u8> {
    let mut head = Vec::with_capacity(192);
    head.extend_from_slice(b"{\"venue\":");
    put_json(&mut head, &slug);
    head.extend_from_slice(b",\"as_of\":");
    put_json(&mut head, &as_of(view));
    head.extend_from_slice(b",\"slots\":");
    head
}

fn as_of(view: &View) -> AsOf {
    AsOf {
        shard: view.shard,
        index: view.index,
        time: Some(view.time.to_rfc3339(0)),
    }
}

/// Writes a value that serde cannot refuse: structs of texts and numbers.
fn put_json(body: &mut Vec<u8>, value: &impl Serialize) {
    if let Err(error) = serde_json::to_writer(body, value) {
        tracing::error!(%error, "an answer cannot be written as JSON");
    }
}

/// The list of slots.
fn put_slots(body: &mut Vec<u8>, view: &View, range: &Range, units: &[(String, u32)]) {
    let definition = &view.picture.catalogue.definition;
    body.push(b'[');
    let start = body.len();
    for (position, fragment) in view.picture.fragments(range) {
        let Some(product) = definition.products.get(position) else {
            continue;
        };
        let write = || {
            let mut day = Vec::with_capacity(fragment.slots.len() * SLOT_BYTES);
            let prices = prices(product, &definition.currency);
            for shown in &fragment.slots {
                if !day.is_empty() {
                    day.push(b',');
                }
                let fits = (!units.is_empty()).then(|| fits(product, units, &shown.view, view.time));
                put_json(&mut day, &Slot::new(&shown.view, Some(&prices)).fitting(fits));
            }
            Bytes::from(day)
        };
        let day = if units.is_empty() {
            fragment.rendered.get_or_init(write).clone()
        } else {
            write()
        };
        if !day.is_empty() {
            if body.len() > start {
                body.push(b',');
            }
            body.extend_from_slice(&day);
        }
    }
    body.push(b']');
}

fn prices(product: &ProductDefinition, currency: &str) -> Vec<UnitPrice> {
    let price = |unit: &rotunda_booking::catalogue::UnitDefinition| UnitPrice {
        unit: unit.slug.clone(),
        price: Money::kept(unit.price, currency),
    };
    product.units.iter().map(price).collect()
}

fn out_of_picture(call: &Call, view: &View, answer: &Rendered) -> Response {
    let tag = format!("\"{}-{}\"", view.shard, answer.changed);
    let mut response = if call.has(&tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        written(StatusCode::OK, answer.body.clone())
    };
    let headers = response.headers_mut();
    // Weak: `as_of` goes on while the slots stand as they stood.
    if let Ok(tag) = HeaderValue::try_from(format!("W/{tag}")) {
        headers.insert(ETAG, tag);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(COMMIT, commit(view.shard, view.index));
    response
}

/// Asks the cluster.
async fn ask(
    call: &Call,
    slug: &str,
    venue: &VenueInfo,
    asked: Asked,
    at_least: Option<u64>,
    party: Option<Party>,
) -> Result<Response, Problem> {
    let known = known(call, slug).await?;
    let definition: &VenueDefinition = &known.definition;
    if let Some(party) = &party {
        party.check(definition, asked.product.as_deref())?;
    }
    let question = (venue.number, asked.product.clone(), asked.from, asked.to);
    let in_flight = &call.door.in_flight;
    let said = call.door.live.ask(question, at_least, call.deadline, in_flight).await;
    let said = said.map_err(|error| call.read_problem(error))?;
    let answered = &said.answered;
    let (time, slots): (Timestamp, &[SlotView]) = match (&answered.answer, asked.product) {
        (Answer::Availability { time, slots }, _) => (*time, slots),
        (_, Some(product)) => return Err(unknown_product(slug, &product)),
        (_, None) => return Err(unknown_venue(slug, "{venue}")),
    };
    let (shard, index) = (answered.shard, answered.index);
    let write = |units: Option<&[(String, u32)]>| {
        let products: Vec<(&ProductDefinition, Vec<UnitPrice>)> = definition
            .products
            .iter()
            .map(|product| (product, prices(product, &definition.currency)))
            .collect();
        let shown = slots.iter().map(|slot| {
            let product = products.iter().find(|(product, _)| product.slug == slot.slot.product);
            let fits = units.map(|units| product.is_some_and(|(product, _)| fits(product, units, slot, time)));
            Slot::new(slot, product.map(|(_, prices)| prices.as_slice())).fitting(fits)
        });
        let answer = Availability {
            venue: slug,
            as_of: AsOf {
                shard,
                index,
                time: Some(time.to_rfc3339(0)),
            },
            slots: shown.collect(),
        };
        let mut body = Vec::with_capacity(192 + slots.len() * SLOT_BYTES);
        put_json(&mut body, &answer);
        Bytes::from(body)
    };
    let body = match party.map(Party::into_units) {
        Some(units) => write(Some(&units)),
        None => said.written.get_or_init(|| write(None)).clone(),
    };
    let answer = || written(StatusCode::OK, body);
    let mut response = tagged_as(call, format!("\"{shard}-{index}\""), answer);
    response.headers_mut().insert(COMMIT, commit(shard, index));
    Ok(response)
}
