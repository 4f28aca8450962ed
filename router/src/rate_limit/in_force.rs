//! Which quotas count: those of the settings, and over them the cluster's.

use std::sync::Arc;

use rotunda_protocol::limits::ClusterLimits;
use serde::Serialize;
use utoipa::ToSchema;

use super::{LimitSetting, Quota, Read, VenueLimitSetting, read};
use crate::config::Config;

/// What the settings say of quotas.
#[derive(Clone, Debug)]
pub struct QuotaSettings {
    pub(super) rate_limit: Quota,
    pub(super) rate_limit_token: Quota,
    pub(super) rate_limit_loopback: Quota,
    pub(super) rate_limit_venue: Quota,
    limit: Vec<LimitSetting>,
    venue_limit: Vec<VenueLimitSetting>,
}

impl From<&Config> for QuotaSettings {
    fn from(config: &Config) -> Self {
        Self {
            rate_limit: config.rate_limit,
            rate_limit_token: config.rate_limit_token,
            rate_limit_loopback: config.rate_limit_loopback,
            rate_limit_venue: config.rate_limit_venue,
            limit: config.limit.clone(),
            venue_limit: config.venue_limit.clone(),
        }
    }
}

/// Where a quota comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// The settings of this router.
    Settings,
    /// The cluster: it is the same on every router.
    Cluster,
}

/// The quotas that count.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What counts where nothing else does.
    pub(crate) general: QuotaSettings,
    pub(super) callers: Vec<(LimitSetting, Origin)>,
    pub(super) venues: Vec<(VenueLimitSetting, Origin)>,
    pub(crate) cluster: Arc<ClusterLimits>,
}

impl InForce {
    /// Both together. What this router cannot read of the cluster's is for newer ones.
    pub(super) fn of(settings: &QuotaSettings, cluster: &Arc<ClusterLimits>) -> Self {
        let mut callers: Vec<(LimitSetting, Origin)> = Vec::new();
        let mut venues: Vec<(VenueLimitSetting, Origin)> = Vec::new();
        for limit in &cluster.limits {
            match read(limit) {
                Ok(Read::Callers(setting)) => callers.push((setting, Origin::Cluster)),
                Ok(Read::Venue(setting)) => venues.push((setting, Origin::Cluster)),
                Err((member, error)) => {
                    tracing::warn!(
                        ?limit,
                        member,
                        error,
                        "a quota of the cluster cannot be read here and does not count"
                    );
                }
            }
        }
        for setting in &settings.limit {
            if !callers.iter().any(|(known, _)| known.is_like(setting)) {
                callers.push((setting.clone(), Origin::Settings));
            }
        }
        for setting in &settings.venue_limit {
            if !venues.iter().any(|(known, _)| known.venue == setting.venue) {
                venues.push((setting.clone(), Origin::Settings));
            }
        }
        Self {
            general: settings.clone(),
            callers,
            venues,
            cluster: cluster.clone(),
        }
    }

    /// For people.
    pub(crate) fn shown(&self) -> Shown {
        let callers = self.callers.iter().map(|(setting, origin)| ShownLimit {
            role: setting.role.map(String::from),
            routes: setting.routes.map(|class| class.as_str().to_owned()),
            venue: None,
            quota: setting.quota.into(),
            origin: *origin,
        });
        let venues = self.venues.iter().map(|(setting, origin)| ShownLimit {
            role: None,
            routes: None,
            venue: Some(setting.venue.clone()),
            quota: setting.quota.into(),
            origin: *origin,
        });
        let set = self.cluster.set.as_ref();
        Shown {
            rate_limit: self.general.rate_limit.into(),
            rate_limit_token: self.general.rate_limit_token.into(),
            rate_limit_loopback: self.general.rate_limit_loopback.into(),
            rate_limit_venue: self.general.rate_limit_venue.into(),
            limits: callers.chain(venues).collect(),
            set_by: set.map(|mark| mark.by.clone()),
            set_from: set.and_then(|mark| mark.from.clone()),
            set_at: set.map(|mark| mark.at.to_rfc3339(0)),
        }
    }
}

/// The quotas in force at this router. Of those that fit a request the most exact one counts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
pub(crate) struct Shown {
    /// Of everybody without a token, by address.
    #[schema(example = "20/2s")]
    rate_limit: String,
    /// Of each token.
    rate_limit_token: String,
    /// Of callers on the router's own machine without a token.
    rate_limit_loopback: String,
    /// Of each venue, for all callers together.
    rate_limit_venue: String,
    /// Those in the place of the general ones.
    limits: Vec<ShownLimit>,
    /// Name of the token with which the cluster's quotas were last set; null where nobody ever has.
    set_by: Option<String>,
    /// Address from which they were.
    set_from: Option<String>,
    /// When, by the time of day at the leader of the meta group, in UTC.
    set_at: Option<String>,
}

/// One quota.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitInForce)]
pub(crate) struct ShownLimit {
    /// Whose; everybody's where it is null.
    #[schema(example = "visitor")]
    role: Option<String>,
    /// For what; for everything where it is null.
    #[schema(example = "hold")]
    routes: Option<String>,
    /// Of which venue, for all callers together; then the two above are null.
    venue: Option<String>,
    /// So many requests in so long, or `off`.
    #[schema(example = "5/1s")]
    quota: String,
    /// Where it comes from.
    origin: Origin,
}
