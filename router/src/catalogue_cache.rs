//! Definitions of venues, kept for a second: what `/v1/venues` lists and what prices availability shows.
//!
//! A copy that cannot be refreshed is shown on for a while, for looking at the catalogue should outlive a lost quorum;
//! answers say what they are `as_of`. Nothing here decides a sale. A caller's commit token passes the copy by.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rotunda_booking::catalogue::VenueDefinition;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::time::ServiceDay;
use rotunda_protocol::error::ClientError;
use tokio::time::Instant;

use crate::backend::{Answered, Backend};
use crate::folded_text::{Folded, FoldedVenue};

/// How old a copy may be before it is asked for again.
const FRESH: Duration = Duration::from_secs(1);

/// How long somebody who has a copy waits for a newer one.
const REFRESH: Duration = Duration::from_millis(500);

/// How old a copy may be when the cluster cannot be asked.
const STALE: Duration = Duration::from_secs(300);

/// Venues kept. When full, the oldest copy makes room.
const CAPACITY: usize = 4_096;

/// A venue's catalogue at a log index.
#[derive(Debug)]
pub struct Known {
    /// Where the venue lives.
    pub shard: u64,
    /// Log index of the state that answered.
    pub index: u64,
    /// Digest of the definition.
    pub revision: u64,
    /// Last service day whose slots are in place, per product in catalogue order.
    pub planned_through: Vec<Option<ServiceDay>>,
    /// The definition.
    pub definition: Box<VenueDefinition>,
    folded: Folded,
    fetched: Instant,
    asking: AtomicBool,
}

impl Known {
    /// Its texts as a search compares them.
    pub(crate) fn folded(&self) -> &FoldedVenue {
        self.folded.get_or_init(|| FoldedVenue::of(&self.definition))
    }
}

/// Somebody asks for a newer copy; over when dropped, also when the request is given up.
struct Asking<'a>(&'a Known);

impl<'a> Asking<'a> {
    fn begin(known: &'a Known) -> Option<Self> {
        (!known.asking.swap(true, Ordering::Relaxed)).then_some(Self(known))
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asking.store(false, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub struct CatalogueCache {
    copies: Mutex<HashMap<VenueNo, Arc<Known>>>,
    fresh: Duration,
}

impl Default for CatalogueCache {
    fn default() -> Self {
        Self::keeping(FRESH)
    }
}

impl CatalogueCache {
    /// Copies are asked for again when they are older than `fresh`.
    #[must_use]
    pub fn keeping(fresh: Duration) -> Self {
        Self {
            copies: Mutex::new(HashMap::new()),
            fresh,
        }
    }

    /// The venue's catalogue, at most a second old, or showing at least `at_least`. `None` where the shard has no such
    /// venue (assigned, not imported yet).
    ///
    /// # Errors
    /// Where the cluster gives no answer and no copy is young enough to stand in.
    pub async fn get(
        &self,
        backend: &dyn Backend,
        venue: VenueNo,
        at_least: Option<u64>,
        deadline: Instant,
    ) -> Result<Option<Arc<Known>>, ClientError> {
        let now = Instant::now();
        let copy = self.copies.lock().get(&venue).cloned();
        let age = |known: &Arc<Known>| now.duration_since(known.fetched);
        let copy = copy.filter(|known| age(known) < STALE && at_least.is_none_or(|index| known.index >= index));
        let Some(known) = copy else {
            return self.fetch(backend, venue, at_least, deadline).await;
        };
        // Of the many that find it old, one asks again and the others go on with what there is.
        let Some(_asking) = (age(&known) >= self.fresh).then(|| Asking::begin(&known)).flatten() else {
            return Ok(Some(known));
        };
        // Not for long: a shard without a quorum must not hold up those who only want to look.
        match self.fetch(backend, venue, at_least, deadline.min(now + REFRESH)).await {
            Ok(newer) => Ok(newer),
            Err(_) => Ok(Some(known.clone())),
        }
    }

    async fn fetch(
        &self,
        backend: &dyn Backend,
        venue: VenueNo,
        at_least: Option<u64>,
        deadline: Instant,
    ) -> Result<Option<Arc<Known>>, ClientError> {
        let fetched = Instant::now();
        let Answered { shard, index, answer } = backend.query(&Query::Venue { venue }, at_least, deadline).await?;
        let Answer::Venue {
            revision,
            planned_through,
            definition,
        } = answer
        else {
            self.forget(venue);
            return Ok(None);
        };
        let asking = AtomicBool::new(false);
        // What a search has folded is good as long as the definition is the same.
        let older = self
            .copies
            .lock()
            .get(&venue)
            .filter(|older| older.revision == revision)
            .cloned();
        let folded = older.map(|older| older.folded.clone()).unwrap_or_default();
        let known = Arc::new(Known {
            shard,
            index,
            revision,
            planned_through,
            definition,
            folded,
            fetched,
            asking,
        });
        self.keep(venue, known.clone());
        Ok(Some(known))
    }

    /// Forgets a venue whose catalogue has just been changed here.
    pub fn forget(&self, venue: VenueNo) {
        self.copies.lock().remove(&venue);
    }

    fn keep(&self, venue: VenueNo, known: Arc<Known>) {
        let mut copies = self.copies.lock();
        if copies.len() >= CAPACITY && !copies.contains_key(&venue) {
            let oldest = copies
                .iter()
                .min_by_key(|(_, known)| known.fetched)
                .map(|(&venue, _)| venue);
            oldest.map(|oldest| copies.remove(&oldest));
        }
        // Two may have asked at once, and the older answer may come later.
        if copies
            .get(&venue)
            .is_none_or(|other| (other.shard, other.index) <= (known.shard, known.index) || other.shard != known.shard)
        {
            copies.insert(venue, known);
        }
    }
}
