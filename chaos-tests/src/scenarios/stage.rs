//! What a scenario's schedule is written with: break, mend, and wait until something has been sold, led or caught up.
//! Conditions are waited for, never time, but where the point of a fault is that it lasts.

use std::time::{Duration, Instant};

use super::fault::Fault;
use super::nemesis::Nemesis;
use crate::history::Recorder;
use crate::selling::Offer;
use crate::wait::{self, PATIENCE};

/// See the module.
pub(super) struct Stage {
    pub(super) nemesis: Nemesis,
    pub(super) recorder: Recorder,
    pub(super) hot: Offer,
    pub(super) shard: u64,
    /// Which time the cycle runs, from 0.
    pub(super) cycle: u32,
    /// From a fault to the next booking that was asked for after it.
    pub(super) failovers: Vec<Duration>,
    /// What is worth telling at the end.
    pub(super) remarks: Vec<String>,
    began: Instant,
}

impl Stage {
    pub(super) fn new(nemesis: Nemesis, recorder: Recorder, hot: Offer, shard: u64) -> Self {
        Stage {
            nemesis,
            recorder,
            hot,
            shard,
            cycle: 0,
            failovers: Vec::new(),
            remarks: Vec::new(),
            began: Instant::now(),
        }
    }

    /// Breaks something. [`Stage::next_booking`] counts from here.
    pub(super) async fn begin(&mut self, fault: Fault) -> Result<u64, String> {
        self.began = Instant::now();
        self.recorder.watch(&self.hot.venue, self.began);
        self.nemesis.begin(fault).await
    }

    /// Mends it.
    pub(super) async fn end(&mut self, id: u64) -> Result<(), String> {
        self.nemesis.end(id).await
    }

    /// Waits for the first booking at the hot venue that was asked for since the last fault began, and keeps the time.
    pub(super) async fn next_booking(&mut self) -> Result<(), String> {
        let recorder = &self.recorder;
        let took = wait::within("a booking asked for after the fault", PATIENCE, async || {
            recorder.watched().ok_or_else(|| "none".to_owned())
        });
        let took = took.await?;
        self.failovers.push(took);
        Ok(())
    }

    /// Waits until so many more holds of the hot venue are acknowledged.
    pub(super) async fn sell(&self, more: u64) -> Result<(), String> {
        let venue = Some(self.hot.venue.as_str());
        let before = self.recorder.sold(venue);
        wait::within(
            &format!("{more} more holds at {}", self.hot.venue),
            PATIENCE,
            async || {
                let sold = self.recorder.sold(venue) - before;
                if sold >= more {
                    Ok(())
                } else {
                    Err(format!("{sold} since {} s", self.began.elapsed().as_secs()))
                }
            },
        )
        .await
    }

    /// Lets a fault last: its point is that it does.
    pub(super) async fn last(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// The node that leads the hot venue's shard.
    pub(super) async fn leader(&mut self) -> Result<u32, String> {
        let shard = self.shard;
        let cluster = &self.nemesis.cluster;
        wait::within(&format!("a leader of shard {shard}"), PATIENCE, async || {
            let replicas = cluster.replicas_of(shard).await;
            let leaders = replicas.into_iter().filter(|(_, replica)| replica.role == "leader");
            let newest = leaders.max_by_key(|(_, replica)| replica.term);
            newest
                .map(|(node, _)| node)
                .ok_or_else(|| "nobody says that it leads".to_owned())
        })
        .await
    }

    /// A node that does not lead that shard.
    pub(super) async fn follower(&mut self) -> Result<u32, String> {
        let leader = self.leader().await?;
        let mut others = self.nemesis.cluster.nodes().into_iter().filter(|node| *node != leader);
        others.next().ok_or_else(|| "there is one node only".to_owned())
    }

    /// Waits until a node is a good replica again: ready, and on no shard far behind the others.
    pub(super) async fn caught_up(&mut self, node: u32) -> Result<(), String> {
        let cluster = &self.nemesis.cluster;
        wait::within(&format!("node {node} to catch up"), PATIENCE, async || {
            cluster.is_caught_up(node).await
        })
        .await
    }

    /// Waits until every node is.
    pub(super) async fn all_caught_up(&mut self) -> Result<(), String> {
        for node in self.nemesis.cluster.nodes() {
            self.caught_up(node).await?;
        }
        Ok(())
    }

    /// Waits until a node has ended by itself, by a fault that is on.
    pub(super) async fn ended(&mut self, node: u32, by: u64) -> Result<(), String> {
        let nemesis = &mut self.nemesis;
        wait::within(&format!("node {node} to end"), PATIENCE, async || {
            if nemesis.reap().contains(&node) {
                Ok(())
            } else {
                Err("it runs".to_owned())
            }
        })
        .await?;
        self.nemesis.felt(by);
        Ok(())
    }
}
