//! Commands and questions straight to the leaders, by the client library that routers use.

use std::time::Duration;

use rotunda_booking::command::{Channel, Command, HoldRequest, LineRequest, Operation};
use rotunda_booking::ids::{BookingId, CommandKey, VenueNo};
use rotunda_booking::outcome::{Outcome, RefusalCode};
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::time::ServiceDay;
use rotunda_protocol::client::{ClientError, ClusterClient};
use tokio::time::Instant;

use super::Told;
use crate::bench::market::Stall;
use crate::bench::samples::{Ending, Failure};

/// Longer than anybody should wait.
const DEADLINE: Duration = Duration::from_secs(10);
const DAY_MS: i64 = 86_400_000;

/// See the module.
pub struct Grpc {
    client: ClusterClient,
    random: fastrand::Rng,
}

impl Grpc {
    /// A client over streams that others may share.
    #[must_use]
    pub fn new(client: ClusterClient, random: fastrand::Rng) -> Self {
        Grpc { client, random }
    }

    pub(super) async fn look(&mut self, stall: &Stall) -> Told {
        let local_ms = stall.slot.start.0 + i64::from(stall.slot.offset_minutes) * 60_000;
        let day = ServiceDay(i32::try_from(local_ms.div_euclid(DAY_MS)).unwrap_or_default());
        let query = Query::Availability {
            venue: stall.number,
            product: Some(stall.slot.product.clone()),
            from: day,
            to: day,
        };
        match self.client.query(&query, None, Instant::now() + DEADLINE).await {
            Ok(answered) if answered.answer != Answer::NotFound => Told::only(Ending::Done),
            Ok(_) => Told::only(Ending::Refused),
            Err(error) => Told::only(ending(&error)),
        }
    }

    pub(super) async fn hold(&mut self, stall: &Stall, more: u32) -> Told {
        let line = LineRequest {
            slot: stall.slot.clone(),
            unit: stall.unit.clone(),
            quantity: stall.least + more,
            claim: None,
        };
        let secret = self.random.u64(..);
        let operation = Operation::Hold(HoldRequest {
            secret,
            channel: Channel::Web,
            lines: vec![line],
        });
        self.submit(stall.number, operation).await
    }

    pub(super) async fn confirm(&mut self, booking: BookingId) -> Told {
        let nonce = self.random.u64(..);
        self.submit(
            booking.venue,
            Operation::Confirm {
                booking,
                nonce,
                payment: None,
            },
        )
        .await
    }

    pub(super) async fn release(&mut self, booking: BookingId) -> Told {
        self.submit(booking.venue, Operation::Release { booking }).await
    }

    async fn submit(&mut self, venue: VenueNo, operation: Operation) -> Told {
        let key = u128::from(self.random.u64(..)) << 64 | u128::from(self.random.u64(..));
        let command = Command {
            key: Some(CommandKey(key.to_be_bytes())),
            fingerprint: 0,
            venue,
            actor: None,
            operation,
        };
        let submitted = match self.client.submit(&command, Instant::now() + DEADLINE).await {
            Ok(submitted) => submitted,
            Err(error) => return Told::only(ending(&error)),
        };
        let commit = Some((submitted.shard, submitted.reply.index));
        match submitted.reply.outcome {
            Outcome::Booking(view) => Told {
                ending: Ending::Done,
                commit,
                booking: Some(view.id),
                left: None,
            },
            Outcome::Refused(refusal) => Told {
                commit,
                left: (refusal.code == RefusalCode::SoldOut)
                    .then(|| refusal.lines.first()?.left)
                    .flatten(),
                ..Told::only(Ending::Refused)
            },
            _ => Told::only(Ending::Failed(Failure::Internal)),
        }
    }
}

fn ending(error: &ClientError) -> Ending {
    match error {
        ClientError::Overloaded => Ending::Shed,
        ClientError::Unavailable => Ending::Failed(Failure::Unavailable),
        ClientError::Unknown => Ending::Failed(Failure::Unknown),
        _ => Ending::Failed(Failure::Internal),
    }
}
