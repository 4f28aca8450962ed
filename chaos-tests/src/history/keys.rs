//! The id of a command as the router makes it from a caller without a token, or of a scan at a gate, so that a visitor's key
//! can be found in the log. A copy of the router's recipe, on purpose: the audit finds every acknowledged key by it, so where the two
//! drift apart the audit fails rather than looking for nothing.

use rotunda_booking::ids::{CommandKey, VenueNo};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_128;

use crate::history::Deed;

/// The id of the command that `key` makes.
#[must_use]
pub fn command_key(deed: Deed, venue: VenueNo, key: &str) -> CommandKey {
    let mut scope = Vec::new();
    for part in ["rotunda command key 2", "anonymous", deed.operation()] {
        scope.extend_from_slice(&(part.len() as u64).to_be_bytes());
        scope.extend_from_slice(part.as_bytes());
    }
    scope.extend_from_slice(&u64::from(venue.0).to_be_bytes());
    let mut digest = Sha256::new();
    digest.update(xxh3_128(&scope).to_be_bytes());
    digest.update(key.as_bytes());
    let bytes: [u8; 32] = digest.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[..16]);
    CommandKey(id)
}

/// The id of the command that asks about a scan, whoever sends it.
#[must_use]
pub fn scan_key(venue: VenueNo, device: &str, device_seq: u64) -> CommandKey {
    let mut digest = Sha256::new();
    digest.update(b"rotunda scan 1\0");
    digest.update(venue.0.to_be_bytes());
    digest.update(device_seq.to_be_bytes());
    digest.update(device.as_bytes());
    let bytes: [u8; 32] = digest.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[..16]);
    CommandKey(id)
}
