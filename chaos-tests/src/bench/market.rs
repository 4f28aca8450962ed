//! What a benchmark sells. Networks are made for it: capacities are such that nothing sells out that is not meant to.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use jiff::{Timestamp, ToSpan as _};
use rotunda_booking::catalogue::bounds::MAX_CAPACITY;
use rotunda_booking::ids::{SlotRef, VenueNo};

use crate::cluster::{Cluster, MERIDIAN};
use crate::selling::{self, Offer};
use crate::visitor::Visitor;

/// Days from now on which everything is sold: past the days on which sales end, before the calendar does.
const FIRST_DAY: i64 = 2;
/// Days of the whole network that are sold.
const WEEK: i64 = 7;
/// Most that one client buys at once.
pub const MOST: u32 = 4;

/// What is on offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One slot of one venue, which never sells out.
    HotSlot,
    /// Every slot of a week of the museum network, with room for everybody.
    WholeNetwork,
    /// The slots of one day of one product, so many places in all.
    Family {
        /// Slots.
        slots: u32,
        /// Places of each.
        places: u32,
    },
    /// One slot of each of so many venues, none of which sells out.
    Halls {
        /// Venues.
        venues: u32,
    },
}

impl Kind {
    /// The network to import.
    #[must_use]
    pub fn catalogue(self) -> String {
        match self {
            Kind::HotSlot => halls(1, 1, MAX_CAPACITY),
            Kind::Family { slots, places } => halls(1, slots, i64::from(places)),
            Kind::Halls { venues } => halls(venues, 1, MAX_CAPACITY),
            Kind::WholeNetwork => with_room(MERIDIAN),
        }
    }
}

/// Venues whose buildings hold everybody, each with one product of hourly slots.
fn halls(venues: u32, slots: u32, places: i64) -> String {
    let (opens, closes) = (8, 8 + slots.clamp(1, 15));
    let mut text =
        "network:\n  id: bench\n  name: Benchmark\n  hold_minutes: 240\n  max_units_per_booking: 20\nvenues:\n"
            .to_owned();
    for number in 1..=venues {
        let _ = write!(
            text,
            "  - id: bench-hall-{number}\n    name: Hall\n    city: Lisbon\n    time_zone: Europe/Lisbon\n    currency: EUR\n    \
             tax_basis_points: 600\n    building_capacity: {MAX_CAPACITY}\n    opening:\n      \
             - {{ days: [mon, tue, wed, thu, fri, sat, sun], from: \"{opens:02}:00\", to: \"{closes:02}:00\" }}\n    closed: []\n    \
             products:\n      - id: general\n        name: General admission\n        kind: timed\n        slot_minutes: 60\n        \
             visit_minutes: 60\n        capacity_per_slot: {places}\n        units:\n          \
             - {{ id: adult, type: ADULT, price: 1400 }}\n"
        );
    }
    text
}

/// The same network with so much room everywhere that nothing sells out. Guides stay away: tours would be short of them.
fn with_room(network: &str) -> String {
    let mut text = String::with_capacity(network.len());
    for line in network.lines() {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        let field = rest.split(':').next().unwrap_or_default();
        let line = match field {
            "capacity_per_slot" | "capacity_per_day" | "building_capacity" => {
                format!("{indent}{field}: {MAX_CAPACITY}\n")
            }
            "guides" => format!("{indent}guides: 1000\n"),
            "hold_minutes" => format!("{indent}hold_minutes: 240\n"),
            _ => format!("{line}\n"),
        };
        text.push_str(&line);
    }
    text
}

/// Something to buy, made ready to be sent.
#[derive(Clone, Debug)]
pub struct Stall {
    /// Venue id.
    pub venue: String,
    /// Its number.
    pub number: VenueNo,
    /// Its shard.
    pub shard: u64,
    /// Slot.
    pub slot: SlotRef,
    /// Unit.
    pub unit: String,
    /// Fewest in one booking.
    pub least: u32,
    /// Places when the sale began.
    pub places: u32,
    /// Body of a hold of `least` places, `least + 1`, and so on.
    pub bodies: Vec<Bytes>,
    /// Path of availability on the slot's day.
    pub look: String,
}

/// A stall that cannot be set up.
#[derive(Debug)]
pub struct NotOnOffer(String);

impl NotOnOffer {
    /// Says what is in the way.
    pub(super) fn new(why: String) -> Self {
        NotOnOffer(why)
    }
}

impl fmt::Display for NotOnOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Stall {
    fn of(cluster: &Cluster, offer: &Offer) -> Result<Self, NotOnOffer> {
        let map = cluster.client().map();
        let venue = map.venue(&offer.venue);
        let venue = venue.ok_or_else(|| NotOnOffer(format!("{} is not in the map", offer.venue)))?;
        let slot: SlotRef = offer
            .slot
            .parse()
            .map_err(|error| NotOnOffer(format!("{}: {error}", offer.slot)))?;
        let (product, start) = offer.slot.split_once('@').unwrap_or((&offer.slot, ""));
        let day = start.get(..10).unwrap_or(start);
        let body = |quantity| offer.hold(quantity).body.map(|body| Bytes::from(body.to_string()));
        Ok(Stall {
            venue: offer.venue.clone(),
            number: venue.number,
            shard: venue.shard,
            slot,
            unit: offer.unit.clone(),
            least: offer.least,
            places: offer.vacancies,
            bodies: (offer.least..offer.least + MOST).filter_map(body).collect(),
            look: format!(
                "/v1/venues/{}/availability?product={product}&from={day}&to={day}",
                offer.venue
            ),
        })
    }
}

/// Imports what is sold and gives the stalls, in order of venue and start.
///
/// # Errors
/// Where something is not on offer.
///
/// # Panics
/// Where the router does not take it.
pub async fn set_up(cluster: &mut Cluster, kind: Kind) -> Result<Vec<Stall>, NotOnOffer> {
    cluster.import(&kind.catalogue()).await;
    cluster.until_settled().await;
    let day = |days: i64| {
        (Timestamp::now() + (days * 24).hours())
            .strftime("%Y-%m-%d")
            .to_string()
    };
    let last = match kind {
        Kind::WholeNetwork => FIRST_DAY + WEEK - 1,
        Kind::HotSlot | Kind::Family { .. } | Kind::Halls { .. } => FIRST_DAY,
    };
    let offers = selling::all_offers(&Visitor::new(&cluster.door()), &day(FIRST_DAY), &day(last)).await;
    let stalls = offers.iter().map(|offer| Stall::of(cluster, offer));
    let stalls = stalls.collect::<Result<Vec<_>, _>>()?;
    let wanted = match kind {
        Kind::HotSlot => 1,
        Kind::Family { slots, .. } => slots as usize,
        Kind::Halls { venues } => venues as usize,
        Kind::WholeNetwork => stalls.len().max(1),
    };
    if stalls.len() == wanted {
        Ok(stalls)
    } else {
        Err(NotOnOffer(format!(
            "{} slots are on offer, {wanted} were meant",
            stalls.len()
        )))
    }
}
