//! Random histories of one replica, over RocksDB and over a simulated disk, beside a plain model: what was acknowledged is
//! there, after each step, after a reopening, and after a crash in the middle of a step. Over RocksDB a crash is a reopening
//! (`crash` kills real processes); without crashes both engines must show the same at each step.

mod model;

use std::time::Duration;

use futures::StreamExt;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use openraft::vote::{RaftLeaderId, leader_id_adv::LeaderId};
use openraft::{RaftLogReader, RaftSnapshotBuilder};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use self::model::{Act, Model, Shown, next};
use super::{GROUP, Place, REPLICA, Registers, append, apply, entry, id, rows};
use crate::engine::sim::{Exercised, SimDisk};
use crate::snapshot::SnapshotData;
use crate::store::{Group, Store};
use crate::types::{SnapshotMeta, Vote};

/// One step. Numbers are turned into indexes by what is there when it is taken.
#[derive(Debug, Clone)]
enum Step {
    Vote,
    Append(u64),
    /// Removes up to so many of the entries that are not applied.
    Truncate(u64),
    Apply(u64),
    /// Removes up to so many of the entries that are applied.
    Purge(u64),
    Flush,
    /// A snapshot is taken and read.
    Build,
    /// A peer's snapshot, so far ahead of the log, is installed, and the log is purged up to it.
    Install(u64),
    Epoch,
    Reopen,
    Crash(Crash),
}

#[derive(Debug, Clone)]
struct Crash {
    /// In the middle of which step.
    during: Box<Step>,
    /// How long the step had before the crash.
    after: Duration,
    /// Whether the power fails, or only the process is killed.
    power: bool,
    /// Whether the step's task is torn down before, as when a runtime ends, and what it has queued goes on.
    dropped_first: bool,
    choice: u64,
}

impl Crash {
    fn strike(&self, disk: &SimDisk) {
        if self.power {
            disk.lose_power(self.choice);
        } else {
            disk.kill(self.choice);
        }
    }
}

/// How long a sync takes: several fit into the longest time before a crash, and none into the shortest.
const SYNC: Duration = Duration::from_millis(3);

fn quiet_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Vote),
        6 => (1..8_u64).prop_map(Step::Append),
        2 => (1..6_u64).prop_map(Step::Truncate),
        5 => (1..12_u64).prop_map(Step::Apply),
        2 => (1..12_u64).prop_map(Step::Purge),
        2 => Just(Step::Flush),
        1 => Just(Step::Build),
        1 => (1..40_u64).prop_map(Step::Install),
        1 => Just(Step::Epoch),
    ]
}

fn calm_step() -> impl Strategy<Value = Step> {
    prop_oneof![8 => quiet_step(), 1 => Just(Step::Reopen)]
}

fn stormy_step() -> impl Strategy<Value = Step> {
    let crash = (quiet_step(), 0..10_u64, any::<bool>(), any::<bool>(), any::<u64>()).prop_map(
        |(during, after, power, dropped_first, choice)| Crash {
            during: Box::new(during),
            after: Duration::from_millis(after),
            power,
            dropped_first,
            choice,
        },
    );
    prop_oneof![6 => calm_step(), 2 => crash.prop_map(Step::Crash)]
}

/// A replica that lives through a history.
struct Subject {
    place: Place,
    open: Option<(Store, Group<Registers>)>,
    model: Model,
}

/// What is wrong, with what was expected.
type Verdict<T> = Result<T, String>;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Verdict<()> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}

/// The state after `index`, from another store, as a peer would send it.
async fn peers_snapshot(term: u64, index: u64) -> (SnapshotMeta, SnapshotData) {
    let (_store, mut peer) = Place::disk().open().await;
    let entries = (index.saturating_sub(15)..=index).map(|index| entry(term, index));
    apply(&mut peer, entries).await.unwrap();
    let mut builder = peer.machine.get_snapshot_builder().await;
    let snapshot = builder.build_snapshot().await.unwrap();
    (snapshot.meta, snapshot.snapshot)
}

async fn shown(store: &Store, group: &mut Group<Registers>) -> Shown {
    let state = group.log.get_log_state().await.unwrap();
    let mut reader = group.log.get_log_reader().await;
    let entries = reader.try_get_log_entries(..).await.unwrap();
    let view = group.reader.view().unwrap();
    for found in &entries {
        let id = found.log_id;
        assert_eq!(*found, entry(id.leader_id.term, id.index), "an entry is another one");
    }
    Shown {
        vote: reader.read_vote().await.unwrap().map_or(0, |vote| vote.leader_id.term),
        epoch: store.descriptors()[&GROUP].epoch,
        log: entries
            .iter()
            .map(|entry| (entry.log_id.index, entry.log_id.leader_id.term))
            .collect(),
        purged: state.last_purged_log_id.map(|id| id.index),
        last: state.last_log_id.map(|id| id.index),
        applied: view.applied_index(),
        rows: rows(&view),
    }
}

/// Takes the step; done when all of it is acknowledged.
async fn act(store: &Store, group: &mut Group<Registers>, model: &Model, act: &Act) -> std::io::Result<()> {
    match act {
        Act::Vote(term) => {
            let vote = Vote {
                leader_id: LeaderId::new(*term, REPLICA),
                committed: true,
            };
            group.log.save_vote(&vote).await
        }
        Act::Append(range) => {
            append(group, range.clone().map(|index| entry(model.vote, index))).await;
            Ok(())
        }
        Act::Truncate(from) => {
            let last = from.checked_sub(1).map(|last| id(model.term_at(last), last));
            group.log.truncate_after(last).await
        }
        Act::Apply(range) => {
            let mut reader = group.log.get_log_reader().await;
            let entries = reader.try_get_log_entries(range.clone()).await?;
            apply(group, entries).await
        }
        Act::Purge(upto) => group.log.purge(id(model.term_at(*upto), *upto)).await,
        Act::Flush => store.flush().await,
        Act::Build => {
            let snapshot = group.machine.get_snapshot_builder().await.build_snapshot().await?;
            let chunks: Vec<_> = snapshot.snapshot.chunks().collect().await;
            assert!(chunks.iter().all(Result::is_ok));
            assert_eq!(snapshot.meta.last_log_id.map(|id| id.index), model.applied);
            Ok(())
        }
        Act::Install(index) => {
            let (meta, data) = peers_snapshot(model.vote, *index).await;
            group.machine.install_snapshot(&meta, data).await?;
            group.log.purge(id(model.vote, *index)).await
        }
        Act::Epoch(epoch) => store.put_epoch(GROUP, *epoch).await,
    }
}

impl Subject {
    async fn new(place: Place) -> Self {
        let open = place.open().await;
        Self {
            place,
            open: Some(open),
            model: Model::default(),
        }
    }

    async fn take(&mut self, step: &Step) -> Verdict<()> {
        match step {
            Step::Reopen => {
                drop(self.open.take());
                self.reopen(vec![self.model.clone()]).await
            }
            Step::Crash(crash) => self.crash(crash).await,
            quiet => {
                let Some(planned) = self.model.resolve(quiet) else {
                    return Ok(());
                };
                self.done(&planned).await
            }
        }
    }

    async fn done(&mut self, planned: &Act) -> Verdict<()> {
        let (store, group) = self.open.as_mut().unwrap();
        let acted = act(store, group, &self.model, planned).await;
        acted.map_err(|error| format!("{planned:?}: {error}"))?;
        self.model = self.model.after(planned).pop().unwrap();
        same("after the step", &shown(store, group).await, &self.model.shown())
    }

    async fn crash(&mut self, crash: &Crash) -> Verdict<()> {
        let Place::Disk(disk) = self.place.clone() else {
            drop(self.open.take());
            return self.reopen(vec![self.model.clone()]).await;
        };
        let (store, mut group) = self.open.take().unwrap();
        let before = self.model.clone();
        let mut possible = vec![before.clone()];
        let Some(planned) = before.resolve(&crash.during) else {
            crash.strike(&disk);
            return self.reopen(possible).await;
        };
        let mut acting = Box::pin(act(&store, &mut group, &before, &planned));
        let after = before.after(&planned);
        tokio::select! {
            biased;
            done = &mut acting => {
                done.map_err(|error| format!("{planned:?}: {error}"))?;
                possible = after.into_iter().rev().take(1).collect();
            }
            () = tokio::time::sleep(crash.after) => possible.extend(after),
        }
        if crash.dropped_first {
            drop(acting);
            crash.strike(&disk);
            return self.reopen(possible).await;
        }
        crash.strike(&disk);
        // The dead node's parts are still there, and whatever they do must not be seen.
        let new = self.reopen(possible).await;
        drop(acting);
        new
    }

    /// Opens again, and looks whether it is one of what it may be.
    async fn reopen(&mut self, possible: Vec<Model>) -> Verdict<()> {
        let store = self.place.try_store(self.place.config()).await;
        let store = store.map_err(|error| format!("does not start: {error}"))?;
        let group = store.open_group(GROUP, REPLICA, Registers::default()).await;
        let mut group = group.map_err(|error| format!("does not start: {error}"))?;
        let found = shown(&store, &mut group).await;
        let fits = |model: &&Model| {
            // Rows that were not flushed may be gone, or not.
            let applied = (model.durable..=model.applied).contains(&found.applied);
            let as_applied = Model {
                applied: found.applied,
                ..(*model).clone()
            };
            applied && found == as_applied.shown()
        };
        let Some(model) = possible.iter().find(fits) else {
            return Err(format!(
                "after a new start: found {found:?}, expected one of {possible:?}"
            ));
        };
        // What openraft does at a start: covers a hole between log and state, then replays what was answered.
        self.model = Model {
            applied: found.applied,
            durable: found.applied,
            ..model.clone()
        };
        let answered = model.applied;
        self.open = Some((store, group));
        if self.model.last() < self.model.applied
            && let Some(applied) = self.model.applied
        {
            self.done(&Act::Purge(applied)).await?;
        }
        if next(self.model.applied) < next(answered) {
            self.done(&Act::Apply(next(self.model.applied)..next(answered))).await?;
        }
        Ok(())
    }
}

/// Runs a history, and gives what was to be seen after each step.
async fn live(place: Place, history: &[Step]) -> Verdict<Vec<Shown>> {
    let mut subject = Subject::new(place).await;
    let mut seen = Vec::new();
    for (number, step) in history.iter().enumerate() {
        let taken = subject.take(step).await;
        taken.map_err(|wrong| format!("step {number}, {step:?}: {wrong}"))?;
        seen.push(subject.model.shown());
    }
    Ok(seen)
}

/// On a runtime of its own whose clock goes on by itself when everybody waits.
fn simulated<T>(life: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(life)
}

fn slow_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.set_sync_takes(SYNC);
    disk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_survives_simulated_crashes(history in prop::collection::vec(stormy_step(), 1..60)) {
        let lived = simulated(live(Place::Disk(slow_disk()), &history));
        prop_assert!(lived.is_ok(), "{}", lived.unwrap_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rocksdb_and_the_simulated_disk_show_the_same(history in prop::collection::vec(calm_step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let real = runtime.block_on(live(Place::dir(), &history));
        let simulated = simulated(live(Place::Disk(slow_disk()), &history));
        prop_assert!(real.is_ok(), "{}", real.unwrap_err());
        prop_assert_eq!(real, simulated);
    }
}

/// Histories like those above, the same in every run.
fn fixed_histories() -> impl Iterator<Item = Vec<Step>> {
    let mut runner = TestRunner::deterministic();
    let histories = prop::collection::vec(stormy_step(), 1..60);
    (0..100).map(move |_| histories.new_tree(&mut runner).unwrap().current())
}

/// What never happens proves nothing.
#[test]
fn the_histories_lose_all_that_can_be_lost() {
    let lost: Vec<_> = fixed_histories()
        .map(|history| {
            let disk = slow_disk();
            simulated(live(Place::Disk(disk.clone()), &history)).unwrap();
            disk.exercised()
        })
        .collect();
    let total = |count: fn(&Exercised) -> u64| lost.iter().map(count).sum::<u64>();
    for (what, times) in [
        ("power", total(|disk| disk.power_losses)),
        ("processes", total(|disk| disk.kills)),
        ("batches of the log", total(|disk| disk.log_batches_lost)),
        ("torn batches", total(|disk| disk.torn_tails)),
        (
            "nothing although it was not synced",
            total(|disk| disk.log_batches_kept),
        ),
        ("rows", total(|disk| disk.state_batches_lost)),
        ("marks", total(|disk| disk.mark_writes_lost)),
    ] {
        assert!(times > 0, "no history lost {what}");
    }
}

/// A disk that says it has synced and has not: the histories above would not let it pass.
#[test]
fn a_lost_sync_is_found() {
    let found = fixed_histories().find_map(|history| {
        let disk = slow_disk();
        disk.set_lying_syncs(true);
        simulated(live(Place::Disk(disk), &history)).err()
    });
    let wrong = found.expect("a hundred histories lost what was acknowledged, and nothing was noticed");
    assert!(
        wrong.contains("after a new start") || wrong.contains("does not start"),
        "{wrong}"
    );
}
