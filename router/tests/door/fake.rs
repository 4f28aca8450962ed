//! The cluster in a variable: one shard, an inventory over a map, a clock that stands still until it is told to move.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use rotunda_booking::calendar;
use rotunda_booking::command::{Command, Entry, Operation, Probe};
use rotunda_booking::ids::VenueNo;
use rotunda_booking::inventory::{Inventory, Limits};
use rotunda_booking::live::{Seen, Watcher};
use rotunda_booking::outcome::{Outcome, Reply};
use rotunda_booking::queries;
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::rows::MapRows;
use rotunda_booking::time::Timestamp;
use rotunda_protocol::shard_map::{NodeInfo, ReplicaInfo, ShardInfo, VenueInfo};
use rotunda_protocol::token::{Holder, Mark, TokenInfo};
use rotunda_router::backend::{
    Answered, Backend, ClientError, ClusterLimit, ClusterLimits, Drained, Filled, Heard, NewToken, ShardMap, Submitted,
    TokenOutcome,
};
use rotunda_router::trace::Draw;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The one shard.
pub(crate) const SHARD: u64 = 7;

/// Where the clock stands at first: long before the blockbuster's sale, with Christmas in the window.
pub(crate) const START: &str = "2026-11-22T10:00:00Z";

struct Shard {
    inventory: Inventory,
    rows: MapRows,
    index: u64,
    now: Timestamp,
    venues: Vec<VenueInfo>,
    tokens: Vec<TokenInfo>,
    limits: ClusterLimits,
    /// Entries that changed the map beside venues.
    changes: u64,
    cluster_version: u32,
}

/// What the next call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing is done.
    Unavailable,
    /// Nothing is done.
    Overloaded,
    /// Nothing is done: a mistake.
    Rejected,
    /// It is done, and the answer gets lost.
    AnswerLost,
    /// It is done, the answer gets lost, and the client's own retry gets the stored one.
    Retried,
    /// The handler panics.
    Panic,
    /// Nothing: the trouble behind it is for a later call.
    Calm,
}

pub(crate) struct Fake {
    shard: Arc<Mutex<Shard>>,
    /// Change streams are there; without them availability is asked for. Not at first.
    pub(crate) streams: Arc<AtomicBool>,
    /// How old the state is that streams show, in milliseconds.
    pub(crate) age: Arc<AtomicU64>,
    /// Streams that were opened.
    pub(crate) opened: AtomicU64,
    trouble: Mutex<Vec<Trouble>>,
    /// Calls wait for a permit here; plenty at first.
    pub(crate) gate: Semaphore,
    pub(crate) calls: AtomicU64,
}

impl Fake {
    /// Without any venue.
    pub(crate) fn empty() -> Arc<Self> {
        let shard = Shard {
            inventory: Inventory::new(Limits::default()),
            rows: MapRows::new(),
            index: 100,
            now: START.parse_time(),
            venues: Vec::new(),
            tokens: Vec::new(),
            limits: ClusterLimits::default(),
            changes: 0,
            cluster_version: 0,
        };
        Arc::new(Self {
            shard: Arc::new(Mutex::new(shard)),
            streams: Arc::default(),
            age: Arc::default(),
            opened: AtomicU64::new(0),
            trouble: Mutex::new(Vec::new()),
            gate: Semaphore::new(1_000_000),
            calls: AtomicU64::new(0),
        })
    }

    /// As if an operator had raised it.
    pub(crate) fn raise_version(&self, to: u32) {
        self.shard.lock().cluster_version = to;
    }

    pub(crate) fn advance(&self, minutes: i64) {
        let mut shard = self.shard.lock();
        shard.now = shard.now.plus_minutes(minutes);
        let venues: Vec<VenueNo> = shard.venues.iter().map(|venue| venue.number).collect();
        for venue in venues {
            let operation = Operation::Expire { limit: 1_000 };
            shard.apply(Command {
                key: None,
                fingerprint: 0,
                venue,
                actor: None,
                operation,
            });
        }
    }

    /// The next call meets this; several queue up.
    pub(crate) fn meet(&self, trouble: Trouble) {
        self.trouble.lock().insert(0, trouble);
    }

    /// Every row, to compare before and after what must have no effect.
    pub(crate) fn state_hash(&self) -> [u8; 16] {
        self.shard.lock().inventory.state_hash()
    }

    async fn take(&self, command: Command, deadline: Instant) -> Result<Submitted, ClientError> {
        let Ok(trouble) = tokio::time::timeout_at(deadline, self.pass()).await else {
            return Err(ClientError::Unavailable);
        };
        match trouble {
            Some(Trouble::Unavailable) => return Err(ClientError::Unavailable),
            Some(Trouble::Overloaded) => return Err(ClientError::Overloaded),
            Some(Trouble::Rejected) => return Err(ClientError::Rejected("malformed".into())),
            _ => {}
        }
        let mut shard = self.shard.lock();
        let is_known = |venue: &VenueInfo| venue.number == command.venue;
        if command.venue != VenueNo::RESERVE && !shard.venues.iter().any(is_known) {
            return Err(ClientError::UnknownVenue);
        }
        let mut reply = shard.apply(command.clone());
        match trouble {
            Some(Trouble::AnswerLost) => return Err(ClientError::Unknown),
            Some(Trouble::Retried) => reply = shard.apply(command),
            _ => {}
        }
        Ok(Submitted { shard: SHARD, reply })
    }

    async fn pass(&self) -> Option<Trouble> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let _permit = self.gate.acquire().await;
        let trouble = self.trouble.lock().pop();
        if trouble == Some(Trouble::Panic) {
            panic!("the test asked for it");
        }
        trouble.filter(|trouble| *trouble != Trouble::Calm)
    }
}

impl Shard {
    fn apply(&mut self, command: Command) -> Reply {
        self.index += 1;
        let entry = Entry {
            stamp: self.now,
            commands: vec![command],
        };
        let mut replies = self.inventory.apply(&mut self.rows, self.index, &entry).unwrap();
        self.rows.commit();
        replies.remove(0)
    }
}

impl Backend for Fake {
    fn map(&self) -> Arc<ShardMap> {
        let shard = self.shard.lock();
        let node = NodeInfo {
            id: 1,
            grpc: "http://127.0.0.1:1".into(),
            admin: "http://127.0.0.1:2".into(),
            version: "0.1.0+formats.3-4".into(),
        };
        let replicas = vec![ReplicaInfo { id: 1, node: 1 }];
        let shards = vec![ShardInfo {
            id: SHARD,
            epoch: 1,
            replicas,
        }];
        let version = 1 + shard.venues.len() as u64 + shard.changes;
        let map = ShardMap::new(version, "test".into(), vec![node], shards, shard.venues.clone()).unwrap();
        let map = map.with_tokens(shard.tokens.clone()).with_limits(shard.limits.clone());
        Arc::new(map.with_cluster_version(shard.cluster_version))
    }

    fn submit<'a>(&'a self, command: &'a Command, deadline: Instant) -> BoxFuture<'a, Result<Submitted, ClientError>> {
        self.take(command.clone(), deadline).boxed()
    }

    fn probe(&self, shard: u64, probe: Probe, deadline: Instant) -> BoxFuture<'_, Result<Submitted, ClientError>> {
        let command = Command {
            key: None,
            fingerprint: 0,
            venue: VenueNo::RESERVE,
            actor: None,
            operation: Operation::Probe(probe),
        };
        async move {
            if shard == SHARD {
                self.take(command, deadline).await
            } else {
                Err(ClientError::Unavailable)
            }
        }
        .boxed()
    }

    fn query<'a>(
        &'a self,
        query: &'a Query,
        at_least: Option<u64>,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Answered, ClientError>> {
        async move {
            match tokio::time::timeout_at(deadline, self.pass()).await {
                Ok(None) => {}
                _ => return Err(ClientError::Unavailable),
            }
            let shard = self.shard.lock();
            if at_least.is_some_and(|index| index > shard.index) {
                return Err(ClientError::Unavailable);
            }
            let answer = queries::answer(&shard.rows, query).unwrap();
            Ok(Answered {
                shard: SHARD,
                index: shard.index,
                answer,
            })
        }
        .boxed()
    }

    fn watch(&self, venue: VenueNo, from_index: u64) -> BoxStream<'static, Result<Heard, ClientError>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let (shard, streams, age) = (self.shard.clone(), self.streams.clone(), self.age.clone());
        let looks = stream::unfold(Watcher::new(venue), move |mut watcher| {
            let (shard, streams, age) = (shard.clone(), streams.clone(), age.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if !streams.load(Ordering::Relaxed) {
                    return None;
                }
                let heard = {
                    let shard = shard.lock();
                    let told = match watcher.look(&shard.rows).unwrap() {
                        Seen::NoVenue => None,
                        Seen::Same { time } => Some((time, None)),
                        Seen::Changed { time, news } => Some((time, Some(*news))),
                    };
                    told.filter(|_| shard.index >= from_index).map(|(time, news)| Heard {
                        shard: SHARD,
                        index: shard.index,
                        time,
                        age: Duration::from_millis(age.load(Ordering::Relaxed)),
                        news,
                    })
                };
                Some((heard.ok_or(ClientError::Unavailable), watcher))
            }
        });
        looks.boxed()
    }

    fn assign_venues<'a>(
        &'a self,
        network: &'a str,
        slugs: &'a [String],
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<Arc<ShardMap>, ClientError>> {
        async move {
            if self.pass().await.is_some() {
                return Err(ClientError::Unavailable);
            }
            {
                let mut shard = self.shard.lock();
                let is_other =
                    |venue: &VenueInfo| venue.network.as_deref() != Some(network) && slugs.contains(&venue.slug);
                let slugs = if shard.venues.iter().any(is_other) { &[] } else { slugs };
                for slug in slugs {
                    if !shard.venues.iter().any(|venue| venue.slug == *slug) {
                        let number = VenueNo(shard.venues.len() as u32 + 1);
                        shard.venues.push(VenueInfo {
                            number,
                            slug: slug.clone(),
                            shard: SHARD,
                            network: Some(network.into()),
                        });
                    }
                }
            }
            Ok(self.map())
        }
        .boxed()
    }

    fn create_token(&self, token: NewToken, _deadline: Instant) -> BoxFuture<'_, Result<TokenOutcome, ClientError>> {
        async move {
            if self.pass().await.is_some() {
                return Err(ClientError::Unavailable);
            }
            let mut shard = self.shard.lock();
            if shard.tokens.iter().any(|known| *known.holder.name == *token.name) {
                return Ok(TokenOutcome::NameTaken);
            }
            let created = Mark::read(&token.by, shard.now);
            shard.tokens.push(TokenInfo {
                holder: Arc::new(Holder {
                    name: token.name.into(),
                    role: token.role,
                    network: token.network.map(Arc::from),
                    venues: token.venues,
                }),
                digest: Some(token.digest),
                created,
                revoked: None,
            });
            Ok(TokenOutcome::Done)
        }
        .boxed()
    }

    fn revoke_token<'a>(
        &'a self,
        name: &'a str,
        by: &'a str,
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<TokenOutcome, ClientError>> {
        async move {
            if self.pass().await.is_some() {
                return Err(ClientError::Unavailable);
            }
            let mut shard = self.shard.lock();
            let at = shard.now;
            let Some(token) = shard.tokens.iter_mut().find(|known| *known.holder.name == *name) else {
                return Ok(TokenOutcome::Unknown);
            };
            token.digest = None;
            token.holder = Arc::new(Holder {
                venues: Vec::new(),
                ..Holder::clone(&token.holder)
            });
            token.revoked.get_or_insert(Mark::read(by, at));
            Ok(TokenOutcome::Done)
        }
        .boxed()
    }

    fn set_limits<'a>(
        &'a self,
        limits: &'a [ClusterLimit],
        by: &'a str,
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        async move {
            if self.pass().await.is_some() {
                return Err(ClientError::Unavailable);
            }
            let mut shard = self.shard.lock();
            if shard.limits.limits != limits {
                shard.limits = ClusterLimits {
                    limits: limits.to_vec(),
                    set: Some(Mark::read(by, shard.now)),
                };
                shard.changes += 1;
            }
            Ok(())
        }
        .boxed()
    }

    fn raise_version<'a>(
        &'a self,
        to: Option<u32>,
        _by: &'a str,
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<u32, ClientError>> {
        async move {
            if self.pass().await.is_some() {
                return Err(ClientError::Unavailable);
            }
            // Its one node reads 3 and 4.
            let to = to.unwrap_or(4);
            if to > 4 {
                let behind = "node 1 runs 0.1.0, which reads 3 to 4".to_owned();
                return Err(ClientError::NotYet(behind));
            }
            let mut shard = self.shard.lock();
            shard.cluster_version = to;
            shard.changes += 1;
            Ok(to)
        }
        .boxed()
    }

    fn drain(&self, _node: u32, stop: bool, _deadline: Instant) -> BoxFuture<'_, Result<Drained, ClientError>> {
        async move {
            if self.pass().await.is_some() {
                return Err(ClientError::Unavailable);
            }
            Ok(Drained {
                draining: !stop,
                leads: u32::from(stop),
            })
        }
        .boxed()
    }

    fn fill_calendar(&self, venue: VenueNo, _deadline: Instant) -> BoxFuture<'_, Result<Filled, ClientError>> {
        async move {
            if self.pass().await.is_some() {
                return Err(ClientError::Unavailable);
            }
            let mut shard = self.shard.lock();
            let Answer::Venue { definition, .. } = queries::answer(&shard.rows, &Query::Venue { venue }).unwrap()
            else {
                return Err(ClientError::UnknownVenue);
            };
            let mut filled = Filled {
                added: 0,
                removed: 0,
                index: shard.index,
            };
            let (first, last) = calendar::window(&definition, shard.now, calendar::DEFAULT_WINDOW_DAYS).unwrap();
            for product in &definition.products {
                for day in 0..=last.0 - first.0 {
                    let plan = calendar::plan(&definition, product, first.plus_days(day)).unwrap();
                    let operation = Operation::SetSlots(plan);
                    match shard
                        .apply(Command {
                            key: None,
                            fingerprint: 0,
                            venue,
                            actor: None,
                            operation,
                        })
                        .outcome
                    {
                        Outcome::SlotsSet { added, removed, .. } => {
                            filled.added += u64::from(added);
                            filled.removed += u64::from(removed);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            filled.index = shard.index;
            Ok(filled)
        }
        .boxed()
    }
}

/// The same numbers in every run.
#[derive(Default)]
pub(crate) struct CountingDraw {
    numbers: AtomicU64,
    seeds: AtomicU64,
}

impl Draw for CountingDraw {
    fn draw(&self) -> u64 {
        // splitmix64 of a counter.
        let mut z = self
            .numbers
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn seed(&self) -> Option<[u8; 32]> {
        let mut seed = [0; 32];
        let n = self.seeds.fetch_add(1, Ordering::Relaxed) + 1;
        seed[24..].copy_from_slice(&n.to_be_bytes());
        Some(seed)
    }
}

trait ParseTime {
    fn parse_time(&self) -> Timestamp;
}

impl ParseTime for str {
    fn parse_time(&self) -> Timestamp {
        Timestamp::parse_rfc3339(self).unwrap()
    }
}
