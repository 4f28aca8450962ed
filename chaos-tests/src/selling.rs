//! Many visitors at once: they hold, confirm, release and repeat themselves, over every venue and one hot slot.
//!
//! A visitor's journey is drawn at random. Each request is sent until its fate is known; some are sent again from
//! another connection, some twice at the same moment, and the answers must be the same bytes.

mod bought;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::history::lines::Act;
use crate::history::{Deed, History, Read, Record, Recorder, Replay, TurnedAway};
use crate::visitor::{Answer, Request, Settled, Visitor};

/// Milliseconds between the steps of a visitor: sixty of them keep two cores busy, not drowned.
const THINKING: std::ops::Range<u64> = 10..120;
/// How many slots of each product are offered; fewer means more visitors per slot.
const SLOTS_PER_PRODUCT: usize = 12;

/// Something that a visitor may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Venue id.
    pub venue: String,
    /// Slot id.
    pub slot: String,
    /// Unit that needs nobody beside it.
    pub unit: String,
    /// Fewest in one booking.
    pub least: u32,
    /// Places that were left when the offer was made.
    pub vacancies: u32,
}

impl Offer {
    /// A hold of so many.
    #[must_use]
    pub fn hold(&self, quantity: u32) -> Request {
        let line = json!({ "slot": self.slot, "unit": self.unit, "quantity": quantity });
        Request::post(
            "/v1/bookings",
            Some(json!({ "venue": self.venue, "lines": [line], "channel": "web" })),
        )
    }
}

/// Everything that is open for sale on the days `from..=to`, in order of venue and start. The first offers of a venue
/// are of the product that it lists first.
///
/// # Panics
/// Where the router does not say.
pub async fn offers(visitor: &Visitor, from: &str, to: &str) -> Vec<Offer> {
    first_offers(visitor, from, to, SLOTS_PER_PRODUCT).await
}

/// As [`offers`], every slot of every product.
///
/// # Panics
/// Where the router does not say.
pub async fn all_offers(visitor: &Visitor, from: &str, to: &str) -> Vec<Offer> {
    first_offers(visitor, from, to, usize::MAX).await
}

async fn first_offers(visitor: &Visitor, from: &str, to: &str, slots_per_product: usize) -> Vec<Offer> {
    let mut offers = Vec::new();
    for venue in list(visitor, "/v1/venues?limit=200", "data").await {
        let venue = text(&venue, "id");
        for product in list(visitor, &format!("/v1/venues/{venue}/products"), "products").await {
            let units = product["units"].as_array().cloned().unwrap_or_default();
            let alone = |unit: &&Value| unit["accompanied_by"].as_array().is_none_or(Vec::is_empty);
            let Some(unit) = units.iter().find(alone) else { continue };
            let least = product["min_units_per_booking"].as_u64().unwrap_or(1).max(1);
            let path = format!(
                "/v1/venues/{venue}/availability?product={}&from={from}&to={to}",
                text(&product, "id")
            );
            let answer = visitor.send(&Request::get(path)).await.expect("availability");
            assert!(answer.is_success(), "{answer:?}");
            let slots = answer.json()["slots"].as_array().cloned().unwrap_or_default();
            let open = slots
                .iter()
                .filter(|slot| matches!(slot["status"].as_str(), Some("available" | "limited")));
            offers.extend(open.take(slots_per_product).map(|slot| {
                Offer {
                    venue: venue.clone(),
                    slot: text(slot, "id"),
                    unit: text(unit, "id"),
                    least: u32::try_from(least).expect("a small number"),
                    vacancies: slot["vacancies"]
                        .as_u64()
                        .and_then(|left| u32::try_from(left).ok())
                        .unwrap_or(0),
                }
            }));
        }
    }
    offers
}

async fn list(visitor: &Visitor, path: &str, field: &str) -> Vec<Value> {
    let answer = visitor.send(&Request::get(path)).await.expect("an answer");
    assert!(answer.is_success(), "{path}: {answer:?}");
    let body = answer.json();
    body[field]
        .as_array()
        .cloned()
        .unwrap_or_else(|| panic!("{path}: no {field} in {body}"))
}

fn text(value: &Value, field: &str) -> String {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {value}"))
        .to_owned()
}

/// How visitors behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A third buys, the others give back or walk away.
    Buying,
    /// Everybody gives back what they held, so that there is always something left, however long it takes.
    Looking,
    /// Everything that visitors do: they look before and after, buy, change their mind, exchange and cancel, and some come.
    /// Most of what is sold comes back, so that there is something left for hours.
    Living,
}

/// Visitors under way.
#[derive(Debug)]
pub struct Selling {
    recorder: Recorder,
    stop: Arc<AtomicBool>,
    visitors: Vec<JoinHandle<()>>,
}

impl Selling {
    /// Sends `visitors` to the door; two of five ask for `hot`, the others for any of `offers`.
    #[must_use]
    pub fn start(door: &str, visitors: usize, manner: Manner, hot: &Offer, offers: &[Offer]) -> Self {
        Self::start_with(Recorder::default(), door, None, visitors, manner, hot, offers)
    }

    /// As [`Selling::start`], noted by a recorder that others write to as well. With a token that admits, those who live
    /// come to the gates too.
    #[must_use]
    pub fn start_with(
        recorder: Recorder,
        door: &str,
        gates: Option<&str>,
        visitors: usize,
        manner: Manner,
        hot: &Offer,
        offers: &[Offer],
    ) -> Self {
        let visitor = || Visitor::new(door);
        Self::start_as(recorder, visitor, gates, visitors, manner, hot, offers)
    }

    /// As [`Selling::start`], of visitors that `visitor` makes, each device by itself.
    #[must_use]
    pub fn start_as(
        recorder: Recorder,
        visitor: impl Fn() -> Visitor,
        gates: Option<&str>,
        visitors: usize,
        manner: Manner,
        hot: &Offer,
        offers: &[Offer],
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let offers: Arc<[Offer]> = offers.into();
        let visitors = (0..visitors)
            .map(|_| {
                let journey = Journey {
                    name: String::new(),
                    visitor: visitor(),
                    other: visitor(),
                    gate: gates.map(|token| visitor().with_token(token)),
                    manner,
                    recorder: recorder.clone(),
                };
                let (stop, hot, offers) = (stop.clone(), hot.clone(), offers.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let offer = if rand::random_bool(0.4) {
                            &hot
                        } else {
                            &offers[rand::random_range(0..offers.len())]
                        };
                        journey.as_somebody_else().go(offer, &offers).await;
                    }
                })
            })
            .collect();
        Selling {
            recorder,
            stop,
            visitors,
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Lets everybody finish what they are at; gives the whole history.
    ///
    /// # Panics
    /// Where a visitor panicked.
    pub async fn stop(mut self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        for visitor in std::mem::take(&mut self.visitors) {
            visitor.await.expect("a visitor's journey");
        }
        self.recorder.history()
    }
}

impl Drop for Selling {
    /// Sends everybody home in the middle of what they are at.
    fn drop(&mut self) {
        for visitor in &self.visitors {
            visitor.abort();
        }
    }
}

/// Somebody who asks far too often from one address: sends `count` holds and repeats none of them.
pub async fn greedy(door: &str, address: &str, offer: &Offer, count: usize, recorder: &Recorder) {
    let visitor = Visitor::new(door).from_address(address);
    for _ in 0..count {
        let request = offer.hold(offer.least);
        let key = request.key.clone().expect("a hold has a key");
        let invoked = std::time::Instant::now();
        let Ok(answer) = visitor.send(&request).await else {
            continue;
        };
        match answer.status {
            429 | 503 => recorder.write(|history| {
                history.turned_away.push(TurnedAway {
                    deed: Deed::Hold,
                    key,
                    venue: offer.venue.clone(),
                    status: answer.status,
                    invoked,
                    returned: std::time::Instant::now(),
                });
            }),
            _ => {
                let settled = Settled {
                    fate: crate::visitor::Fate::Answered(answer),
                    attempts: 1,
                    invoked,
                    returned: std::time::Instant::now(),
                };
                recorder.write(|history| {
                    let venue = offer.venue.clone();
                    history.records.push(Record {
                        client: address.to_owned(),
                        deed: Deed::Hold,
                        key,
                        venue,
                        booking: None,
                        request: request.body,
                        settled,
                    });
                });
            }
        }
    }
}

struct Journey {
    /// What the history calls the visitor.
    name: String,
    visitor: Visitor,
    /// The same person's other device.
    other: Visitor,
    /// Whoever looks at tickets, where there is a token for it.
    gate: Option<Visitor>,
    manner: Manner,
    recorder: Recorder,
}

impl Journey {
    /// Quotas are per address: each journey is somebody else's.
    fn as_somebody_else(&self) -> Self {
        let [a, b, c] = rand::random::<[u8; 3]>();
        let address = format!("10.{a}.{b}.{c}");
        Journey {
            name: address.clone(),
            visitor: self.visitor.from_address(&*address),
            other: self.other.from_address(&*address),
            gate: self.gate.clone(),
            manner: self.manner,
            recorder: self.recorder.clone(),
        }
    }

    async fn go(&self, offer: &Offer, offers: &[Offer]) {
        let hold = offer.hold(offer.least + rand::random_range(0..3));
        let Some(held) = self.act(Deed::Hold, &offer.venue, &hold).await else {
            return;
        };
        if rand::random_bool(0.05) {
            self.reuse_key(&hold, offer).await;
        }
        if !held.is_success() {
            return;
        }
        let booking = text(&held.json(), "id");
        let path = |deed: Deed| Request::post(format!("/v1/bookings/{booking}/{}", deed.operation()), None);
        let mood = match self.manner {
            Manner::Buying => rand::random_range(0..10),
            Manner::Looking => 9,
            // Of a hundred, two keep what they bought, one comes and one walks away.
            Manner::Living => match rand::random_range(0..100) {
                0..=1 => 0,
                2 => 2,
                3 => 4,
                4..=9 => 3,
                10..=39 => 10,
                40..=69 => 15,
                70..=77 => 20,
                78 => 21,
                _ => 9,
            },
        };
        match mood {
            0..=1 => {
                self.act(Deed::Confirm, &offer.venue, &path(Deed::Confirm)).await;
                self.read(offer, &booking).await;
            }
            2 => {
                // Confirmed by another key already: a refusal, and no second set of tickets.
                self.act(Deed::Confirm, &offer.venue, &path(Deed::Confirm)).await;
                self.act(Deed::Confirm, &offer.venue, &path(Deed::Confirm)).await;
            }
            3 => {
                self.act(Deed::Extend, &offer.venue, &path(Deed::Extend)).await;
                self.act(Deed::Release, &offer.venue, &path(Deed::Release)).await;
            }
            4 => {}
            5..=9 => {
                self.act(Deed::Release, &offer.venue, &path(Deed::Release)).await;
            }
            10..=14 => {
                self.act(Deed::Confirm, &offer.venue, &path(Deed::Confirm)).await;
                self.read(offer, &booking).await;
                self.act(Deed::Cancel, &offer.venue, &path(Deed::Cancel)).await;
            }
            20 => self.change_mind(offer, offers, &booking).await,
            21 => self.come(offer, &booking).await,
            _ => {
                self.look(offer).await;
                self.read(offer, &booking).await;
                self.act(Deed::Release, &offer.venue, &path(Deed::Release)).await;
                self.read(offer, &booking).await;
                self.look(offer).await;
            }
        }
    }

    /// The booking as it is now: what this visitor did to it is seen.
    async fn read(&self, offer: &Offer, booking: &str) {
        let request = Request::get(format!("/v1/bookings/{booking}"));
        self.see(Act::Read, offer, Some(booking), &request).await;
    }

    /// What is left of the product on that day.
    async fn look(&self, offer: &Offer) {
        let Some((product, start)) = offer.slot.split_once('@') else {
            return;
        };
        let day = start.get(..10).unwrap_or(start);
        let path = format!(
            "/v1/venues/{}/availability?product={product}&from={day}&to={day}",
            offer.venue
        );
        self.see(Act::Availability, offer, None, &Request::get(path)).await;
    }

    async fn see(&self, act: Act, offer: &Offer, booking: Option<&str>, request: &Request) {
        let settled = self.visitor.settle(request).await;
        self.recorder.write(|history| {
            history.reads.push(Read {
                client: self.name.clone(),
                act,
                venue: offer.venue.clone(),
                booking: booking.map(str::to_owned),
                settled,
            });
        });
    }

    /// One request until its fate is known, sometimes repeated, sometimes sent twice at once.
    async fn act(&self, deed: Deed, venue: &str, request: &Request) -> Option<Answer> {
        self.act_by((&self.visitor, &self.other), deed, venue, request).await
    }

    /// As [`Journey::act`], from these two devices.
    async fn act_by(
        &self,
        (one, other): (&Visitor, &Visitor),
        deed: Deed,
        venue: &str,
        request: &Request,
    ) -> Option<Answer> {
        tokio::time::sleep(Duration::from_millis(rand::random_range(THINKING))).await;
        let key = request.key.clone()?;
        let (settled, twin) = if rand::random_bool(0.1) {
            let (settled, twin) = tokio::join!(one.settle(request), other.settle(request));
            (settled, Some(twin))
        } else {
            let settled = one.settle(request).await;
            let again = rand::random_bool(0.25);
            (settled, if again { Some(other.settle(request).await) } else { None })
        };
        let replay = match (settled.answer(), twin.as_ref()) {
            (Some(first), Some(twin)) => twin.answer().map(|again| Replay {
                key: key.clone(),
                first: first.clone(),
                again: again.clone(),
                invoked: twin.invoked,
                returned: twin.returned,
            }),
            _ => None,
        };
        // Where one of the twins never heard, the other's answer is the fate of both: they share the key.
        let settled = match (settled.answer(), twin) {
            (None, Some(twin)) => twin,
            _ => settled,
        };
        let known = settled.answer().cloned();
        let record = Record {
            client: self.name.clone(),
            deed,
            key,
            venue: venue.to_owned(),
            booking: request.booking(),
            request: request.body.clone(),
            settled,
        };
        self.recorder.settled(record, replay);
        known
    }

    /// The key of an earlier hold with another body: refused, whatever became of the first.
    async fn reuse_key(&self, hold: &Request, offer: &Offer) {
        let request = Request {
            key: hold.key.clone(),
            ..offer.hold(offer.least + 3)
        };
        let settled = self.visitor.settle(&request).await;
        if let Some(answer) = settled.answer() {
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (422, "idempotency_key_reused"),
                "{answer:?}"
            );
        }
    }
}
