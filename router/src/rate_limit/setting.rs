//! `[[limit]]` and `[[venue_limit]]` of the settings, and the cluster's own, which are written in the same terms.

use std::collections::BTreeSet;

use rotunda_booking::command::Role;
use rotunda_protocol::limits::ClusterLimit;
use serde::{Deserialize, Serialize};

use super::Quota;
use crate::access::RouteClass;

/// Venues with a quota of their own.
const MAX_VENUE_LIMITS: usize = 1_024;

/// A quota in place of the general one, for a role, a class of routes, or both.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSetting {
    /// Whose; everybody's where it is left out.
    pub role: Option<LimitedRole>,
    /// For what; for everything where it is left out.
    pub routes: Option<RouteClass>,
    /// How much.
    pub quota: Quota,
}

/// A venue's quota, in place of that of every venue.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VenueLimitSetting {
    /// Its id.
    pub venue: String,
    /// How much may be asked of it, by all callers together.
    pub quota: Quota,
}

/// A role as settings name it: `visitor` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct LimitedRole(pub Role);

impl TryFrom<String> for LimitedRole {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let role = Role::ALL.iter().find(|role| role.as_str() == text);
        role.map(|role| Self(*role)).ok_or_else(|| {
            let all: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
            format!("`{text}` is no role; there are: {}", all.join(", "))
        })
    }
}

impl From<LimitedRole> for String {
    fn from(role: LimitedRole) -> Self {
        role.0.as_str().to_owned()
    }
}

impl LimitSetting {
    /// Of two that fit a request, the higher one counts.
    pub(super) fn exactness(&self) -> u8 {
        2 * u8::from(self.role.is_some()) + u8::from(self.routes.is_some())
    }

    /// It is for the same callers and routes.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.role == other.role && self.routes == other.routes
    }

    pub(super) fn is_of(&self, role: Role, class: RouteClass) -> bool {
        self.role.is_none_or(|own| own.0 == role) && self.routes.is_none_or(|own| own == class)
    }

    /// As headers call it: `visitor-hold`.
    pub(super) fn name(&self) -> String {
        match (self.role, self.routes) {
            (Some(role), Some(class)) => format!("{}-{}", role.0.as_str(), class.as_str()),
            (Some(role), None) => role.0.as_str().to_owned(),
            (None, Some(class)) => class.as_str().to_owned(),
            (None, None) => "burst".to_owned(),
        }
    }
}

/// A quota of the cluster, read.
pub(crate) enum Read {
    /// Of callers.
    Callers(LimitSetting),
    /// Of a venue.
    Venue(VenueLimitSetting),
}

/// What a quota of the cluster says.
///
/// # Errors
/// Which of its members cannot be read, and why.
pub(crate) fn read(limit: &ClusterLimit) -> Result<Read, (&'static str, String)> {
    let quota: Quota = limit.quota.parse().map_err(|error| ("quota", error))?;
    let role = match limit.role.as_str() {
        "" => None,
        role => Some(LimitedRole::try_from(role.to_owned()).map_err(|error| ("role", error))?),
    };
    let routes = match limit.routes.as_str() {
        "" => None,
        routes => Some(class_of(routes).map_err(|error| ("routes", error))?),
    };
    if routes == Some(RouteClass::Admin) {
        let detail =
            "only operators run the cluster, and a quota of the cluster must not keep them from taking it back";
        return Err(("routes", detail.to_owned()));
    }
    match (limit.venue.as_str(), role, routes) {
        ("", None, None) => Err((
            "role",
            "a quota is of a role, of a class of routes, or of a venue".to_owned(),
        )),
        ("", role, routes) => Ok(Read::Callers(LimitSetting { role, routes, quota })),
        (venue, None, None) => Ok(Read::Venue(VenueLimitSetting {
            venue: venue.to_owned(),
            quota,
        })),
        _ => Err((
            "venue",
            "a venue's quota is of all callers together: leave out `role` and `routes`".to_owned(),
        )),
    }
}

fn class_of(text: &str) -> Result<RouteClass, String> {
    let class = RouteClass::ALL.iter().find(|class| class.as_str() == text);
    class.copied().ok_or_else(|| {
        let all: Vec<&str> = RouteClass::ALL.iter().map(|class| class.as_str()).collect();
        format!("`{text}` is no class of routes; there are: {}", all.join(", "))
    })
}

/// What is wrong with these: where it stands in a file, as `limit[1]`, and in words.
pub(crate) fn check(limits: &[LimitSetting], venues: &[VenueLimitSetting]) -> Result<(), (String, String)> {
    let mut names = BTreeSet::new();
    for (index, limit) in limits.iter().enumerate() {
        let wrong = |problem: String| Err((format!("limit[{index}]"), problem));
        if limit.exactness() == 0 {
            return wrong(
                "a [[limit]] needs `role`, `routes` or both; the general quotas are rate_limit and rate_limit_token"
                    .to_owned(),
            );
        }
        if !names.insert(limit.name()) {
            return wrong(format!(
                "two [[limit]] are for `{}`; leave one of them out",
                limit.name()
            ));
        }
    }
    let mut slugs = BTreeSet::new();
    for (index, limit) in venues.iter().enumerate() {
        let wrong = |problem: String| Err((format!("venue_limit[{index}]"), problem));
        if index >= MAX_VENUE_LIMITS {
            return wrong(format!(
                "at most {MAX_VENUE_LIMITS} venues can have a quota of their own"
            ));
        }
        if !slugs.insert(&limit.venue) {
            return wrong(format!(
                "two [[venue_limit]] are for `{}`; leave one of them out",
                limit.venue
            ));
        }
    }
    Ok(())
}
