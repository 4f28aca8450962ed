//! Lies about scans at the gates. No history of ours has scans yet, so each mutant brings its own: a ticket that somebody
//! bought, and what its gates did.

use super::{Dice, Evidence, Invariant, Mutant, Ruling, SEEDS, Saved, history, mutant, op, plan, verdicts};
use crate::history::answers::{Admitted, Asked, Scan, Told};
use crate::history::lines::{Act, Ended, Op};
use crate::invariants::admission::Admission;

pub(super) const MUTANTS: &[Mutant] = &[
    mutant("two admissions: accepted at two gates", "I6", accepted_at_two_gates),
    mutant(
        "two admissions: accepted again under another number of the same device",
        "I6",
        accepted_under_another_number,
    ),
];

/// A scan of a ticket: gate, the device's number, what came of it.
type Scanned = (&'static str, u64, Admitted);

/// Lets a ticket of some confirmed booking be scanned so, one scan after the other. Each gate has one device.
fn scan(saved: &mut Saved, dice: &mut Dice, scans: &[Scanned]) -> Option<()> {
    let sold = |op: &Op| op.op == Act::Confirm && op.outcome == Ended::Ok;
    let number = op(saved, dice, sold)?;
    let ticket = saved.operations[number].response.as_ref()?.tickets.first()?.id;
    let mut at_ns = saved.ended_ns();
    for (gate, device_seq, admitted) in scans {
        let device = format!("turnstile-{gate}");
        let request = Asked {
            scan: Some(Box::new(Scan {
                ticket,
                gate: (*gate).to_owned(),
                device: device.clone(),
                device_seq: *device_seq,
            })),
            ..Asked::default()
        };
        at_ns += 2_000_000;
        saved.lines += 1;
        saved.operations.push(Op {
            line: saved.lines,
            returned_ns: at_ns - 1_000_000,
            outcome: Ended::Ok,
            response: Some(Told {
                admission: Some(*admitted),
                ..Told::default()
            }),
            ..Op::asked(device, Act::Admit, request, at_ns - 2_000_000)
        });
    }
    Some(())
}

fn accepted_at_two_gates(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    scan(
        saved,
        dice,
        &[("north", 1, Admitted::Accepted), ("south", 1, Admitted::Accepted)],
    )
}

/// The answer got lost, the device sent the scan again under a new number, and the ticket was as good as new.
fn accepted_under_another_number(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    scan(
        saved,
        dice,
        &[("north", 1, Admitted::Accepted), ("north", 2, Admitted::Accepted)],
    )
}

#[test]
fn a_scan_sent_again_is_one_admission() {
    for seed in SEEDS {
        let mut saved = history(plan(seed));
        let scans = [
            ("north", 1, Admitted::Accepted),
            ("north", 1, Admitted::Accepted),
            ("south", 1, Admitted::Duplicate),
            ("north", 2, Admitted::Rejected),
        ];
        scan(&mut saved, &mut Dice::new(seed), &scans).unwrap();
        for verdict in verdicts(&saved) {
            assert_eq!(verdict.ruling(), Ruling::Sound, "seed {seed}: {verdict:#?}");
        }
        let looked_at = Admission.check(&Evidence::new(&saved).unwrap()).looked_at;
        assert_eq!(looked_at, [("scans", 4), ("tickets admitted", 1)]);
    }
}

/// Without an answer nobody opened the gate, whatever the cluster came to think.
#[test]
fn a_scan_whose_fate_nobody_knows_is_no_admission() {
    let mut saved = history(plan(1));
    accepted_at_two_gates(&Evidence::new(&saved.clone()).unwrap(), &mut saved, &mut Dice::new(1)).unwrap();
    let unheard = saved.operations.last_mut().unwrap();
    (unheard.outcome, unheard.response) = (Ended::Unknown, None);
    let verdict = Admission.check(&Evidence::new(&saved).unwrap());
    assert_eq!(verdict.ruling(), Ruling::Sound, "{verdict:#?}");
}
