//! A group that cannot go on takes its process with it. Each story is lived by a child process (this test binary again,
//! with an environment variable), because its end is the end of the process; without the watch it would wait for ever.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rotunda_protocol::dial::Tcp;
use rotunda_raft_storage::{Identity, Machine, MachineError, Payload, StateTxn, StateView, Store, StoreConfig};

use super::{Group, Host};
use crate::budget::Budget;
use crate::clock::wall::WallClock;
use crate::config::{Checkpoints, Timing};
use crate::raft::peer::{Caller, Peers};
use crate::raft::raft_config;
use crate::vital;

const STORY: &str = "ROTUNDA_TEST_GROUP_STORY";
const DIR: &str = "ROTUNDA_TEST_GROUP_DIR";

const GROUP: u64 = 5;
const REPLICA: u64 = 17;
const SIGABRT: i32 = 6;

/// Far longer than a child takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does what the entry says, and counts.
#[derive(Default)]
struct Brittle {
    applied: AtomicU64,
    fall_once_applied: bool,
}

impl Machine for Brittle {
    fn load(&mut self, _state: &StateView) -> Result<(), MachineError> {
        Ok(())
    }

    fn apply(
        &mut self,
        _index: u64,
        payload: &Bytes,
        _txn: &mut StateTxn<'_>,
        _want_reply: bool,
    ) -> Result<Bytes, MachineError> {
        match payload.as_ref() {
            b"panic" => panic!("the machine met what cannot be"),
            b"nonsense" => return Err(MachineError::new("the entry makes no sense")),
            b"panic once applied" => self.fall_once_applied = true,
            _ => {}
        }
        self.applied.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from_static(b"done"))
    }

    fn state_hash(&self) -> [u8; 16] {
        [0; 16]
    }

    fn applied_observer(&mut self, _index: u64) {
        assert!(!self.fall_once_applied, "the machine fell over what it had applied");
    }
}

/// A group of one replica, which leads.
async fn leading_group(dir: &Path) -> Arc<Group<Brittle>> {
    let cluster = "test".to_owned();
    let identity = Identity {
        cluster: cluster.clone(),
        node: 1,
    };
    let timing = Timing {
        heartbeat_ms: 50,
        election_min_ms: 120,
        election_max_ms: 240,
    };
    let host = Host {
        node: 1,
        store: Store::open(StoreConfig::new(dir, identity)).unwrap(),
        peers: Peers::new(
            Caller {
                cluster: cluster.clone(),
                node: 1,
            },
            Tcp::shared(),
        ),
        dial: Tcp::shared(),
        budget: Budget::new(64 << 20, 0),
        wall: WallClock::of_this_machine(),
        checkpoints: Checkpoints::default(),
        config: raft_config(&cluster, &timing).unwrap(),
        stopping: Arc::new(AtomicBool::new(false)),
    };
    let group = Group::start(&host, GROUP, REPLICA, [(REPLICA, 1)], Brittle::default())
        .await
        .unwrap();
    group.found([(REPLICA, 1)]).await.unwrap();
    while !group.leadership.leads() {
        let _ = tokio::time::timeout(Duration::from_millis(20), group.leadership.changed()).await;
    }
    group
}

async fn live(story: &str, dir: &Path) {
    let group = leading_group(dir).await;
    let write = async |text: &'static str| {
        group
            .raft
            .client_write(Payload(Bytes::from_static(text.as_bytes())))
            .await
    };
    let answered = write("all is well").await.unwrap();
    assert_eq!(answered.data.0.as_ref(), b"done");
    eprintln!("before the fault all was well");
    match story {
        "core" => {
            let _ = group
                .raft
                .with_raft_state(|_| panic!("the core met what cannot be"))
                .await;
        }
        "task" => vital::spawn("a task", async { panic!("the task met what cannot be") }),
        "nothing" => return,
        entry => {
            let answer = group.raft.client_write(Payload(Bytes::from(entry.to_owned()))).await;
            eprintln!("answered: {answer:?}");
        }
    }
    // Nobody else ends this process: without the watch it stays for ever, a node with a silent group.
    std::future::pending::<()>().await;
}

/// The child: does nothing in an ordinary run of the tests.
#[test]
fn child() {
    let (Some(story), Some(dir)) = (std::env::var_os(STORY), std::env::var_os(DIR)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(live(&story.to_string_lossy(), Path::new(&dir)));
    // A child that reached its end by itself leaves its threads to the system.
    std::process::exit(0);
}

struct End {
    signal: Option<i32>,
    success: bool,
    said: String,
}

/// Lives a story in `dir`, and says how it ended.
fn lived(story: &str, dir: &Path) -> End {
    let log = dir.join("log");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "group::tests::child", "--nocapture", "--test-threads=1"])
        .env(STORY, story)
        .env(DIR, dir.join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!(
                "{story}: the process went on with a group that had stopped\n{}",
                std::fs::read_to_string(&log).unwrap()
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    End {
        signal: status.signal(),
        success: status.success(),
        said: std::fs::read_to_string(&log).unwrap(),
    }
}

/// The process ended by its own hand, and said of what.
#[track_caller]
fn assert_ended(end: &End, group_and_cause: [&str; 2]) {
    assert!(!end.success && end.signal == Some(SIGABRT), "{}", end.said);
    for text in group_and_cause {
        assert!(end.said.contains(text), "{text:?} is not in\n{}", end.said);
    }
}

#[test]
fn a_panic_in_apply_ends_the_process_at_every_start() {
    let dir = tempfile::tempdir().unwrap();
    let end = lived("panic", dir.path());
    assert!(end.said.contains("before the fault all was well"), "{}", end.said);
    let stopped = format!("Raft group {GROUP} (replica {REPLICA}) stopped");
    assert_ended(&end, [&stopped, "the machine met what cannot be"]);
    assert!(!end.said.contains("answered: Ok"), "{}", end.said);
    // The entry is in the log: nobody may step over it.
    let again = lived("nothing", dir.path());
    assert!(!again.said.contains("before the fault all was well"), "{}", again.said);
    assert_ended(&again, [&stopped, "the machine met what cannot be"]);
}

#[test]
fn a_panic_after_apply_ends_the_process_unanswered() {
    let dir = tempfile::tempdir().unwrap();
    let end = lived("panic once applied", dir.path());
    let stopped = format!("Raft group {GROUP} (replica {REPLICA}) stopped");
    assert_ended(&end, [&stopped, "the machine fell over what it had applied"]);
    assert!(!end.said.contains("answered: Ok"), "{}", end.said);
}

#[test]
fn an_entry_that_makes_no_sense_ends_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let end = lived("nonsense", dir.path());
    assert_ended(&end, [&format!("of group {GROUP} failed"), "the entry makes no sense"]);
    assert!(!end.said.contains("answered: Ok"), "{}", end.said);
}

#[test]
fn a_panic_in_the_core_ends_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let end = lived("core", dir.path());
    let stopped = format!("Raft group {GROUP} (replica {REPLICA}) stopped");
    assert_ended(&end, [&stopped, "the core met what cannot be"]);
}

#[test]
fn a_panic_in_a_task_that_a_group_needs_ends_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let end = lived("task", dir.path());
    assert_ended(&end, ["a task panicked", "the task met what cannot be"]);
}

#[test]
fn a_group_without_a_fault_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let end = lived("nothing", dir.path());
    assert!(end.success, "{}", end.said);
    assert!(end.said.contains("before the fault all was well"), "{}", end.said);
}
