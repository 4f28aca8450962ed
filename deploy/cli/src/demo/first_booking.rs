//! The proof that the demo sells: at every venue that has an open slot, one place is held and given back.
//!
//! What it finds is also what the printed curl line books.

use jiff::{Timestamp, ToSpan as _};
use tokio::task::JoinSet;

use crate::door::{Door, DoorError, Product, Slot};

/// A slot sooner than this might begin before the user has pasted the line.
const SOONEST_HOURS: i64 = 24;
/// Venues with a closed day and a holiday in a row still have an open one within this.
const DAYS_AHEAD: i64 = 14;

/// Something that can be booked right now.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) venue: String,
    slot: String,
    unit: String,
    quantity: u32,
    /// Visited at an hour, as most people expect of a museum.
    timed: bool,
}

impl Offer {
    /// The body of a hold. Written by hand for the order of its fields, which a person reads; the texts are ids of the
    /// catalogue, in which no character needs an escape.
    pub(crate) fn body(&self) -> String {
        let Offer {
            venue,
            slot,
            unit,
            quantity,
            ..
        } = self;
        format!(
            r#"{{"venue":"{venue}","lines":[{{"slot":"{slot}","unit":"{unit}","quantity":{quantity}}}],"channel":"web"}}"#
        )
    }

    /// Two rather than one where that is allowed: nobody goes to a museum alone in an example.
    fn for_a_couple(mut self, vacancies: u32) -> Self {
        if self.quantity == 1 && vacancies >= 2 {
            self.quantity = 2;
        }
        self
    }
}

/// Holds and releases at every venue. Gives one offer per venue that has something open; those at an
/// hour come first, for the first is shown to the user.
///
/// # Errors
/// Where a venue does not sell although it has an open slot; names it.
pub(crate) async fn prove(door: &Door) -> Result<Vec<Offer>, (DoorError, String)> {
    let venues = door
        .venues()
        .await
        .map_err(|error| (error, "listing venues".to_owned()))?;
    let mut trials = JoinSet::new();
    for (place, venue) in venues.into_iter().enumerate() {
        let door = door.clone();
        trials.spawn(async move {
            let outcome = trial(&door, &venue.id).await;
            (place, venue.id, outcome)
        });
    }
    let mut offers = Vec::new();
    while let Some(trial) = trials.join_next().await {
        let (place, venue, outcome) = trial.map_err(|error| {
            (
                DoorError::Nonsense(error.to_string()),
                "a first booking broke off".to_owned(),
            )
        })?;
        match outcome {
            Ok(Some(offer)) => offers.push((place, offer)),
            Ok(None) => {}
            Err(error) => return Err((error, format!("the first booking at {venue}"))),
        }
    }
    offers.sort_by_key(|(place, offer)| (!offer.timed, *place));
    Ok(offers.into_iter().map(|(_, offer)| offer).collect())
}

async fn trial(door: &Door, venue: &str) -> Result<Option<Offer>, DoorError> {
    let now = Timestamp::now();
    let from = now.strftime("%Y-%m-%d").to_string();
    let to = (now + (DAYS_AHEAD * 24).hours()).strftime("%Y-%m-%d").to_string();
    for product in door.products(venue).await? {
        let slots = door.availability(venue, &product.id, &from, &to).await?;
        let Some((offer, vacancies)) = offer(venue, &product, &slots, now) else {
            continue;
        };
        let booking = door.hold(offer.body()).await?;
        door.release(&booking).await?;
        return Ok(Some(offer.for_a_couple(vacancies)));
    }
    Ok(None)
}

/// The first open slot of the product, with a unit that needs no other beside it.
fn offer(venue: &str, product: &Product, slots: &[Slot], now: Timestamp) -> Option<(Offer, u32)> {
    let unit = product.units.iter().find(|unit| unit.accompanied_by.is_empty())?;
    let quantity = product.min_units_per_booking.unwrap_or(1).max(1);
    let places = quantity * unit.pax.unwrap_or(1);
    let soonest = now + SOONEST_HOURS.hours();
    let slot = slots.iter().find(|slot| {
        matches!(slot.status.as_str(), "available" | "limited")
            && slot.vacancies >= places
            && slot.starts_at.parse::<Timestamp>().is_ok_and(|start| start >= soonest)
    })?;
    let offer = Offer {
        venue: venue.to_owned(),
        slot: slot.id.clone(),
        unit: unit.id.clone(),
        quantity,
        timed: product.kind == "timed",
    };
    Some((offer, slot.vacancies / unit.pax.unwrap_or(1).max(1)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::door::Unit;

    fn slot(id: &str, starts_at: &str, status: &str, vacancies: u32) -> Slot {
        Slot {
            id: id.to_owned(),
            starts_at: starts_at.to_owned(),
            status: status.to_owned(),
            vacancies,
        }
    }

    #[test]
    fn the_offer_is_open_and_far_enough_ahead_and_needs_nobody_beside_it() {
        let product = Product {
            id: "general".to_owned(),
            kind: "timed".to_owned(),
            min_units_per_booking: None,
            units: vec![
                Unit {
                    id: "child".to_owned(),
                    pax: None,
                    accompanied_by: vec!["adult".to_owned()],
                },
                Unit {
                    id: "adult".to_owned(),
                    pax: Some(1),
                    accompanied_by: Vec::new(),
                },
            ],
        };
        let slots = [
            slot("too-soon", "2027-01-15T10:00:00+00:00", "available", 9),
            slot("full", "2027-01-17T10:00:00+00:00", "sold_out", 0),
            slot("open", "2027-01-17T15:45:00+05:45", "limited", 9),
        ];
        let (offer, vacancies) = offer("v", &product, &slots, "2027-01-15T09:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(
            (offer.slot.as_str(), offer.unit.as_str(), offer.quantity),
            ("open", "adult", 1)
        );
        let offer = offer.for_a_couple(vacancies);
        let body: serde_json::Value = serde_json::from_str(&offer.body()).unwrap();
        assert_eq!(body["lines"][0]["quantity"], 2);
    }
}
