//! Quotas: how much one caller may ask for, and how much may be asked of one venue.
//!
//! A token has its own quota, everybody else is counted by address. The stack runs [`spend`] after `auth::identify` and
//! before anything has an effect, so a limited request changes nothing; [`crate::api`] runs [`spend_at`] before it goes to
//! the venue's shard. Of the quotas that fit a request the most exact one counts, and no other: that of its role and class
//! of routes, of its role, of its class, the general one. Callers on this machine without a token have one of their own.
//! Written on governor directly: `tower_governor` sends outdated headers and believes forged ones. Answers carry
//! `RateLimit-Policy` and `RateLimit`; 429 is a quota, never our overload (that is 503, see `stack`).
//!
//! SIGHUP has the settings read anew, and the quotas put in the place of the old ones as a whole. The admin port's `/limits`
//! shows which are in force. Left out: quotas that routers share; each counts for itself.

mod bucket;
mod quota;
mod setting;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};
use rotunda_booking::command::Role;
use rotunda_protocol::shard_map::VenueInfo;
use serde::Serialize;

pub(crate) use bucket::network_of;
use bucket::{Decision, Key, Limit, whole_seconds};

use crate::access::{RouteClass, Rule};
use crate::api::error::{Code, Problem};
use crate::auth::Caller;
use crate::config::Config;
use crate::metrics::QuotaKind;
use crate::server::Door;

pub use quota::Quota;
pub(crate) use setting::check;
pub use setting::{LimitSetting, LimitedRole, VenueLimitSetting};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Callers counted one by one over all quotas, to within a tenth. Beyond it callers share buckets until [`Limits::tidy`] has
/// made room: a flood of addresses costs strangers some of their quota, never our memory.
const MAX_CALLERS: usize = 100_000;

/// The quota of a role and a class of routes.
#[derive(Clone)]
enum Cell {
    /// The general one.
    General,
    /// Its own; none where there is no limit.
    Own(Option<Arc<Limit>>),
}

/// The quotas of the door.
pub struct Limits {
    token: Option<Limit>,
    loopback: Option<Limit>,
    address: Option<Limit>,
    /// By role, then by class.
    cells: Vec<[Cell; RouteClass::ALL.len()]>,
    own: Vec<Arc<Limit>>,
    venue: Option<Limit>,
    venues: HashMap<String, Option<Limit>>,
    in_force: InForce,
}

/// The settings that quotas are made of, under their names in the file.
#[derive(Clone, Debug, Serialize)]
pub struct InForce {
    rate_limit: Quota,
    rate_limit_token: Quota,
    rate_limit_loopback: Quota,
    rate_limit_venue: Quota,
    limit: Vec<LimitSetting>,
    venue_limit: Vec<VenueLimitSetting>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Limits {
    /// The quotas of these settings.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        // All tables together keep to the bound, whatever is configured.
        let most = MAX_CALLERS / (config.limit.len() + 2);
        let mut cells = vec![[const { Cell::General }; RouteClass::ALL.len()]; Role::ALL.len()];
        let mut own = Vec::new();
        // The most exact last, over the others.
        let mut settings: Vec<&LimitSetting> = config.limit.iter().collect();
        settings.sort_by_key(|setting| setting.exactness());
        for setting in settings {
            let limit = Limit::new(&setting.name(), setting.quota, most).map(Arc::new);
            own.extend(limit.clone());
            for role in Role::ALL {
                for class in RouteClass::ALL {
                    if setting.is_of(*role, class) {
                        cells[*role as usize][class as usize] = Cell::Own(limit.clone());
                    }
                }
            }
        }
        let at = |quota| Limit::new("venue", quota, MAX_CALLERS);
        Self {
            token: Limit::new("burst", config.rate_limit_token, most),
            loopback: Limit::new("burst", config.rate_limit_loopback, most),
            address: Limit::new("burst", config.rate_limit, most),
            cells,
            own,
            venue: at(config.rate_limit_venue),
            venues: config
                .venue_limit
                .iter()
                .map(|setting| (setting.venue.clone(), at(setting.quota)))
                .collect(),
            in_force: InForce {
                rate_limit: config.rate_limit,
                rate_limit_token: config.rate_limit_token,
                rate_limit_loopback: config.rate_limit_loopback,
                rate_limit_venue: config.rate_limit_venue,
                limit: config.limit.clone(),
                venue_limit: config.venue_limit.clone(),
            },
        }
    }

    /// What they were made of.
    pub(crate) fn in_force(&self) -> &InForce {
        &self.in_force
    }

    fn of(&self, caller: &Caller, class: RouteClass) -> Option<&Limit> {
        if !caller.has_token() && caller.address.is_loopback() {
            return self.loopback.as_ref();
        }
        match &self.cells[caller.role() as usize][class as usize] {
            Cell::Own(limit) => limit.as_deref(),
            Cell::General if caller.has_token() => self.token.as_ref(),
            Cell::General => self.address.as_ref(),
        }
    }

    fn at(&self, slug: &str) -> Option<&Limit> {
        match self.venues.get(slug) {
            Some(limit) => limit.as_ref(),
            None => self.venue.as_ref(),
        }
    }

    /// True where some venue has a quota.
    pub(crate) fn has_venues(&self) -> bool {
        self.venue.is_some() || !self.venues.is_empty()
    }

    /// Forgets callers whose quota is whole again. Called every second.
    pub fn tidy(&self) {
        let general = [&self.token, &self.loopback, &self.address, &self.venue];
        let limits = general.into_iter().flatten();
        for limit in limits.chain(self.own.iter().map(AsRef::as_ref)) {
            limit.tidy();
        }
    }
}

/// What is left of a caller's quota after a request.
pub(crate) struct Quoted {
    policy: HeaderValue,
    state: HeaderValue,
}

impl Quoted {
    /// Writes it into the answer's head, unless it speaks of another quota already.
    pub(crate) fn show(self, response: &mut Response) {
        let headers = response.headers_mut();
        if !headers.contains_key(POLICY) {
            headers.insert(POLICY, self.policy);
            headers.insert(STATE, self.state);
        }
    }
}

/// Spends one request of the caller's quota, where it has one, or refuses.
pub(crate) fn spend(door: &Door, caller: &Caller, rule: Option<Rule>) -> Result<Option<Quoted>, Problem> {
    // Whoever asks for what is not there, looks.
    let class = rule.map_or(RouteClass::Look, |rule| rule.class);
    let limits = door.limits.load();
    let Some(limit) = limits.of(caller, class) else {
        return Ok(None);
    };
    match limit.spend(&limit.key(caller)) {
        Decision::Go { left, full_in } => Ok(Some(Quoted {
            policy: limit.policy.clone(),
            state: limit.state(left, full_in),
        })),
        Decision::Wait(wait) => {
            door.metrics.rate_limited(QuotaKind::Caller, caller.role(), class);
            let seconds = whole_seconds(wait);
            let detail =
                format!("Your quota is used up. Send the request again in {seconds} s; this one had no effect.");
            Err(limited(Code::RateLimited, detail, limit, wait))
        }
    }
}

/// Spends one request of the venue's quota, where it has one, or refuses. A crowd at the web shop must not close the gates,
/// nor keep the operator out.
pub(crate) fn spend_at(door: &Door, caller: &Caller, rule: Rule, venue: &VenueInfo) -> Result<(), Problem> {
    if matches!(rule.class, RouteClass::Admit | RouteClass::Admin) {
        return Ok(());
    }
    let limits = door.limits.load();
    let Some(limit) = limits.at(&venue.slug) else {
        return Ok(());
    };
    match limit.spend(&Key::Venue(venue.number)) {
        Decision::Go { .. } => Ok(()),
        Decision::Wait(wait) => {
            door.metrics.rate_limited(QuotaKind::Venue, caller.role(), rule.class);
            let detail = format!(
                "`{}` is asked for more than its quota. Send the request again in {} s.",
                venue.slug,
                whole_seconds(wait)
            );
            Err(limited(Code::VenueRateLimited, detail, limit, wait))
        }
    }
}

fn limited(code: Code, detail: String, limit: &Limit, wait: Duration) -> Problem {
    Problem::new(code, detail)
        .header(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)))
        .header(POLICY, limit.policy.clone())
        .header(STATE, limit.state(0, wait))
}
