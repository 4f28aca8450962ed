//! Where entries are applied: small ones on the runtime's thread, large ones on a thread that may wait, and after one that
//! took its time all of them.

use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use openraft::storage::RaftStateMachine;
use parking_lot::Mutex;

use super::{GROUP, REPLICA, config, entry_with};
use crate::error::MachineError;
use crate::machine::Machine;
use crate::state::{StateTxn, StateView};
use crate::store::{Group, Store};

/// Notes the thread of every apply; the payload "slow" takes its time.
#[derive(Default)]
struct Threads(Arc<Mutex<Vec<ThreadId>>>);

impl Machine for Threads {
    fn load(&mut self, _state: &StateView) -> Result<(), MachineError> {
        Ok(())
    }

    fn apply(&mut self, _: u64, payload: &Bytes, _: &mut StateTxn<'_>, _: bool) -> Result<Bytes, MachineError> {
        if payload.as_ref() == b"slow" {
            thread::sleep(Duration::from_millis(60));
        }
        self.0.lock().push(thread::current().id());
        Ok(Bytes::new())
    }

    fn state_hash(&self) -> [u8; 16] {
        [0; 16]
    }

    fn applied_observer(&mut self, _index: u64) {}
}

#[tokio::test]
async fn only_what_is_small_and_quick_is_applied_on_the_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(config(dir.path())).unwrap();
    let machine = Threads::default();
    let threads = Arc::clone(&machine.0);
    let mut group: Group<Threads> = store.open_group(GROUP, REPLICA, machine).await.unwrap();
    let here = thread::current().id();
    let large = "x".repeat(64 * 1024);
    let mut index = 0;
    let mut on_the_runtime = async |payload: &str| {
        let next = stream::iter([Ok((entry_with(1, index, payload.to_owned()), None))]);
        index += 1;
        group.machine.apply(next).await.unwrap();
        threads.lock().last() == Some(&here)
    };

    // Under load even a small apply may take its time, which the product has to allow for and this test too.
    let mut seen = false;
    for _ in 0..1_000 {
        seen |= on_the_runtime("small").await;
        if seen {
            break;
        }
    }
    assert!(seen, "a small entry is applied where openraft asks for it");
    assert!(!on_the_runtime(&large).await, "a large one is not");

    // Whether on the runtime or not: until one was slow there.
    while !on_the_runtime("slow").await {}
    assert!(!on_the_runtime("small").await, "after a slow one nobody takes the risk");
    let mut back = false;
    for _ in 0..1_000 {
        back |= on_the_runtime("small").await;
        if back {
            break;
        }
    }
    assert!(back, "and after a while it is tried again");
}
