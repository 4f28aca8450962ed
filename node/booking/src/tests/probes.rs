//! What probers do to a shard: they take places of the reserve and give them back, and nothing else of the shard shows it.

use crate::codec::{CodecError, check_command, decode_command, encode_command};
use crate::command::{Command, Entry, Operation, Probe, ProbeStep};
use crate::ids::VenueNo;
use crate::inventory::{Inventory, Limits, recompute_state_hash};
use crate::keys::Table;
use crate::outcome::{Outcome, RefusalCode};
use crate::rows::{MapRows, ReadRows as _};
use crate::state::RESERVE_PLACES;
use crate::time::Timestamp;
use std::ops::ControlFlow;

struct Shard {
    rows: MapRows,
    inventory: Inventory,
    index: u64,
    now: i64,
}

impl Shard {
    fn new() -> Self {
        Self {
            rows: MapRows::new(),
            inventory: Inventory::new(Limits::default()),
            index: 0,
            now: 1_000_000,
        }
    }

    fn apply(&mut self, steps: &[(u64, u64, ProbeStep)]) -> Vec<Outcome> {
        self.index += 1;
        let commands = steps.iter().map(|&(prober, turn, step)| command(prober, turn, step));
        let entry = Entry {
            stamp: Timestamp(self.now),
            commands: commands.collect(),
        };
        let replies = self.inventory.apply(&mut self.rows, self.index, &entry).unwrap();
        self.rows.commit();
        replies.into_iter().map(|reply| reply.outcome).collect()
    }

    fn tables(&self) -> Vec<u8> {
        let mut tables = Vec::new();
        let visit = &mut |key: &[u8], _: &[u8]| {
            tables.push(key[0]);
            ControlFlow::Continue(())
        };
        self.rows.scan(&[0], &[255], visit).unwrap();
        tables
    }
}

fn command(prober: u64, turn: u64, step: ProbeStep) -> Command {
    Command {
        key: None,
        fingerprint: 0,
        venue: VenueNo::RESERVE,
        actor: None,
        operation: Operation::Probe(Probe { prober, turn, step }),
    }
}

use ProbeStep::{Hold, Release};
const HELD: Outcome = Outcome::Probed { held: true };
const FREE: Outcome = Outcome::Probed { held: false };

#[test]
fn a_round_books_and_releases_and_its_repetitions_change_nothing() {
    let mut shard = Shard::new();
    assert_eq!(shard.apply(&[(7, 1, Hold)]), [HELD]);
    assert_eq!(shard.apply(&[(7, 1, Hold), (7, 1, Release)]), [HELD, FREE]);
    // Late copies of the first round.
    assert_eq!(shard.apply(&[(7, 1, Hold), (7, 1, Release)]), [FREE, FREE]);
    assert_eq!(shard.apply(&[(7, 3, Hold)]), [HELD]);
    assert_eq!(shard.apply(&[(7, 2, Release), (7, 2, Hold)]), [HELD, HELD]);
    assert_eq!(shard.apply(&[(7, 3, Release)]), [FREE]);
}

#[test]
fn ten_thousand_rounds_leave_the_rows_that_one_leaves() {
    let mut shard = Shard::new();
    for turn in 1..=10_000 {
        shard.now += 5_000;
        shard.apply(&[(7, turn, Hold)]);
        shard.apply(&[(7, turn, Release), (8, turn, Hold), (8, turn, Release)]);
    }
    let tables = [Table::Clock, Table::Hash, Table::Reserve].map(|table| table as u8);
    assert_eq!(shard.tables(), tables);
    let mut again = Inventory::new(Limits::default());
    again.load(&shard.rows).unwrap();
    assert_eq!(again.state_hash(), shard.inventory.state_hash());
    assert_eq!(recompute_state_hash(&shard.rows).unwrap(), again.state_hash());
}

#[test]
fn the_reserve_is_full_at_its_bound_and_forgets_who_is_silent() {
    let mut shard = Shard::new();
    for prober in 1..=RESERVE_PLACES as u64 {
        assert_eq!(shard.apply(&[(prober, 1, Hold)]), [HELD]);
    }
    let outcomes = shard.apply(&[(999, 1, Hold)]);
    assert!(
        matches!(&outcomes[0], Outcome::Refused(refusal) if refusal.code == RefusalCode::SoldOut),
        "{outcomes:?}"
    );
    // One of those who are known still finds its place.
    assert_eq!(shard.apply(&[(3, 2, Hold)]), [HELD]);
    shard.now += 59_999;
    assert_eq!(shard.apply(&[(3, 3, Hold)]), [HELD]);
    shard.now += 1;
    assert_eq!(shard.apply(&[(999, 2, Hold), (999, 2, Release)]), [HELD, FREE]);
    // Whoever was forgotten gives back nothing.
    assert_eq!(shard.apply(&[(1, 1, Release)]), [FREE]);
}

#[test]
fn nothing_but_a_probe_is_about_the_reserve() {
    let at_a_venue = Command {
        venue: VenueNo(3),
        ..command(1, 1, Hold)
    };
    let visitors = Command {
        operation: Operation::Expire { limit: 1 },
        ..command(1, 1, Hold)
    };
    for wrong in [at_a_venue, visitors] {
        let bytes = encode_command(&wrong);
        let refused = CodecError::Value {
            what: "venue of the operation",
        };
        assert_eq!(check_command(&bytes), Err(refused.clone()));
        assert_eq!(decode_command(&bytes), Err(refused));
    }
    assert_eq!(
        check_command(&encode_command(&command(1, 1, Hold))),
        Ok(VenueNo::RESERVE)
    );
}
