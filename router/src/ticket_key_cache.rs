//! Keys of venues' tickets, kept for a second: what a gate's QR codes are held against. A code whose key is not among those
//! that are kept asks anew, so a key that another router has just added is known at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::ticket_key::TicketKeyView;
use rotunda_protocol::error::ClientError;
use tokio::time::Instant;

use crate::backend::Backend;

/// How old a copy may be.
const FRESH: Duration = Duration::from_secs(1);

/// Venues kept. When full, the oldest copy makes room.
const CAPACITY: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub struct TicketKeyCache {
    copies: Mutex<HashMap<VenueNo, Copy>>,
}

#[derive(Clone, Debug)]
struct Copy {
    fetched: Instant,
    keys: Arc<Vec<TicketKeyView>>,
}

impl TicketKeyCache {
    /// The venue's keys, at most a second old, and with the key of that number where the venue has it.
    ///
    /// # Errors
    /// Where the cluster gives no answer.
    pub async fn with(
        &self,
        backend: &dyn Backend,
        venue: VenueNo,
        key: u16,
        deadline: Instant,
    ) -> Result<Arc<Vec<TicketKeyView>>, ClientError> {
        let fetched = Instant::now();
        let copy = self.copies.lock().get(&venue).cloned();
        if let Some(Copy { keys, .. }) = copy.filter(|copy| {
            fetched.duration_since(copy.fetched) < FRESH && copy.keys.iter().any(|known| known.key == key)
        }) {
            return Ok(keys);
        }
        let answered = backend.query(&Query::TicketKeys { venue }, None, deadline).await?;
        let keys = match answered.answer {
            Answer::TicketKeys(keys) => Arc::new(keys),
            _ => Arc::new(Vec::new()),
        };
        self.keep(
            venue,
            Copy {
                fetched,
                keys: keys.clone(),
            },
        );
        Ok(keys)
    }

    /// Forgets a venue whose keys have just been changed here.
    pub fn forget(&self, venue: VenueNo) {
        self.copies.lock().remove(&venue);
    }

    fn keep(&self, venue: VenueNo, copy: Copy) {
        let mut copies = self.copies.lock();
        if copies.len() >= CAPACITY && !copies.contains_key(&venue) {
            let oldest = copies
                .iter()
                .min_by_key(|(_, copy)| copy.fetched)
                .map(|(&venue, _)| venue);
            oldest.map(|oldest| copies.remove(&oldest));
        }
        // Two may have asked at once, and the older answer may come later.
        if copies.get(&venue).is_none_or(|other| other.fetched <= copy.fetched) {
            copies.insert(venue, copy);
        }
    }
}
