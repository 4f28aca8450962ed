//! Who uses the simulated cluster: visitors that look, hold, extend, confirm, release, cancel (all or some lines) and
//! exchange through the real client, send commands again under their key, and note what they were told. Each stands at a
//! gate now and then (`gate`).

mod gate;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rotunda_booking::command::{Channel, Command, HoldRequest, LineRequest, Operation, SlotChange};
use rotunda_booking::ids::{BookingId, CommandKey, SlotRef, VenueNo};
use rotunda_booking::outcome::{BookingStatus, Outcome};
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::time::ServiceDay;
use rotunda_protocol::client::{ClientError, ClusterClient};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::gate::Gate;
pub use self::gate::Tickets;
use super::chance::Chance;
use super::plan::Visits;
use super::world::BEGINNING_MS;
use crate::history::answers::{Asked, Told};
use crate::history::lines::{Act, Ended, Line, Op};

/// How long a visitor waits for an answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// Between two requests.
const THINKING: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));

/// Bookings that a visitor keeps in mind.
const IN_MIND: usize = 12;

/// Of older ones so many come to mind again: long enough after the hold that its time is over, or nearly.
const OLD: usize = 24;

/// A place to visit.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The venue.
    pub venue: VenueNo,
    /// Its id.
    pub slug: String,
    /// The slot.
    pub slot: SlotRef,
    /// Its service day.
    pub day: ServiceDay,
}

/// What visitors note, line by line.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<Line>>>);

impl Notes {
    /// Adds a line.
    pub fn write(&self, line: Line) {
        self.0.lock().push(line);
    }

    /// All lines so far, and none left.
    #[must_use]
    pub fn take(&self) -> Vec<Line> {
        std::mem::take(&mut self.0.lock())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// True where nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One visitor.
pub struct Visitor {
    name: String,
    client: ClusterClient,
    offers: Arc<Vec<Offer>>,
    /// Of the step that is being taken.
    chance: Chance,
    /// Of all steps.
    steps: Chance,
    /// Steps that are taken; of the others only the pauses are kept.
    taken: Vec<Range<u64>>,
    notes: Notes,
    begun: Instant,
    bookings: Vec<(BookingId, String, BookingStatus)>,
    old: Vec<(BookingId, String, BookingStatus)>,
    sent: Vec<(Command, String)>,
    gate: Gate,
}

impl Visitor {
    /// Who has seen nothing yet.
    #[must_use]
    pub fn new(
        visits: &Visits,
        client: ClusterClient,
        offers: Arc<Vec<Offer>>,
        tickets: Tickets,
        seed: u64,
        notes: Notes,
        begun: Instant,
    ) -> Self {
        let name = format!("visitor-{}", visits.visitor);
        let steps = Chance::of(seed, &name);
        Self {
            name,
            client,
            offers,
            chance: steps.clone(),
            steps,
            taken: visits.steps.iter().map(|(from, to)| *from..*to).collect(),
            notes,
            begun,
            bookings: Vec::new(),
            old: Vec::new(),
            sent: Vec::new(),
            gate: Gate::new(tickets),
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Goes on until `stop` is there, or no step is left; gives how many steps there were.
    pub async fn visit(mut self, mut stop: tokio::sync::watch::Receiver<bool>) -> u64 {
        let end = self.taken.iter().map(|steps| steps.end).max().unwrap_or(0);
        for number in 0..end {
            if *stop.borrow_and_update() {
                return number;
            }
            self.chance = self.steps.step(number);
            let pause = self.chance.time(THINKING.0, THINKING.1);
            if self.taken.iter().any(|steps| steps.contains(&number)) {
                self.step().await;
            }
            sleep(pause).await;
        }
        end
    }

    async fn step(&mut self) {
        match self.chance.below(100) {
            0..40 => self.hold().await,
            40..52 => {
                self.change(|booking, chance, _| Operation::Confirm {
                    booking,
                    nonce: chance.number(),
                    payment: None,
                })
                .await
            }
            52..60 => self.change(|booking, _, _| Operation::Release { booking }).await,
            60..65 => self.change_mind().await,
            65..70 => self.change(|booking, _, _| Operation::Extend { booking }).await,
            70..76 => self.again().await,
            76..78 => self.reuse().await,
            78..88 => self.read().await,
            88..92 => self.look().await,
            92..94 => self.change_mind().await,
            94..98 => self.scan().await,
            _ => self.change_slot().await,
        }
    }

    fn command(&mut self, venue: VenueNo, operation: Operation) -> Command {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.chance.number().to_be_bytes());
        key[8..].copy_from_slice(&self.chance.number().to_be_bytes());
        Command {
            key: Some(CommandKey(key)),
            fingerprint: self.chance.number(),
            venue,
            actor: None,
            operation,
        }
    }

    async fn hold(&mut self) {
        let Some(offer) = self.chance.pick(&self.offers).cloned() else {
            return;
        };
        let mut lines = vec![self.line(&offer)];
        let secret = self.chance.number() | 1;
        // Some want to go on to another slot, and may think better of one of the two.
        let of_venue = |other: &&Offer| other.venue == offer.venue;
        let others: Vec<Offer> = self.offers.iter().filter(of_venue).cloned().collect();
        if self.chance.per_mille(250)
            && let Some(other) = self.chance.pick(&others)
        {
            lines.push(self.line(other));
        }
        let operation = Operation::Hold(HoldRequest {
            secret,
            channel: Channel::Web,
            lines,
        });
        let command = self.command(offer.venue, operation);
        self.submit(command, offer.slug).await;
    }

    fn line(&mut self, offer: &Offer) -> LineRequest {
        wanted(offer, &mut self.chance)
    }

    async fn change(&mut self, make: impl FnOnce(BookingId, &mut Chance, &[Offer]) -> Operation) {
        let among = if self.chance.per_mille(250) {
            &self.old
        } else {
            &self.bookings
        };
        let Some((booking, slug, _)) = self.chance.pick(among).cloned() else {
            return;
        };
        let operation = make(booking, &mut self.chance, &self.offers);
        let command = self.command(booking.venue, operation);
        self.submit(command, slug).await;
    }

    /// Cancels or exchanges something, mostly what was bought.
    async fn change_mind(&mut self) {
        let sold = |(_, _, status): &&(BookingId, String, BookingStatus)| *status == BookingStatus::Confirmed;
        let sold: Vec<_> = self.bookings.iter().filter(sold).cloned().collect();
        match self.chance.pick(&sold).cloned() {
            Some((booking, slug, _)) if self.chance.per_mille(800) => {
                let operation = change_mind(booking, &mut self.chance, &self.offers);
                let command = self.command(booking.venue, operation);
                self.submit(command, slug).await;
            }
            _ => self.change(change_mind).await,
        }
    }

    /// At the gate: asks about somebody's ticket, or hands in what it scanned by itself.
    async fn scan(&mut self) {
        let now = BEGINNING_MS + i64::try_from(self.now_ns() / 1_000_000).unwrap_or(0);
        let Some((venue, slug, operation)) = self.gate.work(&self.name, &mut self.chance, now) else {
            return;
        };
        let mut command = self.command(venue, operation);
        if matches!(command.operation, Operation::MergeScans { .. }) {
            // As the router sends it: idempotent by content.
            (command.key, command.fingerprint) = (None, 0);
        }
        self.submit(command, slug).await;
    }

    async fn change_slot(&mut self) {
        let Some(offer) = self.chance.pick(&self.offers).cloned() else {
            return;
        };
        let change = if self.chance.per_mille(500) {
            SlotChange::Capacity(6 + u32::try_from(self.chance.below(20)).unwrap_or(0))
        } else {
            SlotChange::Closed(self.chance.per_mille(300))
        };
        let operation = Operation::ChangeSlot {
            slot: offer.slot,
            change,
        };
        let command = self.command(offer.venue, operation);
        self.submit(command, offer.slug).await;
    }

    /// The same command once more, as after a lost answer.
    async fn again(&mut self) {
        let Some((command, slug)) = self.chance.pick(&self.sent).cloned() else {
            return;
        };
        self.submit(command, slug).await;
    }

    /// Another request under a key that was used: a caller's mistake, which must be refused and change nothing.
    async fn reuse(&mut self) {
        let Some((mut command, slug)) = self.chance.pick(&self.sent).cloned() else {
            return;
        };
        if command.key.is_none() {
            return; // What has no key is idempotent by content.
        }
        command.fingerprint = self.chance.number();
        if let Operation::Hold(request) = &mut command.operation {
            request.lines.iter_mut().for_each(|line| line.quantity += 1);
        }
        self.submit(command, slug).await;
    }

    async fn submit(&mut self, command: Command, slug: String) {
        let mut op = Op::sent(self.name.clone(), &command, self.now_ns());
        op.key = command.key.map(|key| hex(&key.0));
        op.request.venue = Some(slug.clone());
        let answer = self.client.submit(&command, Instant::now() + PATIENCE).await;
        let now = self.now_ns();
        let op = match answer {
            Ok(submitted) => {
                if let Outcome::Booking(view) | Outcome::Rebooked { booking: view, .. } = &submitted.reply.outcome {
                    self.gate.hand_over(view, &slug);
                    self.bookings.retain(|(id, _, _)| *id != view.id);
                    self.bookings.push((view.id, slug.clone(), view.status));
                    if self.bookings.len() > IN_MIND {
                        let oldest = self.bookings.remove(0);
                        if self.chance.per_mille(200) {
                            self.old.push(oldest);
                        }
                    }
                    if self.old.len() > OLD {
                        self.old.remove(0);
                    }
                }
                op.replied(submitted.shard, &submitted.reply, now)
            }
            Err(error) => ended(op, &error, now),
        };
        if self.sent.len() >= IN_MIND {
            self.sent.remove(0);
        }
        self.sent.push((command, slug));
        self.notes.write(Line::Op(op));
    }

    async fn read(&mut self) {
        let Some((booking, slug, _)) = self.chance.pick(&self.bookings).cloned() else {
            return;
        };
        let asked = Asked {
            venue: Some(slug),
            booking: Some(booking),
            ..Asked::default()
        };
        self.ask(Act::Read, asked, Query::Booking { booking }).await;
    }

    async fn look(&mut self) {
        let Some(offer) = self.chance.pick(&self.offers).cloned() else {
            return;
        };
        let asked = Asked {
            venue: Some(offer.slug),
            ..Asked::default()
        };
        let query = Query::Availability {
            venue: offer.venue,
            product: None,
            from: offer.day,
            to: offer.day,
        };
        self.ask(Act::Availability, asked, query).await;
    }

    async fn ask(&mut self, act: Act, asked: Asked, query: Query) {
        let op = Op::asked(self.name.clone(), act, asked, self.now_ns());
        let answer = self.client.query(&query, None, Instant::now() + PATIENCE).await;
        let now = self.now_ns();
        let op = match answer {
            Ok(answered) => {
                let told = match &answered.answer {
                    Answer::Booking(view) => Told::of_booking(view),
                    Answer::Availability { slots, .. } => Told::of_slots(slots),
                    Answer::NotFound => Told {
                        code: Some("not_found".to_owned()),
                        ..Told::default()
                    },
                    _ => Told::default(),
                };
                let missing = matches!(answered.answer, Answer::NotFound);
                let mut op = op.shown(answered.shard, answered.index, told, now);
                if missing {
                    op.outcome = Ended::Fail;
                }
                op
            }
            Err(error) => ended(op, &error, now),
        };
        self.notes.write(Line::Op(op));
    }
}

/// So many of some unit in a slot.
fn wanted(offer: &Offer, chance: &mut Chance) -> LineRequest {
    LineRequest {
        slot: offer.slot.clone(),
        unit: if chance.per_mille(800) { "adult" } else { "family" }.to_owned(),
        quantity: 1 + u32::try_from(chance.below(3)).unwrap_or(0),
        claim: None,
    }
}

/// Cancels all of a booking, or one of its lines, or exchanges it for something else.
fn change_mind(booking: BookingId, chance: &mut Chance, offers: &[Offer]) -> Operation {
    let lines = match chance.below(10) {
        0..3 => Vec::new(),
        3..6 => vec![u16::try_from(chance.below(2)).unwrap_or(0)],
        _ => {
            let of_venue: Vec<&Offer> = offers.iter().filter(|offer| offer.venue == booking.venue).collect();
            let count = 1 + chance.below(2);
            let other = |_| Some(wanted(chance.pick(&of_venue)?, chance));
            let lines = (0..count).filter_map(other).collect();
            let nonce = chance.number();
            return Operation::Rebook { booking, nonce, lines };
        }
    };
    Operation::Cancel { booking, lines }
}

/// What a client's error says of the request's fate.
fn ended(op: Op, error: &ClientError, returned_ns: u64) -> Op {
    let outcome = match error {
        ClientError::Unknown => Ended::Unknown,
        ClientError::Unavailable
        | ClientError::UnknownVenue
        | ClientError::Overloaded
        | ClientError::NotYet(_)
        | ClientError::Rejected(_) => Ended::Fail,
    };
    Op {
        outcome,
        returned_ns,
        ..op
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Loads the venues, and gives what there is to visit: a few slots of each, so that visitors meet.
///
/// # Errors
/// Where the cluster does not take them in time.
pub async fn open_the_doors(client: &ClusterClient, deadline: Instant) -> Result<Vec<Offer>, ClientError> {
    let definitions: Vec<_> = (0..super::museums::VENUES).map(super::museums::venue).collect();
    let slugs: Vec<String> = definitions.iter().map(|definition| definition.slug.clone()).collect();
    client.ready(deadline).await?;
    let map = client.assign_venues("simulated", &slugs, deadline).await?;
    let mut offers = Vec::new();
    for definition in definitions {
        let info = map.venue(&definition.slug).ok_or(ClientError::UnknownVenue)?;
        let (venue, slug) = (info.number, definition.slug.clone());
        let command = Command {
            key: None,
            fingerprint: 0,
            venue,
            actor: None,
            operation: Operation::ImportVenue(Box::new(definition)),
        };
        client.submit(&command, deadline).await?;
        client.fill_calendar(venue, deadline).await?;
        let tomorrow = ServiceDay(i32::try_from(BEGINNING_MS / 86_400_000).unwrap_or(0) + 1);
        let query = Query::Availability {
            venue,
            product: None,
            from: tomorrow,
            to: tomorrow,
        };
        let answered = client.query(&query, None, deadline).await?;
        if let Answer::Availability { slots, .. } = answered.answer {
            offers.extend(slots.into_iter().take(4).map(|slot| Offer {
                venue,
                slug: slug.clone(),
                slot: slot.slot,
                day: slot.day,
            }));
        }
    }
    Ok(offers)
}

/// Begins the visits.
#[must_use]
pub fn begin(visitors: Vec<Visitor>, stop: &tokio::sync::watch::Sender<bool>) -> JoinSet<u64> {
    let mut visits = JoinSet::new();
    for visitor in visitors {
        visits.spawn(visitor.visit(stop.subscribe()));
    }
    visits
}

/// A command that changes nothing, to see whether its shard serves.
#[must_use]
pub fn knock(chance: &mut Chance, venue: VenueNo) -> Command {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&chance.number().to_be_bytes());
    key[8..].copy_from_slice(&chance.number().to_be_bytes());
    let booking = BookingId {
        venue,
        seq: u64::MAX,
        secret: chance.number(),
    };
    Command {
        key: Some(CommandKey(key)),
        fingerprint: chance.number(),
        venue,
        actor: None,
        operation: Operation::Release { booking },
    }
}
