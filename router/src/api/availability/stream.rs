//! Availability as server-sent events: how the slots stand, then each change.
//!
//! A stream keeps no queue. It remembers the log index that its reader has, and when there is a newer picture of the venue it
//! writes what changed after that index: whoever reads slowly gets fewer and larger events and misses nothing. `Last-Event-ID`
//! is that index, so a reader that comes back is told what changed meanwhile; where it is too old for that, all of it. A reader
//! that takes nothing for long is dropped.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout_at};
use utoipa::ToSchema;

use super::{Asked, as_of, prices, put_json, put_slots};
use crate::api::call::{Call, Segments, parameter, unavailable};
use crate::api::error::{Code, Problem, ProblemBody};
use crate::api::views::{AsOf, Slot};
use crate::live::picture::Range;
use crate::live::streams::{Place, Reason, count};
use crate::live::venue::{Onlooker, Venue, View};
use crate::server::Door;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How often a comment is sent, so that proxies and readers know that the stream still lives.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// A reader that takes nothing for so long is dropped. One whose socket takes nothing at all is cut off earlier, by the
/// connection's own deadline for writes.
const SLOW_READER: Duration = Duration::from_secs(20);

/// How long somebody who opens a stream waits for the venue's picture.
const OPEN_WAIT: Duration = Duration::from_secs(5);

/// A reader may have seen a little more than this router has heard of, at another one. After so long it is told everything.
const AHEAD: Duration = Duration::from_secs(3);

/// What an event `slots` carries; `reset` carries the same, with all slots of the range.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AvailabilityEvent)]
pub(crate) struct Event<'a> {
    as_of: AsOf,
    /// Those that stand otherwise than before.
    slots: Vec<Slot<'a>>,
    /// Ids of those that are no more.
    gone: Vec<String>,
}

/// One server-sent event.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document: events are written as text")]
pub(crate) struct StreamEvent {
    /// `reset`, `slots` or `closed`.
    #[schema(example = "slots", pattern = "^(reset|slots|closed)$")]
    event: String,
    /// Log index up to which the stream has told everything; `closed` has none.
    #[schema(example = "48213")]
    id: Option<String>,
    /// JSON: an `AvailabilityEvent`; of `closed` the reason, `slow_reader` or `draining`.
    data: String,
}

/// How slots stand, and each change as it happens.
///
/// Server-sent events. `event: reset` comes first and has all slots of the range; `event: slots` has those that changed
/// since the event before, in `slots`, and ids of those that are no more, in `gone`. The `id` of an event is the log
/// index up to which it tells everything; send it back as `Last-Event-ID` and the stream goes on behind it without a gap, or,
/// where it is too old for that, with a `reset`. A comment comes every 15 seconds. `event: closed` says why the router
/// ends the stream: `slow_reader` or `draining`.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/availability/stream", tag = "catalogue",
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("product" = Option<String>, Query, description = "Only this product"),
        ("from" = String, Query, description = "First service day, as `2027-01-15`"),
        ("to" = Option<String>, Query, description = "Last service day, included; `from` where left out"),
        ("Last-Event-ID" = Option<u64>, Header, description = "`id` of the last event that the reader has"),
    ),
    responses(
        (status = 200, body = StreamEvent, content_type = "text/event-stream"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn stream(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    let [product, from, to] = call.parameters(["product", "from", "to"])?;
    let asked = Asked::new(product, from, to)?;
    let last_id = last_event_id(&call)?;
    let info = call.venue(&slug, "{venue}")?;
    let place = call
        .door
        .live
        .streams
        .enter(&call.caller)
        .map_err(|reason| refused(&call, reason))?;
    let Some(venue) = call.door.live.watched(&info) else {
        return Err(Problem::new(
            Code::Overloaded,
            "This router watches as many venues as it may. Nothing was done; ask for availability instead.",
        )
        .header(RETRY_AFTER, HeaderValue::from_static("10")));
    };
    let onlooker = venue.stream_opened();
    let mut changes = venue.changes();
    let deadline = call.deadline.min(Instant::now() + OPEN_WAIT);
    let view = loop {
        changes.mark_unchanged();
        if let Some(view) = venue.fresh() {
            break view;
        }
        // A stream that comes back may bring no change, so it is looked at now and then too.
        let look = Instant::now() + Duration::from_millis(100);
        let _ = timeout_at(look, changes.changed()).await;
        if Instant::now() >= deadline {
            return Err(unavailable(
                "The venue's changes cannot be followed just now. Open the stream again.",
            ));
        }
    };
    let Some(range) = asked.range(&slug, &view)? else {
        return Err(parameter("from", "a stream begins at yesterday at the earliest"));
    };
    let mut ticks = interval_at(Instant::now() + COMMENT_EVERY, COMMENT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events {
        door: call.door.clone(),
        venue,
        range,
        product: asked.product,
        seen: last_id.filter(|id| *id >= view.picture.base),
        ahead_since: Instant::now(),
        changes,
        ticks,
        written: Instant::now(),
        waiting: false,
        over: false,
        _onlooker: onlooker,
        _place: place,
    };
    let body = unfold(events, |mut events| async move {
        let event = events.next().await?;
        Some((Ok::<_, Infallible>(event), events))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers before they pass them on would gather for ever.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(call: &Call) -> Result<Option<u64>, Problem> {
    let Some(value) = call.headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let id = value.to_str().ok().map(str::trim);
    match id {
        Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(wrong_id()),
        },
        None => Err(wrong_id()),
    }
}

fn wrong_id() -> Problem {
    Problem::new(
        Code::InvalidParameter,
        "Send back the id of the last event as Last-Event-ID, or leave it out.",
    )
    .issue("Last-Event-ID:", "not a log index")
}

fn refused(call: &Call, reason: Reason) -> Problem {
    let seconds = HeaderValue::from_static("10");
    match reason {
        Reason::CallersShare => {
            let most = call.door.live.streams.per_caller();
            let detail =
                format!("You have {most} event streams open, which is the most. Close one, then open this one.");
            Problem::new(Code::RateLimited, detail).header(RETRY_AFTER, seconds)
        }
        _ => Problem::new(
            Code::Overloaded,
            "As many event streams are open on this router as may be. Nothing was done; come back in a while.",
        )
        .header(RETRY_AFTER, seconds),
    }
}

/// One open stream.
struct Events {
    door: Arc<Door>,
    venue: Arc<Venue>,
    range: Range,
    product: Option<String>,
    /// Log index that the reader knows all about.
    seen: Option<u64>,
    ahead_since: Instant,
    changes: watch::Receiver<u64>,
    ticks: Interval,
    /// When the last event was handed over.
    written: Instant,
    /// Everything was taken, and there is nothing to tell.
    waiting: bool,
    over: bool,
    _onlooker: Onlooker,
    _place: Place,
}

impl Events {
    /// The next bytes to send. Asked for when the reader has room.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let event = if self.written.elapsed() > SLOW_READER {
            self.close(Reason::SlowReader)
        } else {
            self.waiting = true;
            let event = self.wait().await;
            self.waiting = false;
            event
        };
        self.written = Instant::now();
        Some(event)
    }

    async fn wait(&mut self) -> Bytes {
        loop {
            self.changes.mark_unchanged();
            if self.door.live.closing().is_cancelled() {
                return self.close(Reason::Draining);
            }
            if let Some(event) = self.venue.latest().and_then(|view| self.news(&view)) {
                return event;
            }
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() {
                    return self.close(Reason::Draining);
                },
                _ = self.ticks.tick() => return Bytes::from_static(b": still here\n\n"),
                () = self.door.live.closing().cancelled() => {}
            }
        }
    }

    /// What the view has that the reader has not, if anything.
    fn news(&mut self, view: &View) -> Option<Bytes> {
        // The product may lie elsewhere in a new catalogue, or be in it no more.
        if let Some(product) = &self.product {
            self.range.product = Some(view.picture.product(product)?);
        }
        match self.seen {
            Some(seen) if seen > view.index && self.ahead_since.elapsed() < AHEAD => None,
            Some(seen) if seen >= view.picture.base && seen <= view.index => {
                self.ahead_since = Instant::now();
                let changed = view.picture.changed(&self.range) > seen;
                let gone = view.picture.gone(&self.range, seen).next().is_some();
                if !changed && !gone {
                    return None;
                }
                let range = self.range.clone();
                let event = self
                    .venue
                    .event(view, &range, seen, || write_changes(view, &range, seen));
                self.seen = Some(view.index);
                Some(event)
            }
            _ => {
                let range = self.range.clone();
                self.seen = Some(view.index);
                self.ahead_since = Instant::now();
                Some(self.venue.event(view, &range, u64::MAX, || write_all(view, &range)))
            }
        }
    }

    fn close(&mut self, reason: Reason) -> Bytes {
        self.over = true;
        count(reason);
        let detail = match reason {
            Reason::SlowReader => "nothing was read for too long",
            _ => "the router is about to stop; open the stream again",
        };
        format!(
            "event: closed\ndata: {{\"reason\":\"{}\",\"detail\":\"{detail}\"}}\n\n",
            reason.as_str()
        )
        .into()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The connection was given up while there was something that its reader did not take.
        if !self.over && !self.waiting && self.written.elapsed() > Duration::from_secs(1) {
            count(Reason::SlowReader);
        }
    }
}

fn open_event(kind: &str, view: &View) -> Vec<u8> {
    let mut event = Vec::with_capacity(1_024);
    event.extend_from_slice(format!("event: {kind}\nid: {}\ndata: ", view.index).as_bytes());
    event
}

fn write_changes(view: &View, range: &Range, seen: u64) -> Bytes {
    let definition = &view.picture.catalogue.definition;
    let of_products: Vec<_> = definition
        .products
        .iter()
        .map(|product| prices(product, &definition.currency))
        .collect();
    let event = Event {
        as_of: as_of(view),
        slots: view
            .picture
            .changes(range, seen)
            .map(|(position, shown)| Slot::new(&shown.view, of_products.get(position).map(Vec::as_slice)))
            .collect(),
        gone: view.picture.gone(range, seen).map(|gone| gone.slot.to_text()).collect(),
    };
    let mut bytes = open_event("slots", view);
    put_json(&mut bytes, &event);
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}

fn write_all(view: &View, range: &Range) -> Bytes {
    let mut bytes = open_event("reset", view);
    bytes.extend_from_slice(b"{\"as_of\":");
    put_json(&mut bytes, &as_of(view));
    bytes.extend_from_slice(b",\"slots\":");
    put_slots(&mut bytes, view, range, &[]);
    bytes.extend_from_slice(b",\"gone\":[]}\n\n");
    bytes.into()
}
