//! What a test waits for: that shards are led, that the router is ready, that replicas agree.

use super::{ASK, Cluster, http};
use crate::wait;

/// Entries that a replica under load may be behind and still count as caught up.
const LEVEL: u64 = 100;

impl Cluster {
    /// Waits until every shard has a leader.
    ///
    /// # Panics
    /// Where that does not come true, or a process ends by itself.
    pub async fn until_led(&mut self) {
        let shards = self.shards;
        wait::until("a leader for every shard", async || {
            self.check_processes();
            let mut led = std::collections::BTreeSet::new();
            for (_, status) in self.statuses().await {
                led.extend(
                    status
                        .replicas
                        .iter()
                        .filter(|replica| replica.role == "leader")
                        .map(|replica| replica.shard),
                );
            }
            led.remove(&0);
            if led.len() as u64 >= shards {
                Ok(())
            } else {
                Err(format!("{} of {shards}: {led:?}", led.len()))
            }
        })
        .await;
    }

    /// Waits until the router says that it is ready.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn until_router_ready(&mut self) {
        wait::until("a ready router", async || {
            self.check_processes();
            let answer = http()
                .get(format!("{}/readyz?verbose", self.router_admin()))
                .timeout(ASK)
                .send()
                .await;
            match answer {
                Ok(response) if response.status().is_success() => Ok(()),
                Ok(response) => Err(format!(
                    "{}: {}",
                    response.status(),
                    response.text().await.unwrap_or_default()
                )),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Waits until all replicas of every shard have applied the same index and hold the same state.
    ///
    /// # Panics
    /// Where they do not get there.
    pub async fn until_settled(&mut self) {
        let shards = self.shards();
        wait::until("equal state on all replicas of every shard", async || {
            self.check_processes();
            for shard in &shards {
                let wanted = self.client.map().shard(*shard).map_or(0, |info| info.replicas.len());
                let replicas = self.replicas_of(*shard).await;
                let first = replicas
                    .first()
                    .map(|(_, replica)| (replica.applied, replica.state_hash));
                let equal = replicas
                    .iter()
                    .all(|(_, replica)| Some((replica.applied, replica.state_hash)) == first);
                // A leader that has just taken over has entries to commit yet: what was acknowledged may be among them.
                let leader = replicas.iter().find(|(_, replica)| replica.role == "leader");
                let led = leader.is_some_and(|(_, leader)| leader.applied == leader.last_log);
                if replicas.len() != wanted || !equal || !led {
                    let shown: Vec<String> = replicas
                        .iter()
                        .map(|(node, r)| {
                            format!(
                                "node {node}: {} applied {} of {} hash {:02x?}",
                                r.role, r.applied, r.last_log, r.state_hash
                            )
                        })
                        .collect();
                    return Err(format!("shard {shard}: {}", shown.join(", ")));
                }
            }
            Ok(())
        })
        .await;
    }

    /// Waits until a node that was started is a good replica again: it says that it is ready, and no replica of it is far
    /// behind its leader. Under load it is never quite level.
    ///
    /// # Panics
    /// Where it does not get there.
    pub async fn until_caught_up(&mut self, node: u32) {
        wait::until(&format!("node {node} to catch up"), async || {
            self.check_processes();
            self.is_caught_up(node).await
        })
        .await;
    }

    /// Looks once whether a node is a good replica: see [`Cluster::until_caught_up`].
    ///
    /// # Errors
    /// Where it is not, with what is lacking.
    pub async fn is_caught_up(&self, node: u32) -> Result<(), String> {
        let url = format!("http://{}/readyz?verbose", self.admin(node));
        let answer = http()
            .get(url)
            .timeout(ASK)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(answer.text().await.unwrap_or_default());
        }
        let statuses = self.statuses().await;
        let newest = |shard: u64| {
            let replicas = statuses.iter().flat_map(|(_, status)| &status.replicas);
            replicas
                .filter(|replica| replica.shard == shard)
                .map(|replica| replica.applied)
                .max()
                .unwrap_or(0)
        };
        let (_, own) = statuses
            .iter()
            .find(|(id, _)| *id == node)
            .ok_or("it does not answer")?;
        match own
            .replicas
            .iter()
            .find(|replica| newest(replica.shard) > replica.applied + LEVEL)
        {
            Some(late) => Err(format!(
                "shard {}: {} of {}",
                late.shard,
                late.applied,
                newest(late.shard)
            )),
            None => Ok(()),
        }
    }
}
