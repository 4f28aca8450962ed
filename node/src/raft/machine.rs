//! A shard's state machine: `booking::Inventory` between an entry's bytes and the shard's rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use rotunda_booking::codec;
use rotunda_booking::inventory::Inventory;
use rotunda_booking::rows::{ReadRows, Rows, RowsError};
use rotunda_raft_storage::{Machine, MachineError, ReadError, RowVisitor, StateTxn, StateView};

use crate::budget::Budget;

/// What the shard's proposer wants to know of the applied state without asking for it.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Log time, milliseconds since 1970.
    now: AtomicI64,
}

impl Pulse {
    /// The log time of the last applied entry, in milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now.load(Ordering::Acquire)
    }
}

/// [`Machine`] over [`Inventory`].
pub struct BookingMachine {
    inventory: Inventory,
    budget: Arc<Budget>,
    pulse: Arc<Pulse>,
    /// What the inventory's filter took when the budget was last told.
    filter: usize,
    #[cfg(feature = "mutants")]
    wall: Option<crate::clock::wall::WallClock>,
}

impl BookingMachine {
    /// Empty; `load` fills it.
    #[must_use]
    pub fn new(budget: Arc<Budget>, pulse: Arc<Pulse>) -> Self {
        Self {
            inventory: Inventory::new(budget.limits()),
            budget,
            pulse,
            filter: 0,
            #[cfg(feature = "mutants")]
            wall: None,
        }
    }

    /// For a seeded bug: the clock that apply must not look at.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_clock(self, wall: crate::clock::wall::WallClock) -> Self {
        let mut machine = self;
        machine.wall = Some(wall);
        machine
    }

    fn publish(&mut self) {
        let filter = self.inventory.filter_bytes();
        if filter != self.filter {
            self.budget.filter_changed(self.filter, filter);
            self.filter = filter;
        }
        self.pulse.now.store(self.inventory.now().0, Ordering::Release);
    }
}

impl Drop for BookingMachine {
    fn drop(&mut self) {
        self.budget.filter_changed(self.filter, 0);
    }
}

impl Machine for BookingMachine {
    fn load(&mut self, state: &StateView) -> Result<(), MachineError> {
        self.inventory.set_limits(self.budget.limits_beside(self.filter));
        self.inventory
            .load(&ViewRows(state))
            .map_err(|error| MachineError::new(error.to_string()))?;
        self.publish();
        Ok(())
    }

    fn apply(
        &mut self,
        index: u64,
        payload: &Bytes,
        txn: &mut StateTxn<'_>,
        want_reply: bool,
    ) -> Result<Bytes, MachineError> {
        // Bytes that no proposer of this cluster wrote: going on would make replicas differ.
        let entry =
            codec::decode_entry(payload).map_err(|error| MachineError::new(format!("entry {index}: {error}")))?;
        #[cfg(feature = "mutants")]
        let entry = match &self.wall {
            Some(wall) if crate::mutant::mutant!(LocalClockInApply) => rotunda_booking::command::Entry {
                stamp: rotunda_booking::time::Timestamp(wall.now_ms()),
                ..entry
            },
            _ => entry,
        };
        self.inventory.set_limits(self.budget.limits_beside(self.filter));
        let rows = &mut TxnRows(txn);
        let replies = if want_reply {
            self.inventory.lead(rows, index, &entry)
        } else {
            self.inventory.follow(rows, index, &entry).map(|()| Bytes::new())
        };
        replies.map_err(|error| MachineError::new(format!("entry {index}: {error}")))
    }

    fn state_hash(&self) -> [u8; 16] {
        self.inventory.state_hash()
    }

    fn applied_observer(&mut self, _index: u64) {
        self.publish();
    }
}

/// A read-only view as rows.
pub struct ViewRows<'a>(pub &'a StateView);

impl ReadRows for ViewRows<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        self.0.get(key).map_err(failed)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut RowVisitor<'_>) -> Result<(), RowsError> {
        self.0.scan(from, to, visit).map_err(failed)
    }
}

/// The rows of the entry being applied.
struct TxnRows<'a, 'b>(&'a mut StateTxn<'b>);

impl ReadRows for TxnRows<'_, '_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        self.0.get(key).map_err(failed)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut RowVisitor<'_>) -> Result<(), RowsError> {
        self.0.scan(from, to, visit).map_err(failed)
    }
}

impl Rows for TxnRows<'_, '_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.put(key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.delete(key);
    }
}

fn failed(error: ReadError) -> RowsError {
    RowsError::Store(error.to_string())
}
