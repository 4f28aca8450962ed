//! Two looks at replicas that serve, so that damage is noticed before a visitor is: the pools of one venue after the other
//! are counted again ([`invariants`]), on every replica, and each leader holds the state hashes of the others against its own.
//!
//! Neither changes or stops anything: they count, and say in the log which row or replica it is. What an entry touches is
//! checked by apply, which ends the process.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::invariants::{self, Invariant, Violation};
use rotunda_booking::rows::RowsError;
use rotunda_metrics::node as names;
use rotunda_protocol::dial::{Callee, Dial};
use rotunda_protocol::proto::admin::admin_client::AdminClient;
use rotunda_protocol::proto::admin::{NodeStatus, ReplicaStatus, StatusRequest};
use tokio::sync::watch;

use crate::meta::map::MetaState;
use crate::raft::machine::ViewRows;
use crate::shards::{Shard, Shards};

/// A replica looks at one of its venues so often: some thousand rows, out of a snapshot.
const VENUE_EVERY: Duration = Duration::from_secs(10);

/// The replicas' hashes are compared so often.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// How long another node may take to say how it stands.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// Window of the connection on which it says so: some hundred bytes a replica.
const STATUS_WINDOW_BYTES: u32 = 64 << 10;

/// Runs for ever beside a shard's replica.
pub async fn pools(shard: Arc<Shard>) {
    let id = shard.group.id;
    for invariant in Invariant::ALL {
        violations(id, invariant, 0);
    }
    // All of them from the start, so that the first difference is an increase.
    for outcome in OUTCOMES {
        comparisons(id, outcome, 0);
    }
    let mut ticks = tokio::time::interval(VENUE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        ticks.tick().await;
        let looking = Arc::clone(&shard);
        match shard.blocking.run(move || look(&looking, last)).await {
            Ok(Ok((venue, found))) => {
                last = venue;
                for violation in found {
                    violations(id, violation.invariant, 1);
                    tracing::error!(
                        shard = id,
                        venue = last.map(|venue| venue.0),
                        invariant = violation.invariant.as_str(),
                        row = violation.row,
                        "an invariant does not hold on this replica: {}",
                        violation.detail
                    );
                }
            }
            Ok(Err(error)) => tracing::warn!(shard = id, %error, "the pools could not be looked at"),
            Err(error) => tracing::warn!(shard = id, %error, "the pools could not be looked at"),
        }
    }
}

fn violations(shard: u64, invariant: Invariant, count: u64) {
    counter!(names::INVARIANT_VIOLATIONS.name, "shard" => shard.to_string(), "kind" => invariant.as_str())
        .increment(count);
}

/// The venue after `last`, and what does not hold of it.
fn look(shard: &Shard, last: Option<VenueNo>) -> Result<(Option<VenueNo>, Vec<Violation>), RowsError> {
    let view = shard.group.reader.view();
    let view = view.map_err(|error| RowsError::Store(error.to_string()))?;
    let rows = ViewRows(&view);
    let venues = invariants::venues(&rows)?;
    let next = venues.iter().find(|venue| last.is_none_or(|last| **venue > last));
    // Round again.
    let venue = next.or(venues.first()).copied();
    let mut found: Vec<Violation> = invariants::of_reserve(&rows)?.into_iter().collect();
    if let Some(venue) = venue {
        found.extend(invariants::of_venue(&rows, venue)?);
    }
    Ok((venue, found))
}

/// Runs for ever beside a node's shards: those that are led here are compared.
pub async fn replicas(node: u32, shards: Shards, map: watch::Receiver<MetaState>, dial: Arc<dyn Dial>) {
    let mut ticks = tokio::time::interval(COMPARE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let others: Vec<(u32, String)> = {
            let map = map.borrow();
            let others = map.nodes.values().filter(|other| other.id != node);
            others.map(|other| (other.id, other.grpc.clone())).collect()
        };
        for (other, address) in others {
            let Some(status) = status(&*dial, Callee::node(other, &address)).await else {
                continue; // Others say that it is gone.
            };
            for theirs in &status.replicas {
                let Some(shard) = shards.get(theirs.shard) else {
                    continue;
                };
                if !shard.group.leadership.leads() {
                    continue;
                }
                let same = compared(&shard.group.status(shard.epoch), theirs);
                count(theirs.shard, same);
                if same == Some(false) {
                    tracing::error!(
                        shard = theirs.shard,
                        index = theirs.applied,
                        node = other,
                        "two replicas have applied the same log and have other rows: that of this node and that of the other"
                    );
                }
            }
        }
    }
}

async fn status(dial: &dyn Dial, callee: Callee<'_>) -> Option<NodeStatus> {
    let asked = async {
        let line = dial.line(callee, STATUS_WINDOW_BYTES).ok()?;
        Some(AdminClient::new(line).status(StatusRequest {}).await.ok()?.into_inner())
    };
    tokio::time::timeout(STATUS_TIMEOUT, asked).await.ok().flatten()
}

/// Whether two replicas have the same rows; `None` where they are not at the same index, so that nobody can tell.
fn compared(ours: &ReplicaStatus, theirs: &ReplicaStatus) -> Option<bool> {
    (ours.applied == theirs.applied && ours.applied > 0).then(|| ours.state_hash == theirs.state_hash)
}

/// What a comparison comes to.
const OUTCOMES: [&str; 3] = ["same", "different", "not_at_one_index"];

fn count(shard: u64, same: Option<bool>) {
    let outcome = match same {
        Some(true) => OUTCOMES[0],
        Some(false) => OUTCOMES[1],
        None => OUTCOMES[2],
    };
    comparisons(shard, outcome, 1);
}

fn comparisons(shard: u64, outcome: &'static str, count: u64) {
    counter!(names::REPLICAS_COMPARED.name, "shard" => shard.to_string(), "outcome" => outcome).increment(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(applied: u64, hash: u8) -> ReplicaStatus {
        ReplicaStatus {
            applied,
            state_hash: vec![hash; 16].into(),
            ..ReplicaStatus::default()
        }
    }

    #[test]
    fn only_replicas_at_one_index_can_differ() {
        assert_eq!(compared(&at(7, 1), &at(7, 1)), Some(true));
        assert_eq!(compared(&at(7, 1), &at(7, 2)), Some(false));
        assert_eq!(compared(&at(7, 1), &at(8, 2)), None);
        assert_eq!(compared(&at(0, 0), &at(0, 1)), None);
    }
}
