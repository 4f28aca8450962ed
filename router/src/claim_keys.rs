//! Whose claims of membership are believed: public keys of the settings file, `[[claim_key]]` with `name` and `public`.
//!
//! The signer is whatever keeps the members; a registry of members comes later. A hold's line carries a claim
//! ([`rotunda_booking::claim`]), the door checks it here, and what it says goes on as `kind:holder`.

use rotunda_booking::claim::{self, Claim, ClaimError};
use rotunda_booking::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Keys that one router knows at most: a claim is held against each of them.
pub const MAX_CLAIM_KEYS: usize = 16;

/// A key as the settings file has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimKeySetting {
    /// For people: who signs with it.
    pub name: String,
    /// The public key (Ed25519).
    pub public: PublicKey,
}

/// A public key, in 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

impl TryFrom<String> for PublicKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 32];
        let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)).filter(|_| is_hex) {
            *byte = std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .unwrap_or_default();
        }
        if is_hex && claim::is_public_key(&bytes) {
            return Ok(Self(bytes));
        }
        Err(format!(
            "`{text}` is no public key; write the 32 bytes of an Ed25519 key as 64 hexadecimal digits"
        ))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        use std::fmt::Write as _;
        key.0.iter().fold(Self::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// The configured keys.
#[derive(Debug, Default)]
pub struct ClaimKeys(Vec<[u8; 32]>);

impl ClaimKeys {
    /// Takes the keys from the settings; [`MAX_CLAIM_KEYS`] of them are looked at.
    #[must_use]
    pub fn new(settings: &[ClaimKeySetting]) -> Self {
        let keys = settings.iter().take(MAX_CLAIM_KEYS);
        Self(keys.map(|setting| setting.public.0).collect())
    }

    /// What a claim says, as rules read it: `membership:4711`.
    ///
    /// # Errors
    /// Where it proves nothing now.
    pub fn verified(&self, text: &str) -> Result<String, ClaimError> {
        let Claim { kind, holder, .. } = Claim::verified(text, &self.0, now())?;
        Ok(format!("{kind}:{holder}"))
    }
}

/// By the router's own clock: a claim ends on a minute, and nothing that must agree with a log is decided here.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn what_is_no_key_is_refused_with_its_text() {
        let hex = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";
        let key = PublicKey::try_from(hex.to_owned()).unwrap();
        assert_eq!(String::from(key), hex);
        for wrong in [&hex[1..], &hex.replace('b', "ü"), &"0".repeat(64)] {
            let error = PublicKey::try_from(wrong.to_owned()).unwrap_err();
            assert!(error.contains("64 hexadecimal digits"), "{error}");
        }
    }
}
