//! Which network a venue belongs to, and which one a token is good for: in a row of their own, for both were there before
//! networks were.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Networks {
    /// By venue id.
    venues: BTreeMap<String, String>,
    /// By name of the token, of revoked ones too: who may revoke it again is asked again.
    tokens: BTreeMap<String, String>,
}

impl Networks {
    /// True before the first is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.venues.is_empty() && self.tokens.is_empty()
    }

    /// That of a venue; `None` where it was imported before they were kept.
    #[must_use]
    pub fn of_venue(&self, slug: &str) -> Option<&str> {
        self.venues.get(slug).map(String::as_str)
    }

    /// That of a token.
    #[must_use]
    pub fn of_token(&self, name: &str) -> Option<&str> {
        self.tokens.get(name).map(String::as_str)
    }

    /// True where none of the venues belongs to another one.
    pub(super) fn may_have(&self, network: &str, slugs: &[String]) -> bool {
        slugs
            .iter()
            .all(|slug| self.of_venue(slug).is_none_or(|known| known == network))
    }

    /// A venue belongs to it from now on; true where that is new.
    pub(super) fn put_venue(&mut self, slug: &str, network: &str) -> bool {
        let before = self.venues.insert(slug.to_owned(), network.to_owned());
        before.as_deref() != Some(network)
    }

    pub(super) fn put_token(&mut self, name: &str, network: &str) {
        self.tokens.insert(name.to_owned(), network.to_owned());
    }
}
