//! Quotas: how much one caller may ask for, and how much may be asked of one venue.
//!
//! A token has its own quota, everybody else is counted by address. The stack runs [`spend`] after `auth::identify` and
//! before anything has an effect, so a limited request changes nothing; [`crate::api`] runs [`spend_at`] before it goes to
//! the venue's shard. Of the quotas that fit a request the most exact one counts, and no other: that of its role and class
//! of routes, of its role, of its class, the general one. Callers on this machine without a token have one of their own.
//! Written on governor directly: `tower_governor` sends outdated headers and believes forged ones. Answers carry
//! `RateLimit-Policy` and `RateLimit`; 429 is a quota, never our overload (that is 503, see `stack`).
//!
//! Quotas stand in the router's settings, which SIGHUP has read anew, and in the cluster, for all routers alike: where both say
//! something of the same callers, routes or venue, the cluster's counts. [`in_force`] puts them together. Whenever one of
//! them changes, those that are the same go on with what callers have spent. Left out: counts that routers share; each
//! counts for itself.

mod bucket;
pub(crate) mod in_force;
mod quota;
mod setting;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};
use rotunda_booking::command::Role;
use rotunda_protocol::limits::ClusterLimits;
use rotunda_protocol::shard_map::VenueInfo;

pub(crate) use bucket::network_of;
use bucket::{Decision, Key, Limit, whole_seconds};

use crate::access::{RouteClass, Rule};
use crate::api::error::{Code, Problem};
use crate::auth::Caller;
use crate::metrics::QuotaKind;
use crate::server::Door;

use in_force::Origin;
pub use in_force::{InForce, QuotaSettings};
pub use quota::Quota;
pub use setting::{LimitSetting, LimitedRole, VenueLimitSetting};
pub(crate) use setting::{Read, check, read};

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
    token: Option<Arc<Limit>>,
    loopback: Option<Arc<Limit>>,
    address: Option<Arc<Limit>>,
    /// By role, then by class.
    cells: Vec<[Cell; RouteClass::ALL.len()]>,
    venue: Option<Arc<Limit>>,
    venues: HashMap<String, Option<Arc<Limit>>>,
    /// All of them, by what they are for.
    made: HashMap<String, Arc<Limit>>,
    in_force: InForce,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

/// Makes quotas, out of those before where they are the same: who has spent of one has spent it still.
struct Maker<'a> {
    before: Option<&'a Limits>,
    made: HashMap<String, Arc<Limit>>,
}

impl Maker<'_> {
    /// The quota that is for `what`, and that headers call so.
    fn make(&mut self, what: String, name: &str, quota: Quota, most: usize) -> Option<Arc<Limit>> {
        let before = self.before.and_then(|before| before.made.get(&what));
        let limit = match before.filter(|before| before.go_on(quota, most)) {
            Some(before) => before.clone(),
            None => Arc::new(Limit::new(name, quota, most)?),
        };
        self.made.insert(what, limit.clone());
        Some(limit)
    }
}

impl Limits {
    /// The quotas of these settings and the cluster's, in the place of those before.
    #[must_use]
    pub fn new(settings: &QuotaSettings, cluster: &Arc<ClusterLimits>, before: Option<&Self>) -> Self {
        let in_force = InForce::of(settings, cluster);
        let mut maker = Maker {
            before,
            made: HashMap::new(),
        };
        // All tables together keep to the bound, whatever is configured.
        let most = MAX_CALLERS / (in_force.callers.len() + 2);
        let mut cells = vec![[const { Cell::General }; RouteClass::ALL.len()]; Role::ALL.len()];
        // The most exact last, over the others.
        let mut callers: Vec<&(LimitSetting, Origin)> = in_force.callers.iter().collect();
        callers.sort_by_key(|(setting, _)| setting.exactness());
        for (setting, origin) in callers {
            let name = setting.name();
            let limit = maker.make(format!("callers:{name}"), &name, setting.quota, most);
            for role in Role::ALL {
                for class in RouteClass::ALL {
                    // Whoever has set it must be able to take it back.
                    let is_way_back = *origin == Origin::Cluster && class == RouteClass::Admin;
                    if setting.is_of(*role, class) && !is_way_back {
                        cells[*role as usize][class as usize] = Cell::Own(limit.clone());
                    }
                }
            }
        }
        let mut general = |what: &str, quota| maker.make(what.to_owned(), "burst", quota, most);
        let token = general("token", settings.rate_limit_token);
        let loopback = general("loopback", settings.rate_limit_loopback);
        let address = general("address", settings.rate_limit);
        let venue = maker.make("venue".to_owned(), "venue", settings.rate_limit_venue, MAX_CALLERS);
        let mut venues = HashMap::new();
        for setting in in_force.venues.iter().map(|(setting, _)| setting) {
            let what = format!("venue:{}", setting.venue);
            let limit = maker.make(what, "venue", setting.quota, MAX_CALLERS);
            venues.insert(setting.venue.clone(), limit);
        }
        Self {
            token,
            loopback,
            address,
            cells,
            venue,
            venues,
            made: maker.made,
            in_force,
        }
    }

    /// What they were made of.
    pub(crate) fn in_force(&self) -> &InForce {
        &self.in_force
    }

    fn of(&self, caller: &Caller, class: RouteClass) -> Option<&Limit> {
        if !caller.has_token() && caller.address.is_loopback() {
            return self.loopback.as_deref();
        }
        match &self.cells[caller.role() as usize][class as usize] {
            Cell::Own(limit) => limit.as_deref(),
            Cell::General if caller.has_token() => self.token.as_deref(),
            Cell::General => self.address.as_deref(),
        }
    }

    fn at(&self, slug: &str) -> Option<&Limit> {
        match self.venues.get(slug) {
            Some(limit) => limit.as_deref(),
            None => self.venue.as_deref(),
        }
    }

    /// True where some venue has a quota.
    pub(crate) fn has_venues(&self) -> bool {
        self.venue.is_some() || !self.venues.is_empty()
    }

    /// Forgets callers whose quota is whole again. Called every second.
    pub fn tidy(&self) {
        self.made.values().for_each(|limit| limit.tidy());
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
