//! Death at every step. A child process (this test binary again, with an environment variable) runs a script of votes,
//! appends, applies, truncations, flushes, purges and installs, and notes each acknowledgement in a file the moment it gets
//! one. It is killed at a failpoint; its parent then opens the directory and compares with the notes: no acknowledged write
//! and no vote may be missing, nothing truncated may be back, and the state must be reachable from what is there. Then the
//! next child goes on in the same directory and is killed at the step's second occurrence, and a last one runs to its end.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use openraft::vote::{RaftLeaderId, leader_id_adv::LeaderId};
use openraft::{RaftSnapshotBuilder, StoredMembership as Stored};

use super::{GROUP, REPLICA, Registers, append, apply, config, entry, expected_rows, id, open, rows};
use crate::failpoint::Step;
use crate::snapshot::SnapshotData;
use crate::store::{Group, Store};
use crate::types::{LogId, SnapshotMeta, Vote};

const DIR: &str = "ROTUNDA_TEST_CRASH_DIR";
const ROUNDS: u64 = 8;
/// Entries a round.
const BURST: u64 = 20;

/// The acknowledgements, in order, one a line: what and up to which index, with the term.
struct Notes(PathBuf);

impl Notes {
    /// One write to a file that outlives the process; a kill does not take it back.
    fn put(&self, what: &str, term: u64, index: u64) {
        let line = format!("{what} {term} {index}\n");
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.0)
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
    }

    fn read(&self) -> Vec<(String, u64, u64)> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines()
            .map(|line| {
                let mut words = line.split(' ');
                let what = words.next().unwrap().to_owned();
                let mut number = || words.next().unwrap().parse().unwrap();
                (what, number(), number())
            })
            .collect()
    }
}

/// What a correct store must still know.
#[derive(Default, Debug)]
struct Promised {
    vote: u64,
    /// Terms of acknowledged entries that were neither truncated nor covered since.
    entries: BTreeMap<u64, u64>,
    /// The last applied log id that was answered, installs included.
    applied: Option<(u64, u64)>,
    /// Everything at or below was acknowledged as purged.
    purged: Option<u64>,
    /// Above this index, entries of this term or a lower one were truncated.
    truncated: Vec<(u64, u64)>,
}

fn promised(notes: &Notes) -> Promised {
    let mut promised = Promised::default();
    for (what, term, index) in notes.read() {
        match what.as_str() {
            "vote" => promised.vote = promised.vote.max(term),
            "append" => drop(promised.entries.insert(index, term)),
            // The truncation may be done before it is acknowledged, so the entries are promised only until it begins.
            "truncating" => drop(promised.entries.split_off(&(index + 1))),
            "truncate" => promised.truncated.push((term, index)),
            "applied" | "installed" => promised.applied = promised.applied.max(Some((term, index))),
            "purging" => promised.entries = promised.entries.split_off(&(index + 1)),
            "purge" => promised.purged = promised.purged.max(Some(index)),
            other => panic!("unknown note {other}"),
        }
    }
    promised
}

fn applied_of(group: &Group<Registers>) -> Option<LogId> {
    group.reader.view().unwrap().applied().copied()
}

/// A snapshot of the state after `index`, from another store, as a peer would send it.
async fn peer_snapshot(dir: &Path, term: u64, index: u64) -> (SnapshotMeta, SnapshotData) {
    let dir = dir.join(format!("peer-{term}-{index}"));
    let _ = fs::remove_dir_all(&dir);
    let (_store, mut peer) = open(&dir).await;
    apply(
        &mut peer,
        (index.saturating_sub(15)..=index).map(|index| entry(term, index)),
    )
    .await
    .unwrap();
    let snapshot = peer
        .machine
        .get_snapshot_builder()
        .await
        .build_snapshot()
        .await
        .unwrap();
    assert_eq!(snapshot.meta.last_membership, Stored::default());
    (snapshot.meta, snapshot.snapshot)
}

/// What openraft does at start: cover a hole between log and state, then replay up to what is known to be committed.
async fn recover(group: &mut Group<Registers>, committed: Option<u64>) {
    let applied = applied_of(group);
    let last = group.log.get_log_state().await.unwrap().last_log_id;
    if last < applied {
        group.log.purge(applied.unwrap()).await.unwrap();
    }
    let from = applied.map_or(0, |applied| applied.index + 1);
    let to = committed.map_or(0, |committed| committed + 1);
    if from < to {
        let entries = group
            .log
            .get_log_reader()
            .await
            .try_get_log_entries(from..to)
            .await
            .unwrap();
        assert_eq!(entries.len() as u64, to - from, "entries to replay are missing");
        apply(group, entries).await.unwrap();
    }
}

/// The script.
async fn live(dir: &Path) {
    let notes = Notes(dir.join("notes"));
    let before = promised(&notes);
    let (store, mut group) = open(&dir.join("store")).await;
    recover(&mut group, before.applied.map(|(_, index)| index)).await;
    let first_term = before.vote + 1;
    for round in 0..ROUNDS {
        let term = first_term + round;
        group
            .log
            .save_vote(&Vote {
                leader_id: LeaderId::new(term, REPLICA),
                committed: true,
            })
            .await
            .unwrap();
        notes.put("vote", term, 0);

        let next = group
            .log
            .get_log_state()
            .await
            .unwrap()
            .last_log_id
            .map_or(0, |last| last.index + 1);
        for index in next..next + BURST {
            append(&mut group, [entry(term, index)]).await;
            notes.put("append", term, index);
        }
        let last = next + BURST - 1;

        // Some that never commit, and are truncated by the next leader.
        append(&mut group, (last + 1..last + 4).map(|index| entry(term, index))).await;
        for index in last + 1..last + 4 {
            notes.put("append", term, index);
        }
        notes.put("truncating", term, last);
        group.log.truncate_after(Some(id(term, last))).await.unwrap();
        notes.put("truncate", term, last);

        group.log.save_committed(Some(id(term, last))).await.unwrap();
        let from = applied_of(&group).map_or(0, |applied| applied.index + 1);
        let entries = group
            .log
            .get_log_reader()
            .await
            .try_get_log_entries(from..=last)
            .await
            .unwrap();
        for entry in entries {
            let applied = entry.log_id;
            apply(&mut group, [entry]).await.unwrap();
            notes.put("applied", applied.leader_id.term, applied.index);
        }

        store.flush().await.unwrap();
        let purge = id(term, last - BURST / 2);
        notes.put("purging", term, purge.index);
        group.log.purge(purge).await.unwrap();
        notes.put("purge", term, purge.index);

        if round % 3 == 2 {
            // A leader far ahead sends a snapshot instead of entries.
            let (meta, data) = peer_snapshot(dir, term, last + 50).await;
            group.machine.install_snapshot(&meta, data).await.unwrap();
            notes.put("installed", term, last + 50);
            notes.put("purging", term, last + 50);
            group.log.purge(meta.last_log_id.unwrap()).await.unwrap();
            notes.put("purge", term, last + 50);
        }
    }
}

/// Compares what is on disk with what was promised.
async fn audit(dir: &Path) {
    let promised = promised(&Notes(dir.join("notes")));
    let store = Store::open(config(&dir.join("store"))).unwrap();
    let mut group = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
    let mut reader = group.log.get_log_reader().await;

    let vote = reader.read_vote().await.unwrap().map_or(0, |vote| vote.leader_id.term);
    // A vote that was being written may be there; none that was acknowledged may be missing.
    assert!(
        vote == promised.vote || vote == promised.vote + 1,
        "vote {vote}, promised {}",
        promised.vote
    );

    let state = group.log.get_log_state().await.unwrap();
    assert!(
        state.last_purged_log_id.map(|id| id.index) >= promised.purged,
        "the purge was forgotten"
    );
    let entries = reader.try_get_log_entries(..).await.unwrap();
    for (index, term) in &promised.entries {
        let found = entries.iter().find(|entry| entry.log_id.index == *index);
        assert_eq!(found, Some(&entry(*term, *index)), "acknowledged entry {index}");
    }
    for (term, index) in &promised.truncated {
        let back = entries
            .iter()
            .find(|entry| entry.log_id.index > *index && entry.log_id.leader_id.term <= *term);
        assert_eq!(back, None, "a truncated entry is back");
    }

    // The state is that of its applied index, and what was answered beyond it is in the log.
    let view = group.reader.view().unwrap();
    if let Some(applied) = view.applied_index() {
        assert_eq!(rows(&view), expected_rows(applied));
    }
    drop(view);
    if let Some((_, index)) = promised.applied {
        recover(&mut group, Some(index)).await;
        let view = group.reader.view().unwrap();
        let applied = view.applied_index().unwrap();
        assert!(applied >= index, "applied {applied}, answered {index}");
        assert_eq!(rows(&view), expected_rows(applied));
        let generation = store.descriptors()[&GROUP].generation;
        assert_eq!(group.checkpoint.progress.generation(), generation);
    }
}

/// The child: does nothing in an ordinary run of the tests.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(live(Path::new(&dir)));
}

fn run_child(dir: &Path, failpoint: Option<String>) -> std::process::Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "tests::crash::child", "--nocapture", "--test-threads=1"])
        .env(DIR, dir);
    match failpoint {
        Some(failpoint) => command.env("FAILPOINTS", failpoint),
        None => command.env_remove("FAILPOINTS"),
    };
    command.output().unwrap()
}

fn survives(step: Step) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    for count in [1, 2] {
        let output = run_child(dir.path(), Some(format!("{}={}*off->return", step.name(), count - 1)));
        let said = String::from_utf8_lossy(&output.stderr);
        // Reached, or the test proves nothing.
        let reached = format!("failpoint {} reached", step.name());
        // Descriptors are written once when a replica is made, and by each install: the second child only installs.
        assert!(
            said.contains(&reached),
            "step {} (count {count}) was not reached: {said}",
            step.name()
        );
        assert_eq!(output.status.signal(), Some(6), "{said}");
        runtime.block_on(audit(dir.path()));
    }
    let output = run_child(dir.path(), None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    runtime.block_on(audit(dir.path()));
}

#[test]
fn a_panic_of_the_writer_is_final_as_a_failed_write_is() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let failpoint = format!("{}=29*off->panic", Step::AppendBeforeSync.name());
    let output = run_child(dir.path(), Some(failpoint));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("failpoint append.before_sync panic"), "{said}");
    // What a server's hook ends the process for; this one lets the script find out.
    assert!(said.contains("latched: the log's writer panicked"), "{said}");
    assert!(!output.status.success(), "{said}");
    runtime.block_on(audit(dir.path()));
}

macro_rules! killed_at {
    ($($story:ident: $step:ident,)*) => {
        $(
            #[test]
            fn $story() {
                survives(Step::$step);
            }
        )*

        #[test]
        fn every_step_has_its_death() {
            let covered = [$(Step::$step),*];
            for step in Step::ALL {
                assert!(covered.contains(&step), "nobody dies at {}", step.name());
            }
        }
    };
}

killed_at! {
    killed_with_entries_queued: AppendQueued,
    killed_before_entries_are_synced: AppendBeforeSync,
    killed_after_entries_are_synced: AppendSynced,
    killed_before_entries_are_acknowledged: AppendMarked,
    killed_with_a_vote_queued: VoteQueued,
    killed_before_a_vote_is_synced: VoteBeforeSync,
    killed_before_a_vote_is_acknowledged: VoteSynced,
    killed_before_a_truncation: TruncateBeforeSync,
    killed_after_a_truncation: TruncateSynced,
    killed_before_a_purge: PurgeBeforeSync,
    killed_after_a_purge: PurgeSynced,
    killed_before_rows_are_written: ApplyBeforeWrite,
    killed_before_an_entry_is_answered: ApplyWritten,
    killed_after_an_entry_is_answered: ApplyAnswered,
    killed_before_a_flush: FlushBefore,
    killed_after_a_flush: FlushDone,
    killed_as_a_snapshot_is_built: SnapshotBuilt,
    killed_amid_a_snapshot_that_is_sent: SnapshotChunkRead,
    killed_as_a_snapshot_begins: SnapshotBegun,
    killed_amid_a_snapshots_rows: SnapshotRowsWritten,
    killed_before_a_snapshot_is_installed: SnapshotFlushed,
    killed_before_a_descriptor_is_synced: DescriptorBeforeSync,
    killed_as_an_install_takes_effect: DescriptorSynced,
    killed_before_the_old_generation_is_deleted: InstallLoaded,
    killed_after_the_old_generation_is_deleted: InstallDeleted,
}
