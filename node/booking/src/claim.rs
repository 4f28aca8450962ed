//! What a visitor can prove of themselves: a claim of membership, signed by whoever keeps the members (Ed25519, RFC 8032).
//!
//! The text is `RC1:` and Crockford base 32 of: the minute since 1970 at which the claim ends (4 bytes), kind and holder
//! (each a byte of length and so many bytes of UTF-8), signature (64); big-endian. The signature is over [`CONTEXT`] and all
//! that stands before it. The door verifies claims and hands on what they say; apply never sees a signature, and no clock
//! is asked here.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::ids::{crockford, is_slug};
use crate::time::Timestamp;

/// Begins the text of a claim.
pub const PREFIX: &str = "RC1:";

/// Longest text of a claim, in bytes: beyond it nothing is decoded.
pub const MAX_TEXT: usize = 512;

/// Longest name of a holder, in bytes.
pub const MAX_HOLDER: usize = 64;

/// Stands before what is signed, so that no other signature of a key can pass for a claim's.
const CONTEXT: &[u8] = b"rotunda claim 1\0";

const MINUTE: i64 = 60_000;

/// What a claim says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Ends here; whole minutes.
    pub until: Timestamp,
    /// What the holder has, as a unit of the catalogue requires it: `membership`.
    pub kind: String,
    /// Who has it: a number, no name.
    pub holder: String,
}

/// Why a text proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Something else stands there.
    #[error("not a claim; it begins with {PREFIX} and is sent as it was issued")]
    Shape,
    /// The signature is of none of the keys, or something was changed.
    #[error("the claim's signature is of no key that is known here; ask for a new claim")]
    Signature,
    /// It was true once.
    #[error("the claim has ended; ask for a new one")]
    Expired,
}

impl Claim {
    fn signed(&self) -> Vec<u8> {
        let minute = u32::try_from(self.until.0.div_euclid(MINUTE)).unwrap_or(0);
        let mut bytes = minute.to_be_bytes().to_vec();
        for text in [&self.kind, &self.holder] {
            let text = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
            bytes.push(text.len() as u8);
            bytes.extend_from_slice(text);
        }
        bytes
    }

    /// The claim's text, signed with `seed`'s key.
    #[must_use]
    pub fn sign(&self, seed: &[u8; 32]) -> String {
        let mut bytes = self.signed();
        let signature = SigningKey::from_bytes(seed).sign(&[CONTEXT, &bytes].concat());
        bytes.extend_from_slice(&signature.to_bytes());
        let mut text = String::with_capacity(PREFIX.len() + crockford::text_len(bytes.len()));
        text.push_str(PREFIX);
        crockford::encode(&bytes, &mut text);
        text
    }

    /// What the text of a claim says, where one of the keys signed it and it has not ended at `now`.
    ///
    /// # Errors
    /// Where it proves nothing.
    pub fn verified(text: &str, public: &[[u8; 32]], now: Timestamp) -> Result<Self, ClaimError> {
        let coded = text.trim().strip_prefix(PREFIX).ok_or(ClaimError::Shape)?;
        if coded.len() > MAX_TEXT {
            return Err(ClaimError::Shape);
        }
        let bytes = crockford::decode_all(coded).map_err(|_| ClaimError::Shape)?;
        let (signed, signature) = bytes.split_last_chunk().ok_or(ClaimError::Shape)?;
        let claim = Self::read(signed).ok_or(ClaimError::Shape)?;
        let signature = Signature::from_bytes(signature);
        let message = [CONTEXT, signed].concat();
        let fits = |public: &[u8; 32]| {
            VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify_strict(&message, &signature).is_ok())
        };
        if !public.iter().any(fits) {
            return Err(ClaimError::Signature);
        }
        if claim.until <= now {
            return Err(ClaimError::Expired);
        }
        Ok(claim)
    }

    fn read(signed: &[u8]) -> Option<Self> {
        let (minute, rest) = signed.split_first_chunk()?;
        let (kind, rest) = text(rest)?;
        let (holder, rest) = text(rest)?;
        let holds = is_slug(kind) && (1..=MAX_HOLDER).contains(&holder.len()) && rest.is_empty();
        holds.then(|| Self {
            until: Timestamp(i64::from(u32::from_be_bytes(*minute)) * MINUTE),
            kind: kind.to_owned(),
            holder: holder.to_owned(),
        })
    }
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// True where the bytes are a public key that a signature can be held against.
#[must_use]
pub fn is_public_key(bytes: &[u8; 32]) -> bool {
    VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::ticket_key::public_key;
    use proptest::prelude::*;

    const SEED: [u8; 32] = [7; 32];

    fn claim(kind: &str, holder: &str) -> Claim {
        Claim {
            until: Timestamp(100 * MINUTE),
            kind: kind.to_owned(),
            holder: holder.to_owned(),
        }
    }

    #[test]
    fn a_claim_holds_until_it_ends_and_under_its_own_key() {
        let text = claim("membership", "4711").sign(&SEED);
        let public = [public_key(&[8; 32]), public_key(&SEED)];
        let before = Timestamp(100 * MINUTE - 1);
        assert_eq!(Claim::verified(&text, &public, before), Ok(claim("membership", "4711")));
        assert_eq!(
            Claim::verified(&text, &public, Timestamp(100 * MINUTE)),
            Err(ClaimError::Expired)
        );
        assert_eq!(Claim::verified(&text, &public[..1], before), Err(ClaimError::Signature));
        assert_eq!(Claim::verified(&text, &[], before), Err(ClaimError::Signature));
        assert_eq!(Claim::verified(&text[4..], &public, before), Err(ClaimError::Shape));
    }

    #[test]
    fn whoever_could_write_a_colon_into_a_kind_could_pass_for_another() {
        let text = claim("membership:4711", "1").sign(&SEED);
        assert_eq!(
            Claim::verified(&text, &[public_key(&SEED)], Timestamp(0)),
            Err(ClaimError::Shape)
        );
    }

    proptest! {
        #[test]
        fn no_changed_claim_passes(holder in "[0-9a-z]{1,40}", at in 0..200_usize, to in "[0-9A-Z]") {
            let text = claim("membership", &holder).sign(&SEED);
            let at = PREFIX.len() + at % (text.len() - PREFIX.len());
            let mut changed = text.clone();
            changed.replace_range(at..=at, &to);
            let verified = Claim::verified(&changed, &[public_key(&SEED)], Timestamp(0));
            // Another spelling of the same character is the same claim.
            prop_assert!(verified.is_err() || verified == Claim::verified(&text, &[public_key(&SEED)], Timestamp(0)));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "RC1:[0-9A-Za-zü:]{0,600}") {
            let _ = Claim::verified(&text, &[public_key(&SEED)], Timestamp(0));
        }
    }
}
