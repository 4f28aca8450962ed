//! What an inventory keeps in memory stays within its bounds, and no bound changes an answer.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use super::*;
use crate::catalogue::VenueDefinition;
use crate::command::{Command, Operation};
use crate::ids::{BookingId, CommandKey};
use crate::outcome::Outcome;
use crate::rows::MapRows;

const WINDOW: KeyWindow = KeyWindow { recent: 20, spill: 8 };

/// A replica, and its rows.
struct Replica {
    rows: MapRows,
    inventory: Inventory,
    index: u64,
}

impl Replica {
    fn new(limits: Limits) -> Self {
        Self {
            rows: MapRows::new(),
            inventory: Inventory::with_key_window(limits, WINDOW),
            index: 0,
        }
    }

    fn apply(&mut self, commands: &[Command]) -> Vec<Reply> {
        self.index += 1;
        let entry = Entry {
            stamp: Timestamp(1),
            commands: commands.to_vec(),
        };
        let replies = self.inventory.apply(&mut self.rows, self.index, &entry).unwrap();
        self.rows.commit();
        replies
    }

    fn restart(&mut self) {
        self.inventory.load(&self.rows).unwrap();
    }
}

/// Refused, and remembered under its key like any other command. Keys are scattered.
fn release(number: u64, venue: u32) -> Command {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    let venue = VenueNo(venue);
    Command {
        key: Some(CommandKey(key)),
        fingerprint: number,
        venue,
        actor: None,
        operation: Operation::Release {
            booking: BookingId {
                venue,
                seq: number,
                secret: 1,
            },
        },
    }
}

fn import(venue: u32) -> Command {
    let definition = VenueDefinition {
        slug: format!("venue-{venue}"),
        name: "x".repeat(100),
        language: String::new(),
        texts: Default::default(),
        city: "Lisbon".to_owned(),
        time_zone: "Europe/Lisbon".to_owned(),
        currency: "EUR".to_owned(),
        currency_digits: 2,
        tax_basis_points: 600,
        building_capacity: 10,
        opening: Vec::new(),
        closed: Vec::new(),
        products: Vec::new(),
    };
    Command {
        key: None,
        fingerprint: 0,
        venue: VenueNo(venue),
        actor: None,
        operation: Operation::ImportVenue(Box::new(definition)),
    }
}

#[test]
fn the_keys_of_all_venues_share_one_window() {
    let (mut steady, mut restarted) = (Replica::new(Limits::default()), Replica::new(Limits::default()));
    // One busy venue first, then many with a few keys each, so that one spill takes from several.
    let commands: Vec<Command> = (0..400)
        .map(|number| release(number, if number < 100 { 7 } else { (number % 90) as u32 }))
        .collect();
    let mut answers = Vec::new();
    for entry in commands.chunks(3) {
        let replies = steady.apply(entry);
        assert_eq!(replies, restarted.apply(entry));
        restarted.restart();
        assert_eq!(steady.rows, restarted.rows);
        assert_eq!(steady.inventory.state_hash(), restarted.inventory.state_hash());
        let in_window = steady.inventory.keys.in_window();
        assert!(in_window < WINDOW.recent + WINDOW.spill, "{in_window} keys in memory");
        assert_eq!(in_window, restarted.inventory.keys.in_window());
        answers.extend(replies);
    }
    assert_eq!(
        recompute_state_hash(&steady.rows).unwrap(),
        steady.inventory.state_hash()
    );
    for (entry, first) in commands.chunks(5).zip(answers.chunks(5)) {
        let replies = steady.apply(entry);
        let again = first.iter().map(|reply| Reply {
            replayed: true,
            ..reply.clone()
        });
        assert_eq!(replies, again.collect::<Vec<_>>());
    }
}

#[test]
fn catalogues_that_do_not_fit_are_read_again() {
    let mut replica = Replica::new(Limits {
        catalogue_bytes: 1_500,
        ..Limits::default()
    });
    let commands: Vec<Command> = (1..=20).map(import).collect();
    replica.apply(&commands);
    let kept = replica.inventory.catalogues.len();
    assert!((1..20).contains(&kept), "{kept} catalogues kept");
    for command in commands.iter().chain(commands.iter().rev()) {
        let replies = replica.apply(std::slice::from_ref(command));
        assert!(
            matches!(replies[0].outcome, Outcome::Imported { changed: false, .. }),
            "{replies:?}"
        );
        assert_eq!(replica.inventory.catalogues.len(), kept);
    }
}

#[test]
fn new_limits_take_effect_with_the_next_entry() {
    let mut replica = Replica::new(Limits::default());
    let commands: Vec<Command> = (0..10).map(|number| release(number, 1)).collect();
    replica.apply(&commands);
    assert!(replica.inventory.records.len() >= 10);
    replica.inventory.set_limits(Limits {
        records: 4,
        ..Limits::default()
    });
    replica.apply(&[]);
    assert!(replica.inventory.records.len() <= 4);
}
