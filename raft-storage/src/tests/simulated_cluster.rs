//! Three replicas over simulated disks, under openraft and one paused clock: leaders lose their power, and the same seed
//! gives the same elections and the same bytes on every disk.

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::storage::RaftLogStorage;

use super::cluster::{Reachable, Replica, start, write};
use super::{GROUP, Place, Registers};
use crate::engine::sim::SimDisk;
use crate::runtime::seed_this_thread;
use crate::types::ReplicaNode;

/// What is to be seen of a replica: its term, whom it takes for the leader, how far it has applied.
type Glance = (u64, Option<u64>, Option<u64>);

struct Cluster {
    disks: BTreeMap<u64, SimDisk>,
    running: BTreeMap<u64, Replica>,
    reachable: Reachable,
    trace: Vec<Vec<Glance>>,
}

impl Cluster {
    async fn founded() -> Self {
        let mut cluster = Self {
            disks: BTreeMap::new(),
            running: BTreeMap::new(),
            reachable: Reachable::default(),
            trace: Vec::new(),
        };
        for id in 1..=3 {
            let disk = SimDisk::new();
            disk.set_sync_takes(Duration::from_millis(2));
            cluster.disks.insert(id, disk);
            cluster.start(id).await;
        }
        let members: BTreeMap<u64, ReplicaNode> = (1..=3).map(|id| (id, ReplicaNode { node: 1 })).collect();
        cluster.running[&1].raft.initialize(members).await.unwrap();
        cluster
    }

    async fn start(&mut self, id: u64) {
        let place = Place::Disk(self.disks[&id].clone());
        let replica = start(&place, id, &self.reachable).await;
        self.running.insert(id, replica);
    }

    /// The power of one fails, and its tasks are gone.
    async fn lose(&mut self, id: u64, choice: u64) {
        self.reachable.lock().remove(&id);
        self.disks[&id].lose_power(choice);
        let dead = self.running.remove(&id).unwrap();
        // Its storage fails while it ends, as it must.
        drop(dead.raft.shutdown().await);
    }

    /// Looks on until all that run agree on a leader that runs and have applied the same. Gives the leader.
    async fn settled(&mut self) -> u64 {
        loop {
            let glances: Vec<Glance> = self
                .running
                .values()
                .map(|replica| {
                    let metrics = replica.raft.metrics().borrow_watched().clone();
                    let applied = metrics.last_applied.map(|id| id.index);
                    (metrics.current_term, metrics.current_leader, applied)
                })
                .collect();
            self.trace.push(glances.clone());
            let (_, leader, _) = glances[0];
            if glances.iter().all(|glance| *glance == glances[0])
                && let Some(leader) = leader.filter(|leader| self.running.contains_key(leader))
            {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn life(seed: u64) -> (Vec<Vec<Glance>>, Vec<u64>) {
    let mut cluster = Cluster::founded().await;
    let mut digests = Vec::new();
    for round in 0..4 {
        let leader = cluster.settled().await;
        write(&cluster.running[&leader], 20).await;
        cluster.lose(leader, seed + round).await;
        let next = cluster.settled().await;
        write(&cluster.running[&next], 20).await;
        cluster.start(leader).await;
        cluster.settled().await;
        digests.extend(cluster.disks.values().map(SimDisk::digest));
        let hashes: Vec<_> = cluster
            .running
            .values()
            .map(|replica| replica.reader.view().unwrap().state_hash())
            .collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "replicas differ");
    }
    for disk in cluster.disks.values() {
        assert!(disk.exercised().slow_syncs > 0);
    }
    (cluster.trace, digests)
}

fn run(seed: u64) -> (Vec<Vec<Glance>>, Vec<u64>) {
    // Random numbers belong to a thread: one for each life.
    let lived = std::thread::spawn(move || {
        seed_this_thread(seed);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true);
        #[cfg(tokio_unstable)]
        runtime.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_be_bytes()));
        runtime.build().unwrap().block_on(life(seed))
    });
    lived.join().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_life() {
    let lives: Vec<_> = (0..5).map(run).collect();
    for (seed, lived) in (0..).zip(&lives) {
        assert_eq!(run(seed), *lived, "seed {seed}");
    }
    assert!(
        lives.iter().any(|lived| lived.0 != lives[0].0),
        "the seed changes nothing"
    );
}

/// One life with a follower whose disk only says that it syncs, until its power fails. Gives how many entries of its log were
/// gone; `None` where its start refused.
async fn forgetful(choice: u64) -> Option<u64> {
    let mut cluster = Cluster::founded().await;
    let leader = cluster.settled().await;
    let follower = cluster.running.keys().copied().find(|id| *id != leader).unwrap();
    write(&cluster.running[&leader], 20).await;
    cluster.settled().await;
    cluster.disks[&follower].set_lying_syncs(true);
    let last = write(&cluster.running[&leader], 20).await;
    cluster.settled().await;
    cluster.lose(follower, choice).await;
    cluster.disks[&follower].heal();

    let place = Place::Disk(cluster.disks[&follower].clone());
    let found = {
        let store = place.try_store(place.config()).await.ok()?;
        let mut group = store.open_group(GROUP, follower, Registers::default()).await.unwrap();
        group.log.get_log_state().await.unwrap().last_log_id
    };
    cluster.start(follower).await;
    // The leader is the same one, and remembers what the follower had acknowledged.
    assert_eq!(cluster.settled().await, leader);
    write(&cluster.running[&leader], 5).await;
    cluster.settled().await;
    let hashes: Vec<_> = cluster
        .running
        .values()
        .map(|replica| replica.reader.view().unwrap().state_hash())
        .collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "replicas differ");
    Some(last - found.map_or(0, |id| id.index))
}

#[tokio::test(start_paused = true)]
async fn a_follower_whose_log_went_back_unnoticed_is_filled_again() {
    let mut went_back = 0;
    for choice in 0..24 {
        // What it waits for comes, or the paused clock is soon there.
        let lived = tokio::time::timeout(Duration::from_secs(60), forgetful(choice)).await;
        let gone = lived.unwrap_or_else(|_| panic!("choice {choice}: the follower stays behind"));
        went_back += u64::from(gone.is_some_and(|gone| gone > 0));
    }
    assert!(went_back > 0, "no choice let the log go back");
}
