//! The workloads: what one client does, step after step.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rotunda_booking::ids::BookingId;

use super::door::{Door, Told};
use super::load::{Client, Next};
use super::market::{Kind, MOST, Stall};
use super::samples::{Deed, Ending, Samples};

/// Holds that a client of [`Workload::Mixed`] remembers.
const REMEMBERED: usize = 64;

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Holds of one slot.
    Hot,
    /// Holds of every slot of the museum network.
    Spread,
    /// Look, hold, confirm, of every slot.
    Journey,
    /// The visitors of an on-sale, who come whether or not the others are served: look, hold, and most of them buy.
    Onsale,
    /// Eight of ten look, the others hold, confirm and release, of every slot.
    Mixed,
    /// 1.4 million places, one to four at a time, held and confirmed, until the last is sold.
    Sellout,
}

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 6] = [
        Workload::Hot,
        Workload::Spread,
        Workload::Journey,
        Workload::Onsale,
        Workload::Mixed,
        Workload::Sellout,
    ];

    /// As it is called on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Workload::Hot => "hot",
            Workload::Spread => "spread",
            Workload::Journey => "journey",
            Workload::Onsale => "onsale",
            Workload::Mixed => "mixed",
            Workload::Sellout => "sellout",
        }
    }

    /// What it buys, where nobody says otherwise.
    #[must_use]
    pub fn market(self) -> Kind {
        match self {
            Workload::Hot | Workload::Onsale => Kind::HotSlot,
            Workload::Spread | Workload::Journey | Workload::Mixed => Kind::WholeNetwork,
            Workload::Sellout => Kind::Family {
                slots: 14,
                places: 100_000,
            },
        }
    }

    /// The request whose rate is told first.
    #[must_use]
    pub fn headline(self) -> Deed {
        match self {
            Workload::Hot | Workload::Spread | Workload::Onsale => Deed::Hold,
            Workload::Journey | Workload::Sellout => Deed::Confirm,
            Workload::Mixed => Deed::Look,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The shard.
    pub shard: u64,
    /// Index of the entry that did it.
    pub index: u64,
    /// The booking.
    pub booking: BookingId,
    /// What was done.
    pub deed: Deed,
    /// Which stall, by position.
    pub stall: u32,
    /// Places of a hold.
    pub places: u32,
}

/// One client.
pub struct Shopper {
    workload: Workload,
    door: Door,
    stalls: Arc<[Stall]>,
    random: fastrand::Rng,
    /// Stalls that have nothing left, as far as this client knows.
    sold_out: Vec<bool>,
    held: VecDeque<BookingId>,
    /// What the cluster promised.
    pub acknowledged: Vec<Acknowledged>,
    /// Places that may or may not have been taken, by stall.
    pub unknown: Vec<(u32, u32)>,
}

impl Shopper {
    /// A client that has bought nothing yet.
    #[must_use]
    pub fn new(workload: Workload, door: Door, stalls: Arc<[Stall]>, random: fastrand::Rng) -> Self {
        Shopper {
            workload,
            door,
            sold_out: vec![false; stalls.len()],
            stalls,
            random,
            held: VecDeque::new(),
            acknowledged: Vec::new(),
            unknown: Vec::new(),
        }
    }

    fn pick(&mut self) -> usize {
        self.random.usize(0..self.stalls.len())
    }

    async fn look(&mut self, stall: usize, due: Instant, samples: &Mutex<Samples>) {
        let told = self.door.look(&self.stalls[stall]).await;
        samples.lock().note(Deed::Look, told.ending, due);
    }

    async fn hold(&mut self, stall: usize, more: u32, due: Instant, samples: &Mutex<Samples>) -> Told {
        let told = self.door.hold(&self.stalls[stall], more).await;
        samples.lock().note(Deed::Hold, told.ending, due);
        let places = self.stalls[stall].least + more;
        self.remember(Deed::Hold, &told, told.booking, stall, places);
        told
    }

    async fn confirm(&mut self, booking: BookingId, samples: &Mutex<Samples>) {
        let due = Instant::now();
        let told = self.door.confirm(booking).await;
        samples.lock().note(Deed::Confirm, told.ending, due);
        self.remember(Deed::Confirm, &told, Some(booking), 0, 0);
    }

    async fn release(&mut self, booking: BookingId, samples: &Mutex<Samples>) {
        let due = Instant::now();
        let told = self.door.release(booking).await;
        samples.lock().note(Deed::Release, told.ending, due);
        self.remember(Deed::Release, &told, Some(booking), 0, 0);
    }

    fn remember(&mut self, deed: Deed, told: &Told, booking: Option<BookingId>, stall: usize, places: u32) {
        let stall = u32::try_from(stall).unwrap_or(u32::MAX);
        match (told.ending, booking, told.commit) {
            (Ending::Done, Some(booking), Some((shard, index))) => self.acknowledged.push(Acknowledged {
                shard,
                index,
                booking,
                deed,
                stall,
                places,
            }),
            (Ending::Failed(_), ..) if deed == Deed::Hold => self.unknown.push((stall, places)),
            _ => {}
        }
    }

    async fn mixed(&mut self, due: Instant, samples: &Mutex<Samples>) {
        let stall = self.pick();
        match self.random.u32(0..100) {
            0..80 => self.look(stall, due, samples).await,
            80..90 => {
                let told = self.hold(stall, 0, due, samples).await;
                if let Some(booking) = told.booking.filter(|_| self.held.len() < REMEMBERED) {
                    self.held.push_back(booking);
                }
            }
            drawn => match self.held.pop_front() {
                Some(booking) if drawn < 97 => self.confirm(booking, samples).await,
                Some(booking) => self.release(booking, samples).await,
                None => self.look(stall, due, samples).await,
            },
        }
    }

    /// Takes what is left where less is left than was wanted, and goes to another slot where nothing is.
    async fn sell_out(&mut self, due: Instant, samples: &Mutex<Samples>) -> Next {
        let open: Vec<usize> = (0..self.stalls.len()).filter(|stall| !self.sold_out[*stall]).collect();
        let Some(stall) = self.random.choice(open) else {
            return Next::Enough;
        };
        let more = self.random.u32(0..MOST);
        let mut told = self.hold(stall, more, due, samples).await;
        if let Some(left) = told.left.filter(|left| *left > 0 && *left <= more) {
            told = self.hold(stall, left - 1, Instant::now(), samples).await;
        }
        match told.booking {
            Some(booking) => self.confirm(booking, samples).await,
            None => self.sold_out[stall] |= told.left == Some(0),
        }
        Next::Again
    }
}

impl Client for Shopper {
    async fn step(&mut self, due: Instant, samples: &Mutex<Samples>) -> Next {
        let stall = self.pick();
        match self.workload {
            Workload::Hot | Workload::Spread => {
                self.hold(stall, 0, due, samples).await;
            }
            Workload::Journey => {
                self.look(stall, due, samples).await;
                if let Some(booking) = self.hold(stall, 0, Instant::now(), samples).await.booking {
                    self.confirm(booking, samples).await;
                }
            }
            Workload::Onsale => {
                self.look(stall, due, samples).await;
                let more = self.random.u32(0..MOST);
                let told = self.hold(stall, more, Instant::now(), samples).await;
                if let Some(booking) = told.booking {
                    match self.random.u32(0..10) {
                        0..6 => self.confirm(booking, samples).await,
                        6..8 => self.release(booking, samples).await,
                        _ => {}
                    }
                }
            }
            Workload::Mixed => self.mixed(due, samples).await,
            Workload::Sellout => return self.sell_out(due, samples).await,
        }
        Next::Again
    }
}
