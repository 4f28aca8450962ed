//! Tokens as the cluster keeps them: who holds one, what it is good for, and the digest of its secret.
//!
//! The meta group issues and revokes them. They travel with the shard map, so a router knows of a revocation as soon as of
//! any other change of the map. The secret itself is in no log and on no disk: the router that drew it answers it once.

use std::sync::Arc;

use rotunda_booking::command::Role;
use rotunda_booking::time::Timestamp;

/// Tokens that are good at one time, in a cluster. One more is refused: revoke one.
pub const MAX_TOKENS: usize = 1_024;

/// Tokens that a cluster issues in its life: names are never used again, so those of revoked tokens are kept. One more is
/// refused.
pub const MAX_TOKEN_NAMES: usize = 8_192;

/// Venues that one token may be bound to. With it and the two above, the tokens of a map stay below 2 MiB.
pub const MAX_TOKEN_VENUES: usize = 16;

/// Who a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Names the caller in logs, in audit lines, and in the scope of its idempotency keys.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// The network that it is bound to: it is good for that network's venues and no others.
    pub network: Option<Arc<str>>,
    /// Ids of the venues that it is bound to; all venues where there is none. Of a revoked token they are not kept.
    pub venues: Vec<String>,
}

impl Holder {
    /// Good for every venue of the cluster.
    #[must_use]
    pub fn is_unbound(&self) -> bool {
        self.venues.is_empty() && self.network.is_none()
    }

    /// Good for every venue of its network, or of the cluster.
    #[must_use]
    pub fn has_all_venues(&self) -> bool {
        self.venues.is_empty()
    }

    /// Good for this network; `None` is that of venues which belong to none.
    #[must_use]
    pub fn is_of(&self, network: Option<&str>) -> bool {
        self.network.is_none() || self.network.as_deref() == network
    }

    /// Good for this venue, of this network.
    #[must_use]
    pub fn is_good_at(&self, venue: &str, network: Option<&str>) -> bool {
        self.is_of(network) && (self.venues.is_empty() || self.venues.iter().any(|known| known == venue))
    }
}

/// Somebody did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Name of the token that it was done with.
    pub by: String,
    /// Address that it was done from; `None` where it was done before addresses were kept.
    pub from: Option<String>,
    /// The meta leader's time of day.
    pub at: Timestamp,
}

impl Mark {
    /// Out of the one text that it is kept as, [`author`]'s.
    #[must_use]
    pub fn read(author: &str, at: Timestamp) -> Self {
        let (by, from) = match author.split_once(' ') {
            Some((by, from)) => (by, Some(from.to_owned())),
            None => (author, None),
        };
        Self {
            by: by.to_owned(),
            from,
            at,
        }
    }

    /// Who did it, as it is kept.
    #[must_use]
    pub fn author(&self) -> String {
        author(&self.by, self.from.as_deref())
    }
}

/// The holder of the token of this name, and the address he asks from, as one text: a name has no spaces.
#[must_use]
pub fn author(by: &str, from: Option<&str>) -> String {
    match from {
        Some(from) => format!("{by} {from}"),
        None => by.to_owned(),
    }
}

/// A token of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Whom it stands for.
    pub holder: Arc<Holder>,
    /// SHA-256 of the secret; `None` once revoked.
    pub digest: Option<[u8; 32]>,
    /// Who issued it, and when.
    pub created: Mark,
    /// Who revoked it, and when.
    pub revoked: Option<Mark>,
}

/// A token to be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Never used before.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The network that it is to be good for; `None` for all of them.
    pub network: Option<String>,
    /// Ids of venues; all where there is none.
    pub venues: Vec<String>,
    /// SHA-256 of the secret.
    pub digest: [u8; 32],
    /// Who asks for it: [`author`]'s.
    pub by: String,
}

/// What came of issuing or revoking. The numbers are part of the wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TokenOutcome {
    /// It is so now. To issue the same token again, or to revoke it again, changes nothing.
    Done = 0,
    /// There is, or was, a token of this name.
    NameTaken = 1,
    /// [`MAX_TOKENS`] are good.
    TooMany = 2,
    /// [`MAX_TOKEN_NAMES`] were issued.
    NamesUsedUp = 3,
    /// There is no token of this name.
    Unknown = 4,
}

impl TokenOutcome {
    /// The outcome of this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Done,
            1 => Self::NameTaken,
            2 => Self::TooMany,
            3 => Self::NamesUsedUp,
            4 => Self::Unknown,
            _ => return None,
        })
    }
}

/// The role of this number, as it is stored and sent.
#[must_use]
pub fn role_from_number(number: u32) -> Option<Role> {
    Role::ALL.iter().copied().find(|role| *role as u32 == number)
}
