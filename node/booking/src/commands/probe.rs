//! Probe: a prober takes a place of the shard's reserve, or gives it back.
//!
//! The same way as a booking goes (log, quorum, rows), and nothing that a venue could see: no record, no event, no line in a
//! ledger. A round that comes twice, or late, changes nothing.

use crate::command::{Probe, ProbeStep};
use crate::inventory::{Halt, Transaction};
use crate::outcome::{Outcome, Refusal, RefusalCode};
use crate::state::{Prober, RESERVE_PLACES};

/// A prober that was silent for so long in log time has no place any more.
const FORGOTTEN_AFTER_MS: i64 = 60_000;

pub(super) fn probe(transaction: &mut Transaction<'_>, probe: Probe) -> Result<Outcome, Halt> {
    let Probe { prober, turn, step } = probe;
    let now = transaction.now;
    let mut reserve = transaction.reserve()?;
    let is_heard = |known: &Prober| now.0.saturating_sub(known.heard.0) < FORGOTTEN_AFTER_MS;
    reserve
        .probers
        .retain(|known| known.prober == prober || is_heard(known));
    let found = reserve.probers.binary_search_by_key(&prober, |known| known.prober);
    let held = match (step, found) {
        // A later round ends those before it, whatever became of them.
        (ProbeStep::Hold, Ok(at)) if reserve.probers[at].turn < turn => true,
        (ProbeStep::Hold, Ok(at)) => reserve.probers[at].held,
        (ProbeStep::Hold, Err(_)) if reserve.probers.len() >= RESERVE_PLACES => {
            let detail = "every place of the shard's reserve is taken by other probers; one is free when one of them has been silent for a minute";
            return Err(Refusal::new(RefusalCode::SoldOut, detail).into());
        }
        (ProbeStep::Hold, Err(_)) => true,
        (ProbeStep::Release, Ok(at)) if reserve.probers[at].turn > turn => reserve.probers[at].held,
        (ProbeStep::Release, _) => false,
    };
    match found {
        Ok(at) => {
            let known = &mut reserve.probers[at];
            (known.held, known.turn, known.heard) = (held, known.turn.max(turn), now);
        }
        Err(at) if held => reserve.probers.insert(
            at,
            Prober {
                prober,
                turn,
                held,
                heard: now,
            },
        ),
        // Gives back what it has not: it was forgotten.
        Err(_) => {}
    }
    transaction.set_reserve(&reserve)?;
    Ok(Outcome::Probed { held })
}
