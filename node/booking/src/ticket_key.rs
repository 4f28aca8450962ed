//! What a ticket proves by itself: a few claims, signed with the venue's key (Ed25519, RFC 8032), compact enough for a
//! small QR code. No name stands in it.
//!
//! The text in the code is `RT1:` and Crockford base 32 (which QR's alphanumeric mode packs) of: key (2 bytes), ticket id
//! (20), first and last minute of the window since 1970 (4 and 4), serial (6), signature (64); big-endian. The signature
//! is over [`CONTEXT`] and all that stands before it.
//!
//! A gate without a network checks signature, venue and window with the public keys of its bundle. The bundle is a text of
//! lines, signed as a whole by the newest key: `rotunda-gate-bundle 1`, `venue <id> <number>`, `as-of <time>`,
//! `days <first> <last>`, `key <number> <public key in hexadecimal>` for each key that is not retired, and
//! `void <sequence number> <ticket number>...` for each booking with void tickets of those days.

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};

use crate::ids::{TicketId, crockford};
use crate::time::Timestamp;

/// Keys that a venue has at most, retired ones included: a rotation a month for twenty years.
pub const MAX_KEYS: usize = 255;

/// Begins the text of a QR code.
pub const PREFIX: &str = "RT1:";

/// Stands before what is signed, so that no other signature of a key can pass for a ticket's.
const CONTEXT: &[u8] = b"rotunda ticket 1\0";

/// Stands before a gate bundle's text where it is signed.
const BUNDLE_CONTEXT: &[u8] = b"rotunda gate bundle 1\0";

const SIGNED: usize = 2 + TicketId::BYTES + 4 + 4 + 6;

/// Bytes of a payload.
pub const PAYLOAD: usize = SIGNED + Signature::BYTE_SIZE;

const MINUTE: i64 = 60_000;

/// A key as it is shown: the public half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketKeyView {
    /// Counts from 1 within the venue.
    pub key: u16,
    /// Public key.
    pub public: [u8; 32],
    /// Log time at which the venue got it.
    pub created_at: Timestamp,
    /// Log time at which it was retired, if it was.
    pub retired_at: Option<Timestamp>,
}

/// What a ticket claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Which key signed.
    pub key: u16,
    /// Which ticket, and with it the venue.
    pub ticket: TicketId,
    /// Admits from here; whole minutes.
    pub from: Timestamp,
    /// Admits until here; whole minutes.
    pub until: Timestamp,
    /// Serial within the venue; below 2^48.
    pub serial: u64,
}

/// Why a text is not a ticket's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Something else stands in the code.
    #[error("not a ticket's code; it begins with {PREFIX} and is as it was printed")]
    Shape,
    /// The signature is not of this key, or something was changed.
    #[error("the ticket's signature does not fit; it is forged or was damaged")]
    Signature,
}

impl Claims {
    fn signed(&self) -> [u8; SIGNED] {
        let minutes = |at: Timestamp| u32::try_from(at.0.div_euclid(MINUTE)).unwrap_or(0).to_be_bytes();
        let mut bytes = [0; SIGNED];
        bytes[..2].copy_from_slice(&self.key.to_be_bytes());
        bytes[2..22].copy_from_slice(&self.ticket.to_bytes());
        bytes[22..26].copy_from_slice(&minutes(self.from));
        bytes[26..30].copy_from_slice(&minutes(self.until));
        bytes[30..].copy_from_slice(&self.serial.to_be_bytes()[2..]);
        bytes
    }

    /// The claims with the signature of `seed`'s key.
    #[must_use]
    pub fn sign(&self, seed: &[u8; 32]) -> Vec<u8> {
        let signed = self.signed();
        let signature = SigningKey::from_bytes(seed).sign(&[CONTEXT, &signed].concat());
        [&signed[..], &signature.to_bytes()].concat()
    }

    /// What `payload` claims. Whether it is true is [`verify`]'s to say.
    ///
    /// # Errors
    /// Where it is of another length.
    pub fn read(payload: &[u8]) -> Result<Self, PayloadError> {
        let payload: &[u8; PAYLOAD] = payload.try_into().map_err(|_| PayloadError::Shape)?;
        let number = |range: std::ops::Range<usize>| {
            payload[range]
                .iter()
                .fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let mut ticket = [0; TicketId::BYTES];
        ticket.copy_from_slice(&payload[2..22]);
        Ok(Self {
            key: number(0..2) as u16,
            ticket: TicketId::from_bytes(ticket),
            from: Timestamp(number(22..26) as i64 * MINUTE),
            until: Timestamp(number(26..30) as i64 * MINUTE),
            serial: number(30..36),
        })
    }
}

/// The public half of a key.
#[must_use]
pub fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// Checks a payload's signature.
///
/// # Errors
/// Where it is none of `public`.
pub fn verify(payload: &[u8], public: &[u8; 32]) -> Result<Claims, PayloadError> {
    let claims = Claims::read(payload)?;
    let signature = Signature::from_slice(&payload[SIGNED..]).map_err(|_| PayloadError::Shape)?;
    let key = VerifyingKey::from_bytes(public).map_err(|_| PayloadError::Signature)?;
    key.verify(&[CONTEXT, &payload[..SIGNED]].concat(), &signature)
        .map(|()| claims)
        .map_err(|_| PayloadError::Signature)
}

/// The text of the QR code.
#[must_use]
pub fn to_text(payload: &[u8]) -> String {
    let mut text = String::with_capacity(PREFIX.len() + crockford::text_len(payload.len()));
    text.push_str(PREFIX);
    crockford::encode(payload, &mut text);
    text
}

/// The payload in the text of a QR code.
///
/// # Errors
/// Where it is none.
pub fn from_text(text: &str) -> Result<[u8; PAYLOAD], PayloadError> {
    let coded = text.trim().strip_prefix(PREFIX).ok_or(PayloadError::Shape)?;
    crockford::decode(coded).map_err(|_| PayloadError::Shape)
}

/// Signs a gate bundle's text.
#[must_use]
pub fn sign_bundle(text: &str, seed: &[u8; 32]) -> [u8; 64] {
    let message = [BUNDLE_CONTEXT, text.as_bytes()].concat();
    SigningKey::from_bytes(seed).sign(&message).to_bytes()
}

/// True where `signature` is that of a gate bundle's text.
#[must_use]
pub fn verify_bundle(text: &str, signature: &[u8; 64], public: &[u8; 32]) -> bool {
    let message = [BUNDLE_CONTEXT, text.as_bytes()].concat();
    VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify(&message, &Signature::from_bytes(signature)).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;
    use crate::ids::VenueNo;

    const SEED: [u8; 32] = [7; 32];

    fn claims() -> Claims {
        Claims {
            key: 3,
            ticket: TicketId {
                venue: VenueNo(9),
                seq: (1 << 40) + 5,
                number: 4,
                secret: 0x0123_4567_89ab_cdef,
            },
            from: Timestamp(29_000_000 * MINUTE),
            until: Timestamp(29_000_015 * MINUTE),
            serial: 77,
        }
    }

    #[test]
    fn claims_come_back_from_the_text_of_the_code() {
        let text = to_text(&claims().sign(&SEED));
        assert_eq!(text.len(), 164, "fits version 7 of QR with error correction M");
        let alphanumeric = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b':';
        assert!(text.bytes().all(alphanumeric), "{text}");
        let payload = from_text(&text.to_lowercase().replace("rt1:", PREFIX)).unwrap();
        assert_eq!(verify(&payload, &public_key(&SEED)), Ok(claims()));
    }

    #[test]
    fn whatever_is_changed_no_longer_fits_the_signature() {
        let payload = claims().sign(&SEED);
        for place in 0..payload.len() {
            let mut forged = payload.clone();
            forged[place] ^= 1;
            assert_eq!(
                verify(&forged, &public_key(&SEED)),
                Err(PayloadError::Signature),
                "byte {place}"
            );
        }
        assert_eq!(verify(&payload, &public_key(&[8; 32])), Err(PayloadError::Signature));
    }

    #[test]
    fn what_is_no_code_of_ours_is_told_so() {
        for text in ["", "RT1:", "https://example.org", "RT2:00", "RT1:é"] {
            assert_eq!(from_text(text), Err(PayloadError::Shape), "{text}");
        }
    }

    #[test]
    fn a_ticket_s_signature_is_none_of_a_bundle() {
        let text = "rotunda-gate-bundle 1\n";
        let signature = sign_bundle(text, &SEED);
        assert!(verify_bundle(text, &signature, &public_key(&SEED)));
        assert!(!verify_bundle(
            "rotunda-gate-bundle 2\n",
            &signature,
            &public_key(&SEED)
        ));
        assert_ne!(signature[..], claims().sign(&SEED)[SIGNED..]);
    }
}
