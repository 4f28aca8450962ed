//! I6: a ticket is admitted at most once over all gates.
//!
//! Counted by ticket: each device and number of its own under which a scan was answered `accepted` is one admission. A
//! scan that is sent again under the same number, and answered so again, is the same one. Scans whose fate nobody knows
//! count for nothing: who heard no answer let nobody in.
//!
//! Rotunda has no gates yet, so no run of it exercises this, and the verdict says so. What a ticket's re-entry policy
//! would allow is not looked at: no ticket has one.

use rotunda_booking::ids::TicketId;
use rustc_hash::FxHashMap;

use super::Invariant;
use super::evidence::Evidence;
use super::verdict::{Finding, Verdict};
use crate::history::answers::{Admitted, Scan};
use crate::history::lines::{Act, Op};

pub(super) struct Admission;

/// A scan that was answered so.
type Accepted<'a> = (&'a Op, &'a Scan);

impl Invariant for Admission {
    fn id(&self) -> &'static str {
        "I6"
    }

    fn promise(&self) -> &'static str {
        "a ticket is admitted once"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut admissions: FxHashMap<TicketId, Vec<Accepted<'_>>> = FxHashMap::default();
        for op in evidence.saved.operations.iter().filter(|op| op.op == Act::Admit) {
            let Some(scan) = op.request.scan.as_deref() else {
                continue;
            };
            verdict.count("scans", 1);
            if op.response.as_ref().and_then(|told| told.admission) == Some(Admitted::Accepted) {
                let of_ticket = admissions.entry(scan.ticket).or_default();
                let same = |known: &Scan| (&known.device, known.device_seq) == (&scan.device, scan.device_seq);
                if !of_ticket.iter().any(|(_, known)| same(known)) {
                    of_ticket.push((op, scan));
                }
            }
        }
        verdict.count("tickets admitted", admissions.len() as u64);
        let mut twice: Vec<Vec<Accepted<'_>>> = admissions.into_values().filter(|scans| scans.len() > 1).collect();
        twice.sort_by_key(|scans| scans.first().map(|(op, _)| op.line));
        for scans in twice {
            verdict.add(admitted_again(&scans));
        }
        if verdict.looked_at.iter().all(|(_, count)| *count == 0) {
            let reason = "not exercised: the history has no scans, and admission is not in the product yet";
            verdict.not_covered.push(reason.to_owned());
        }
        verdict
    }
}

fn admitted_again(scans: &[Accepted<'_>]) -> Finding {
    let places: Vec<String> = scans
        .iter()
        .map(|(_, scan)| format!("gate {} by {} as {}", scan.gate, scan.device, scan.device_seq))
        .collect();
    let ticket = scans.first().map(|(_, scan)| scan.ticket.to_string());
    let finding = Finding::new(format!(
        "ticket {} was admitted {} times: at {}",
        ticket.unwrap_or_default(),
        scans.len(),
        places.join(", ")
    ));
    scans.iter().fold(finding, |finding, (op, _)| finding.line(op.line))
}
