//! All leadership of a node at once: given away before it stops, and when an operator drains it. A node that has retired takes
//! none any more, and serves on: its replicas follow, and calls that come here are sent to who leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use rotunda_raft_storage::scope;
use tokio::time::Instant;

use crate::meta::controller::Meta;
use crate::shards::Shards;

/// How long leaders may take to be handed over before a node stops all the same.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a node that has retired looks whether it has been made a leader again.
const HANDOVER_INTERVAL: Duration = Duration::from_millis(50);

/// Leaders that are handed over at once.
const HANDOVERS_AT_ONCE: usize = 4;

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Leaderships {
    meta: Arc<Meta>,
    shards: Shards,
    draining: Arc<AtomicBool>,
}

impl Leaderships {
    /// Of these groups.
    #[must_use]
    pub fn new(meta: Arc<Meta>, shards: Shards) -> Self {
        Self {
            meta,
            shards,
            draining: Arc::default(),
        }
    }

    /// True between [`Leaderships::drain`] and [`Leaderships::resume`].
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Groups that this node leads, the meta group among them.
    #[must_use]
    pub fn held(&self) -> usize {
        let shards = self.shards.all();
        let led = shards.iter().filter(|shard| shard.group.leadership.leads()).count();
        led + usize::from(self.meta.group.leadership.leads())
    }

    /// May this node stand for election? Its peers may still hand it leadership.
    pub fn allow(&self, elections: bool) {
        let elections = elections && !self.is_draining();
        self.meta.group.raft.runtime_config().elect(elections);
        for shard in self.shards.all() {
            shard.group.raft.runtime_config().elect(elections);
        }
    }

    /// Gives all of it away until [`Leaderships::resume`]; also what peers that are drained themselves hand to this node.
    /// Answers when there is none left, or it takes too long: it goes on all the same.
    pub async fn drain(&self) {
        let begins = !self.draining.swap(true, Ordering::AcqRel);
        self.allow(false);
        self.give_away().await;
        if begins {
            let own = self.clone();
            scope::spawn(async move {
                while own.is_draining() {
                    tokio::time::sleep(HANDOVER_INTERVAL).await;
                    if own.held() > 0 {
                        own.give_away().await;
                    }
                }
            });
        }
    }

    /// Leadership is taken again, as it comes; `elections` is what the clock says.
    pub fn resume(&self, elections: bool) {
        self.draining.store(false, Ordering::Release);
        self.allow(elections);
    }

    /// Gives it away once, as far as the others take it.
    pub async fn offer_once(&self) {
        self.meta.group.give_leadership_away().await;
        for shard in self.shards.all() {
            shard.group.give_leadership_away().await;
        }
    }

    /// Gives every led group to another replica, as long as that goes well; a lone node has nobody to give it to.
    pub async fn give_away(&self) {
        let deadline = Instant::now() + HANDOVER_TIMEOUT;
        loop {
            let led: Vec<_> = self
                .shards
                .all()
                .into_iter()
                .filter(|shard| shard.group.leadership.leads())
                .collect();
            let meta_led = self.meta.group.leadership.leads();
            if led.is_empty() && !meta_led {
                return;
            }
            if Instant::now() > deadline {
                tracing::warn!(shards = led.len(), "some leadership could not be handed over");
                return;
            }
            if meta_led {
                self.meta.group.give_leadership_away().await;
            }
            futures::stream::iter(led)
                .for_each_concurrent(HANDOVERS_AT_ONCE, |shard| async move {
                    shard.group.give_leadership_away().await;
                })
                .await;
            tokio::time::sleep(HANDOVER_INTERVAL).await;
        }
    }
}
