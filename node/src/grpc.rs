//! The node's gRPC doors: visitors' commands and queries, the peers' Raft messages, the cluster's own affairs, and who may call
//! which ([`admission`]). Here
//! protobuf becomes domain types; of what lies behind, only peers, the map and status keep generated ones.

pub mod admin;
pub mod admission;
mod backup;
pub mod booking;
pub mod incoming;
pub mod joining;
mod members;
pub mod news;
pub mod raft;

use tokio::sync::watch;

/// Ends the streams that would otherwise last as long as their callers: a node that stops waits for no one's next call.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// The switch and what it ends.
    #[must_use]
    pub fn channel() -> (watch::Sender<bool>, Self) {
        let (switch, stop) = watch::channel(false);
        (switch, Self(stop))
    }

    /// Ready once the switch is set.
    pub async fn stopped(mut self) {
        // An error means that the switch is gone, which is a stop as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}
