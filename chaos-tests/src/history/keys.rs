//! The id of a command as the router makes it from a caller without a token, so that a visitor's key can be found in
//! the log. A copy of the router's recipe, on purpose: the audit finds every acknowledged key by it, so where the two
//! drift apart the audit fails rather than looking for nothing.

use rotunda_booking::ids::{CommandKey, VenueNo};
use sha2::{Digest, Sha256};

use crate::history::Deed;

/// The id of the command that `key` makes.
#[must_use]
pub fn command_key(deed: Deed, venue: VenueNo, key: &str) -> CommandKey {
    let mut digest = Sha256::new();
    let mut text = |text: &str| {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    };
    text("rotunda command key 1");
    text("anonymous");
    text(deed.operation());
    digest.update(u64::from(venue.0).to_be_bytes());
    digest.update((key.len() as u64).to_be_bytes());
    digest.update(key.as_bytes());
    let bytes: [u8; 32] = digest.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[..16]);
    CommandKey(id)
}
