//! Tokens as the meta group keeps them, in a row of their own, and the rules by which they are issued and revoked.
//!
//! Both rules answer with a [`TokenOutcome`] and are idempotent by their content, for the client repeats what it had no
//! answer to. A name is never used again: it scopes idempotency keys and stands in audit lines.

use std::collections::BTreeMap;

use rotunda_protocol::proto::admin as proto;
use rotunda_protocol::token::{MAX_TOKEN_NAMES, MAX_TOKENS, TokenOutcome};
use serde::{Deserialize, Serialize};

use super::command::TokenGrant;
use super::networks::Networks;

/// All tokens that were ever issued, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens(BTreeMap<String, TokenRecord>);

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TokenRecord {
    role: u8,
    venues: Vec<String>,
    digest: [u8; 32],
    created: MarkRecord,
    revoked: Option<MarkRecord>,
}

/// Who did it, and the time of day at the proposer, in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MarkRecord {
    by: String,
    at: i64,
}

impl Tokens {
    /// True before the first is issued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Issues a token; true where something changed.
    pub(super) fn create(&mut self, grant: TokenGrant) -> (TokenOutcome, bool) {
        if let Some(known) = self.0.get(&grant.name) {
            let is_repeated = known.revoked.is_none()
                && (known.digest, known.role, &known.venues) == (grant.digest, grant.role, &grant.venues);
            let outcome = if is_repeated {
                TokenOutcome::Done
            } else {
                TokenOutcome::NameTaken
            };
            return (outcome, false);
        }
        if self.0.len() >= MAX_TOKEN_NAMES {
            return (TokenOutcome::NamesUsedUp, false);
        }
        if self.0.values().filter(|token| token.revoked.is_none()).count() >= MAX_TOKENS {
            return (TokenOutcome::TooMany, false);
        }
        let TokenGrant {
            name,
            role,
            venues,
            digest,
            by,
            at,
        } = grant;
        let record = TokenRecord {
            role,
            venues,
            digest,
            created: MarkRecord { by, at },
            revoked: None,
        };
        self.0.insert(name, record);
        (TokenOutcome::Done, true)
    }

    /// Takes a token back; true where something changed. Whoever was first stays the one who did it.
    pub(super) fn revoke(&mut self, name: &str, by: String, at: i64) -> (TokenOutcome, bool) {
        match self.0.get_mut(name) {
            None => (TokenOutcome::Unknown, false),
            Some(TokenRecord { revoked: Some(_), .. }) => (TokenOutcome::Done, false),
            Some(token) => {
                token.revoked = Some(MarkRecord { by, at });
                token.venues = Vec::new();
                (TokenOutcome::Done, true)
            }
        }
    }

    /// As nodes and routers get them. The digest of a revoked one stays here.
    #[must_use]
    pub fn to_proto(&self, networks: &Networks) -> Vec<proto::Token> {
        let shown = self.0.iter().map(|(name, token)| {
            let revoked = token.revoked.as_ref();
            proto::Token {
                name: name.clone(),
                role: u32::from(token.role),
                venues: token.venues.clone(),
                digest: match revoked {
                    None => bytes::Bytes::copy_from_slice(&token.digest),
                    Some(_) => bytes::Bytes::new(),
                },
                created_by: token.created.by.clone(),
                created_at: token.created.at,
                revoked_by: revoked.map_or_else(String::new, |mark| mark.by.clone()),
                revoked_at: revoked.map_or(0, |mark| mark.at),
                network: networks.of_token(name).unwrap_or_default().to_owned(),
            }
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(name: &str, secret: u8) -> TokenGrant {
        TokenGrant {
            name: name.to_owned(),
            role: 3,
            venues: vec!["lisbon-tides".to_owned()],
            digest: [secret; 32],
            by: "admin".to_owned(),
            at: 1_000,
        }
    }

    #[test]
    fn a_repeated_request_changes_nothing_and_another_one_finds_the_name_taken() {
        let mut tokens = Tokens::default();
        assert_eq!(tokens.create(grant("gate-1", 7)), (TokenOutcome::Done, true));
        assert_eq!(tokens.create(grant("gate-1", 7)), (TokenOutcome::Done, false));
        assert_eq!(tokens.create(grant("gate-1", 8)), (TokenOutcome::NameTaken, false));
    }

    #[test]
    fn the_name_of_a_revoked_token_is_never_used_again() {
        let mut tokens = Tokens::default();
        tokens.create(grant("gate-1", 7));
        assert_eq!(
            tokens.revoke("gate-1", "anna".to_owned(), 2_000),
            (TokenOutcome::Done, true)
        );
        assert_eq!(
            tokens.revoke("gate-1", "bert".to_owned(), 3_000),
            (TokenOutcome::Done, false)
        );
        assert_eq!(tokens.create(grant("gate-1", 7)), (TokenOutcome::NameTaken, false));
        let shown = tokens.to_proto(&Networks::default());
        assert_eq!((shown[0].revoked_by.as_str(), shown[0].revoked_at), ("anna", 2_000));
        assert!(shown[0].digest.is_empty());
        assert_eq!(
            tokens.revoke("gate-2", "anna".to_owned(), 1),
            (TokenOutcome::Unknown, false)
        );
    }

    #[test]
    fn tokens_and_names_are_bounded() {
        let mut tokens = Tokens::default();
        for n in 0..MAX_TOKENS {
            assert_eq!(tokens.create(grant(&format!("t{n}"), 1)).0, TokenOutcome::Done);
        }
        assert_eq!(tokens.create(grant("more", 1)), (TokenOutcome::TooMany, false));
        tokens.revoke("t0", "admin".to_owned(), 1);
        assert_eq!(tokens.create(grant("more", 1)), (TokenOutcome::Done, true));
        for n in MAX_TOKENS + 1..MAX_TOKEN_NAMES {
            tokens.revoke("more", "admin".to_owned(), 1);
            tokens.revoke(&format!("u{}", n - 1), "admin".to_owned(), 1);
            assert_eq!(tokens.create(grant(&format!("u{n}"), 1)).0, TokenOutcome::Done, "{n}");
        }
        tokens.revoke("t1", "admin".to_owned(), 1);
        assert_eq!(tokens.create(grant("last", 1)), (TokenOutcome::NamesUsedUp, false));
    }
}
