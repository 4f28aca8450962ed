//! `[[limit]]` and `[[venue_limit]]` of the settings.

use std::collections::BTreeSet;

use rotunda_booking::command::Role;
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
