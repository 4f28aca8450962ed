//! Quotas as the cluster keeps them, for all routers alike. They stand in the terms of a router's settings and are read there:
//! nodes keep their text. They travel with the shard map, as tokens do.

use crate::token::Mark;

/// Quotas that a cluster keeps. A router counts callers for each of them, so there must not be many.
pub const MAX_LIMITS: usize = 256;

/// Bytes of each text of a quota.
pub const MAX_LIMIT_TEXT: usize = 64;

/// One quota.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterLimit {
    /// Of whom; everybody's where it is empty.
    pub role: String,
    /// For which class of routes; for everything where it is empty.
    pub routes: String,
    /// Of a venue, for all callers together; then the two above are empty.
    pub venue: String,
    /// `100/10s`, or `off`.
    pub quota: String,
}

impl ClusterLimit {
    /// None of its texts is longer than it may be.
    #[must_use]
    pub fn is_short(&self) -> bool {
        let Self {
            role,
            routes,
            venue,
            quota,
        } = self;
        [role, routes, venue, quota]
            .iter()
            .all(|text| text.len() <= MAX_LIMIT_TEXT)
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterLimits {
    /// In the order in which they were given.
    pub limits: Vec<ClusterLimit>,
    /// Who set them, and when; `None` where nobody ever has.
    pub set: Option<Mark>,
}
