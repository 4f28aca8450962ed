//! What visitors do with what they bought: they exchange it, cancel a line of it, or come. Their tickets are shown at gates
//! that could not ask when they came and hand their scans in, some again and in no order, and at gates that ask after that.

use serde_json::{Value, json};

use super::{Journey, Offer, text};
use crate::history::{Deed, Record};
use crate::visitor::{Answer, Request, Visitor};

impl Journey {
    /// Buys what is held; gives the booking as it is then.
    async fn buy(&self, offer: &Offer, booking: &str) -> Option<Answer> {
        let confirm = Request::post(format!("/v1/bookings/{booking}/confirm"), None);
        let sold = self.act(Deed::Confirm, &offer.venue, &confirm).await;
        sold.filter(Answer::is_success)
    }

    /// Buys, exchanges all of it for two lines somewhere else, and gives back one line after the other.
    pub(super) async fn change_mind(&self, offer: &Offer, offers: &[Offer], booking: &str) {
        if self.buy(offer, booking).await.is_none() {
            return;
        }
        let here: Vec<&Offer> = offers.iter().filter(|other| other.venue == offer.venue).collect();
        let line = || {
            let other = here.get(rand::random_range(0..here.len().max(1)))?;
            Some(json!({ "slot": other.slot, "unit": other.unit, "quantity": other.least }))
        };
        let lines: Vec<Value> = [line(), line()].into_iter().flatten().collect();
        let rebook = Request::post(
            format!("/v1/bookings/{booking}/rebook"),
            Some(json!({ "lines": lines })),
        );
        self.act(Deed::Rebook, &offer.venue, &rebook).await;
        self.read(offer, booking).await;
        for line in [0, 1, 0] {
            let cancel = Request::post(
                format!("/v1/bookings/{booking}/cancel"),
                Some(json!({ "lines": [line] })),
            );
            self.act(Deed::Cancel, &offer.venue, &cancel).await;
        }
        let cancel = Request::post(format!("/v1/bookings/{booking}/cancel"), None);
        self.act(Deed::Cancel, &offer.venue, &cancel).await;
        self.read(offer, booking).await;
    }

    /// Buys, and comes: by their own clocks two gates saw each ticket at its time, and a third asks about it afterwards.
    pub(super) async fn come(&self, offer: &Offer, booking: &str) {
        let (Some(gate), Some(sold)) = (&self.gate, self.buy(offer, booking).await) else {
            return;
        };
        let sold = sold.json();
        let tickets = sold["tickets"].as_array().cloned().unwrap_or_default();
        let device = |gate: &str| format!("{gate} {}", self.name);
        let mut scans: Vec<Value> = Vec::new();
        for (number, ticket) in tickets.iter().enumerate() {
            // `general@2027-01-15T10:00+00:00`: the slot begins then, to the minute.
            let slot = text(ticket, "slot");
            let Some((start, offset)) = slot.split_once('@').and_then(|(_, start)| start.split_at_checked(16)) else {
                continue;
            };
            for gate in ["north", "south"] {
                let second = rand::random_range(0..60);
                scans.push(json!({
                    "ticket": text(ticket, "id"),
                    "gate": gate,
                    "device": device(gate),
                    "device_seq": number,
                    "scanned_at": format!("{start}:{second:02}{offset}"),
                }));
            }
        }
        // Part of them first, then all of them, in another order.
        let some = scans.iter().step_by(3).cloned().collect();
        scans.sort_by_key(|_| rand::random::<u32>());
        for batch in [some, scans.clone(), scans] {
            self.hand_in(gate, offer, batch).await;
        }
        for (number, ticket) in tickets.iter().enumerate() {
            let scan = json!({
                "venue": offer.venue,
                "ticket": text(ticket, "id"),
                "gate": "east",
                "device": device("east"),
                "device_seq": number,
            });
            let ask = Request::post("/v1/admissions", Some(scan));
            self.act_by((gate, gate), Deed::Admit, &offer.venue, &ask).await;
        }
        self.read(offer, booking).await;
    }

    /// A batch has no key: sent again it is another request, which changes nothing.
    async fn hand_in(&self, gate: &Visitor, offer: &Offer, scans: Vec<Value>) {
        let batch = json!({ "venue": offer.venue, "scans": scans });
        let request = Request::post("/v1/admissions/batch", Some(batch));
        let settled = gate.settle(&request).await;
        let record = Record {
            client: format!("{} at the gate", self.name),
            deed: Deed::Merge,
            key: request.key.clone().unwrap_or_default(),
            venue: offer.venue.clone(),
            booking: None,
            request: request.body,
            settled,
        };
        self.recorder.settled(record, None);
    }
}
