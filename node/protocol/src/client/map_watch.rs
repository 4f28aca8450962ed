//! Keeps the newest shard map: follows one node's stream of maps, and another's when that one goes silent, for ever.
//!
//! Maps only ever move forward: an older version than the one at hand is dropped, whoever sends it, and so is the map
//! of another cluster. A node's own copy may lag (it is cut off from the meta group, say), so whoever finds the map too
//! old calls [`MapWatch::newer_than`] or [`MapWatch::seek`], and the next node is asked.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::connection::{WINDOW_BYTES, admin_client};
use super::metrics::Metrics;
use super::retry::Backoff;
use crate::dial::{Callee, Dial};
use crate::proto::admin::WatchMapRequest;
use crate::shard_map::ShardMap;

/// Pause before the next node is asked: from the first to the second, growing while none answers.
const RECONNECT_MIN: Duration = Duration::from_millis(20);
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// How long a node may take to accept the watch.
const OPEN_TIMEOUT: Duration = Duration::from_secs(1);

/// A nudge moves on to another node only after the present one has been followed for so long: a map that was just
/// changed is on its way already.
const NUDGE_AFTER: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(crate) struct MapWatch {
    current: ArcSwap<ShardMap>,
    version: watch::Sender<u64>,
    nudge: Notify,
    metrics: Arc<Metrics>,
}

impl MapWatch {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            current: ArcSwap::from_pointee(ShardMap::default()),
            version: watch::Sender::new(0),
            nudge: Notify::new(),
            metrics,
        }
    }

    pub(crate) fn current(&self) -> Arc<ShardMap> {
        self.current.load_full()
    }

    /// True once a map has arrived.
    pub(crate) fn is_there(&self) -> bool {
        self.current.load().version() > 0
    }

    /// Sees each newer version; may skip some.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The map of this version has proved too old: says when there is a newer one, and asks another node for it.
    pub(crate) fn newer_than(&self, version: u64) -> NewerMap {
        self.nudge.notify_waiters();
        NewerMap {
            than: version,
            versions: Some(self.versions()),
        }
    }

    /// As [`MapWatch::until`], where such a map is known to exist: a node that does not tell it is left for another.
    pub(crate) async fn seek(&self, condition: impl Fn(&ShardMap) -> bool) -> Arc<ShardMap> {
        let mut found = pin!(self.until(condition));
        loop {
            match timeout(NUDGE_AFTER, &mut found).await {
                Ok(map) => return map,
                Err(_) => self.nudge.notify_waiters(),
            }
        }
    }

    /// Resolves when the map satisfies the condition.
    pub(crate) async fn until(&self, condition: impl Fn(&ShardMap) -> bool) -> Arc<ShardMap> {
        let mut versions = self.versions();
        loop {
            versions.mark_unchanged();
            let map = self.current();
            // The sender is a field of `self`, so the channel cannot close meanwhile.
            if condition(&map) || versions.changed().await.is_err() {
                return map;
            }
        }
    }

    /// Takes the map if it is newer; only the one task of [`follow`] publishes.
    ///
    /// # Errors
    /// Where it is another cluster's: whoever sent it is not to be followed.
    fn publish(&self, map: ShardMap) -> Result<(), String> {
        let current = self.current.load();
        if current.version() > 0 && current.cluster() != map.cluster() {
            tracing::error!(
                ours = current.cluster(),
                theirs = map.cluster(),
                "a node answers with the map of another cluster; check the addresses given as nodes"
            );
            return Err(format!("it is of the cluster {:?}", map.cluster()));
        }
        if map.version() <= current.version() {
            return Ok(());
        }
        let version = map.version();
        tracing::debug!(
            version,
            venues = map.venues().len(),
            shards = map.shards().len(),
            "new shard map"
        );
        #[expect(clippy::cast_precision_loss, reason = "a log index, far below 2^52")]
        self.metrics.map_version.set(version as f64);
        self.current.store(Arc::new(map));
        self.version.send_replace(version);
        Ok(())
    }
}

/// Waits for a map newer than the one that proved too old; by default for none, for ever.
#[derive(Debug, Default)]
pub(crate) struct NewerMap {
    than: u64,
    versions: Option<watch::Receiver<u64>>,
}

impl NewerMap {
    /// Resolves once, when there is such a map.
    pub(crate) async fn arrives(&mut self) {
        let Some(versions) = &mut self.versions else {
            return std::future::pending().await;
        };
        let than = self.than;
        let arrived = versions.wait_for(|version| *version > than).await.is_ok();
        self.versions = None;
        if !arrived {
            std::future::pending::<()>().await;
        }
    }
}

/// Follows the map for ever; dropped or aborted with the client.
pub(crate) async fn follow(watch: Arc<MapWatch>, dial: Arc<dyn Dial>, seeds: Vec<String>) {
    let mut turn: usize = fastrand::usize(..seeds.len().max(1));
    let mut backoff = Backoff::between(RECONNECT_MIN, RECONNECT_MAX);
    loop {
        let addresses = addresses(&watch.current(), &seeds);
        if let Some((node, address)) = addresses.get(turn % addresses.len().max(1)) {
            let since = Instant::now();
            let callee = Callee { address, node: *node };
            if let Err(error) = follow_one(&watch, &*dial, callee).await {
                tracing::debug!(address, error, "no shard map from this node");
            }
            // Followed for a while: it was a good node, and the next one deserves no less haste than this one did.
            if since.elapsed() > RECONNECT_MAX {
                backoff.reset();
            }
        }
        turn = turn.wrapping_add(1);
        tokio::time::sleep(backoff.next()).await;
    }
}

/// The nodes of the map, and the seeds that are not among them: after a move of all nodes these may be all that is left.
fn addresses(map: &ShardMap, seeds: &[String]) -> Vec<(Option<u32>, String)> {
    let nodes = map.nodes().iter();
    let mut addresses: Vec<_> = nodes.map(|node| (Some(node.id), node.grpc.clone())).collect();
    for seed in seeds {
        if addresses.iter().all(|(_, address)| address != seed) {
            addresses.push((None, seed.clone()));
        }
    }
    addresses
}

async fn follow_one(watch: &MapWatch, dial: &dyn Dial, callee: Callee<'_>) -> Result<(), String> {
    let open = async {
        let line = dial.line(callee, WINDOW_BYTES).map_err(|error| error.to_string())?;
        let request = WatchMapRequest {
            after_version: watch.current().version(),
        };
        let maps = admin_client(line)
            .watch_map(request)
            .await
            .map_err(|status| status.to_string())?;
        Ok::<_, String>(maps.into_inner())
    };
    let mut maps = timeout(OPEN_TIMEOUT, open)
        .await
        .map_err(|_| format!("no answer in {OPEN_TIMEOUT:?}"))??;
    let since = Instant::now();
    loop {
        tokio::select! {
            map = maps.message() => match map {
                Ok(Some(map)) => match ShardMap::try_from(map) {
                    Ok(map) => watch.publish(map)?,
                    Err(error) => return Err(error.to_string()),
                },
                Ok(None) => return Err("the stream has ended".to_owned()),
                Err(status) => return Err(status.to_string()),
            },
            () = watch.nudge.notified() => if since.elapsed() >= NUDGE_AFTER {
                return Ok(());
            },
        }
    }
}

#[cfg(test)]
mod tests;
