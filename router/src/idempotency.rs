//! `Idempotency-Key`: how a header becomes the id of a command, and a request's body its fingerprint.
//!
//! The scope of a key is (principal, operation, venue, key). The venue is in it because the record lives with the venue,
//! in its shard: two venues' shards cannot see each other's records, and whether they happen to share a shard must not
//! change an answer. So the same key in a hold for another venue is another request. The booking is *not* in the scope but
//! in the fingerprint: the same key on another booking of the venue is refused as reused.
//!
//! The fingerprint is of what the request means, not of its bytes: white space and the order of JSON's fields do not count.

use http::{HeaderMap, HeaderName};
use rotunda_booking::ids::{CommandKey, VenueNo};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::api::error::{Code, Problem};
use crate::auth::Caller;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest key, in characters.
pub const MAX_KEY: usize = 255;

/// Shortest key of a caller without a token. Such a caller is known by its key alone, so whoever guesses the key is
/// given its booking.
pub const MIN_ANONYMOUS_KEY: usize = 16;

/// A key as the caller sent it, unquoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The key in the headers; `None` where there is no such header.
    ///
    /// # Errors
    /// Where there is one that cannot be used.
    pub fn of(headers: &HeaderMap, caller: &Caller) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let invalid = |detail: String| {
            Err(Problem::new(Code::IdempotencyKeyInvalid, detail)
                .issue("Idempotency-Key:", Code::IdempotencyKeyInvalid.remedy()))
        };
        if values.next().is_some() {
            return invalid("The header is there more than once.".to_owned());
        }
        let Some(key) = unquote(value.as_bytes()) else {
            return invalid(format!(
                "A key has 1 to {MAX_KEY} printable ASCII characters, quoted or not."
            ));
        };
        if !caller.has_token() && key.len() < MIN_ANONYMOUS_KEY {
            return invalid(format!(
                "A caller without a token is known by its key alone, so the key must not be guessable: this one has {} \
                 characters, at least {MIN_ANONYMOUS_KEY} are needed. Draw a UUID.",
                key.len()
            ));
        }
        Ok(Some(Self(key)))
    }

    /// As [`Key::of`], where the operation moves money or capacity.
    ///
    /// # Errors
    /// Where there is none, or one that cannot be used.
    pub fn required(headers: &HeaderMap, caller: &Caller) -> Result<Self, Problem> {
        Self::of(headers, caller)?.ok_or_else(|| {
            Problem::new(
                Code::IdempotencyKeyRequired,
                "This operation must be safe to repeat. Send `Idempotency-Key: <a new UUID>`, and the same one on each retry.",
            )
            .issue("Idempotency-Key:", "the header is missing")
        })
    }

    /// The command's id within the venue's shard.
    #[must_use]
    pub fn command(&self, caller: &Caller, operation: &'static str, venue: VenueNo) -> CommandKey {
        let mut scope = Fingerprint::of("rotunda command key 2");
        scope
            .text(&caller.principal())
            .text(operation)
            .number(u64::from(venue.0));
        // Nobody who calls has a say in the scope, so a digest that is only quick will do. The key is the caller's own choice:
        // only of a cryptographic digest nobody can find two that meet. A scope's digest and a UUID fit into one block of it.
        let mut digest = Sha256::new();
        digest.update(scope.long().to_be_bytes());
        digest.update(self.0.as_bytes());
        let bytes: [u8; 32] = digest.finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&bytes[..16]);
        CommandKey(key)
    }
}

/// Printable ASCII, without the quotes that structured fields (RFC 8941) put around it.
fn unquote(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.trim_ascii();
    let inner = match bytes {
        [b'"', inner @ .., b'"'] => inner,
        [b'"', ..] => return None,
        plain => plain,
    };
    let quoted = inner.len() != bytes.len();
    // As nearly everybody's: nothing in it to look at more closely.
    let is_plain = |&byte: &u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if (1..=MAX_KEY).contains(&inner.len()) && inner.iter().all(is_plain) {
        return String::from_utf8(inner.to_vec()).ok();
    }
    let mut key = String::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(&byte) = rest.next() {
        let byte = match byte {
            b'\\' if quoted => *rest.next().filter(|next| matches!(next, b'"' | b'\\'))?,
            b'"' if quoted => return None,
            other => other,
        };
        if !(b' '..=b'~').contains(&byte) {
            return None;
        }
        key.push(char::from(byte));
    }
    (1..=MAX_KEY).contains(&key.len()).then_some(key)
}

/// A digest over parts, each with its length, so that no two lists of parts run together to the same bytes. It finds
/// mistakes and is no protection: whoever wants two requests with one fingerprint can make them, and deceives nobody else.
/// XXH3 is frozen: it is the same in every version of the library.
#[derive(Clone, Debug)]
pub struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// A digest for one purpose.
    #[must_use]
    pub fn of(purpose: &str) -> Self {
        let mut digest = Self(Vec::with_capacity(256));
        digest.text(purpose);
        digest
    }

    /// Takes in a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Takes in a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// In 128 bits.
    #[must_use]
    pub fn long(self) -> u128 {
        xxh3_128(&self.0)
    }

    /// In 64 bits.
    #[must_use]
    pub fn short(self) -> u64 {
        xxh3_64(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::auth::Credential;
    use rotunda_booking::command::Role;
    use rotunda_protocol::token::Holder;
    use std::net::IpAddr;

    fn caller(token: Option<&str>, address: &str) -> Caller {
        let credential = match token {
            Some(name) => Credential::Token {
                holder: std::sync::Arc::new(Holder {
                    name: name.into(),
                    role: Role::Counter,
                    network: None,
                    venues: Vec::new(),
                }),
                issued: false,
            },
            None => Credential::None,
        };
        Caller {
            address: address.parse::<IpAddr>().unwrap(),
            credential,
        }
    }

    fn key(text: &[u8], caller: &Caller) -> Result<Option<Key>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", http::HeaderValue::from_bytes(text).unwrap());
        Key::of(&headers, caller)
    }

    const UUID: &[u8] = b"0b6b0c1e-1111-4222-8333-123456789abc";

    #[test]
    fn quotes_are_not_part_of_the_key() {
        let shop = caller(Some("shop"), "203.0.113.1");
        assert_eq!(key(b"\"abc\"", &shop).unwrap(), key(b"abc", &shop).unwrap());
        assert_eq!(key(b"\"a\\\"b\\\\\"", &shop).unwrap(), Some(Key("a\"b\\".to_owned())));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let shop = caller(Some("shop"), "203.0.113.1");
        let long = vec![b'k'; 256];
        for wrong in [
            &b""[..],
            b"\"\"",
            b"\"abc",
            b"\"a\"b\"",
            b"\"a\\b\"",
            b"sch\xc3\xb6n",
            b"a\tb",
            &long,
        ] {
            let problem = key(wrong, &shop).unwrap_err();
            assert_eq!(problem.code(), Code::IdempotencyKeyInvalid, "{wrong:?}");
        }
        assert!(key(&vec![b'k'; 255], &shop).is_ok());
    }

    #[test]
    fn without_a_token_a_short_key_is_refused_with_the_reason() {
        let problem = key(b"order-17", &caller(None, "203.0.113.1")).unwrap_err();
        assert!(
            problem.detail().contains("known by its key alone"),
            "{}",
            problem.detail()
        );
        assert!(key(b"order-17", &caller(Some("shop"), "203.0.113.1")).is_ok());
    }

    #[test]
    fn a_phone_that_changes_networks_keeps_its_key() {
        let (home, train) = (caller(None, "203.0.113.1"), caller(None, "198.51.100.1"));
        let of = |caller: &Caller| key(UUID, caller).unwrap().unwrap().command(caller, "hold", VenueNo(1));
        assert_eq!(of(&home), of(&train));
    }

    #[test]
    fn callers_operations_and_venues_do_not_share_keys() {
        let (shop, kiosk) = (
            caller(Some("shop"), "203.0.113.1"),
            caller(Some("kiosk"), "203.0.113.1"),
        );
        let key = key(UUID, &shop).unwrap().unwrap();
        let base = key.command(&shop, "hold", VenueNo(1));
        assert_ne!(base, key.command(&kiosk, "hold", VenueNo(1)));
        assert_ne!(base, key.command(&shop, "confirm", VenueNo(1)));
        assert_ne!(base, key.command(&shop, "hold", VenueNo(2)));
    }

    #[test]
    fn a_token_named_like_a_stranger_is_no_stranger() {
        // `token:` stands before the name, so a token called `anonymous` does not share keys with callers without one.
        let (stranger, named) = (caller(None, "203.0.113.1"), caller(Some("anonymous"), "203.0.113.1"));
        let key = key(UUID, &stranger).unwrap().unwrap();
        assert_ne!(
            key.command(&stranger, "hold", VenueNo(1)),
            key.command(&named, "hold", VenueNo(1))
        );
    }

    #[test]
    fn parts_do_not_run_together() {
        let of = |parts: &[&str]| {
            let mut digest = Fingerprint::of("test");
            parts.iter().for_each(|part| {
                digest.text(part);
            });
            digest.short()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    }
}
