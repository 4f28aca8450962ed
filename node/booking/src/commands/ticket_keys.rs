//! The keys that a venue's tickets are signed with: a new one signs from now on, an old one stays valid until it is retired.

use crate::ids::VenueNo;
use crate::inventory::{Halt, Transaction};
use crate::outcome::{Outcome, Refusal, RefusalCode};
use crate::state::{TicketKey, TicketKeys};
use crate::ticket_key::{MAX_KEYS, TicketKeyView, public_key};

pub(super) fn add(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    seed: &[u8; 32],
    first_only: bool,
) -> Result<Outcome, Halt> {
    transaction.known_catalogue(venue)?;
    let keys = transaction.desk::<TicketKeys>(venue)?.cloned().unwrap_or_default();
    if first_only && !keys.0.is_empty() {
        return Ok(Outcome::TicketKeys(shown(&keys)));
    }
    if keys.0.len() >= MAX_KEYS {
        let detail = format!("a venue has at most {MAX_KEYS} keys in its life");
        return Err(Refusal::new(RefusalCode::KeyLimit, detail).into());
    }
    let created_at = transaction.now;
    let keys = transaction.desk_mut::<TicketKeys>(venue)?.get_or_insert_default();
    keys.0.push(TicketKey {
        key: keys.0.last().map_or(1, |last| last.key + 1),
        seed: *seed,
        created_at,
        retired_at: None,
    });
    Ok(Outcome::TicketKeys(shown(keys)))
}

pub(super) fn retire(transaction: &mut Transaction<'_>, venue: VenueNo, key: u16) -> Result<Outcome, Halt> {
    let keys = transaction.desk::<TicketKeys>(venue)?.cloned().unwrap_or_default();
    let Some(known) = keys.0.iter().find(|known| known.key == key) else {
        return Err(Refusal::new(
            RefusalCode::UnknownKey,
            "the venue has no such key; see its ticket-keys",
        )
        .into());
    };
    let others = keys
        .0
        .iter()
        .filter(|other| other.key != key && other.retired_at.is_none());
    if known.retired_at.is_none() && others.count() == 0 {
        let detail = "this is the venue's only key; add another one first";
        return Err(Refusal::new(RefusalCode::KeyLimit, detail).into());
    }
    let now = transaction.now;
    let keys = transaction.desk_mut::<TicketKeys>(venue)?.get_or_insert_default();
    for known in keys.0.iter_mut().filter(|known| known.key == key) {
        known.retired_at.get_or_insert(now);
    }
    Ok(Outcome::TicketKeys(shown(keys)))
}

/// The public halves.
pub(crate) fn shown(keys: &TicketKeys) -> Vec<TicketKeyView> {
    let views = keys.0.iter().map(|key| TicketKeyView {
        key: key.key,
        public: public_key(&key.seed),
        created_at: key.created_at,
        retired_at: key.retired_at,
    });
    views.collect()
}
