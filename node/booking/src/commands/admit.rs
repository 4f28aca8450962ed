//! Admissions: a gate asks about a ticket, sends what it scanned by itself, or the staff take a scan back. Scans are added
//! to the ticket's and all of them are judged again (`admission`); nothing is dropped for having come late.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::tickets::{day_of, slot_of, terms};
use crate::admission::{
    AdmissionView, Admit, Admits, Direction, Fact, FirstAdmission, Judgement, MAX_GATE, MAX_MERGED, MAX_SCANS, Scan,
    Terms, Verdict,
};
use crate::ids::{TicketId, VenueNo};
use crate::inventory::{Halt, Transaction};
use crate::keys::Key;
use crate::outbox::{self, Event};
use crate::outcome::{LineProblem, Outcome, Refusal, RefusalCode, TicketStatus};
use crate::rows::RowsError;
use crate::state::{
    Catalogue, DeviceScan, DeviceScanId, Footfall, FootfallId, Passage, Passed, Record, RecordId, Scans, TicketNo,
    damaged,
};
use crate::time::{ServiceDay, Timestamp};
use crate::views;

const HOUR: i64 = 60 * 60 * 1000;

pub(super) fn admit(transaction: &mut Transaction<'_>, venue: VenueNo, admit: &Admit) -> Result<Outcome, Halt> {
    let catalogue = transaction.known_catalogue(venue)?;
    check_names(admit)?;
    match used_for(transaction, venue, admit)? {
        Used::Never => {}
        // It came before in a batch.
        Used::ForThis => {
            let ticket = Ticket::find(transaction, &catalogue, venue, admit.ticket)?;
            let now = transaction.now;
            return Ok(Outcome::Admission(show(
                transaction,
                venue,
                ticket.as_ref(),
                admit,
                now,
            )?));
        }
        Used::ForAnother => {
            let detail = "the device used this device_seq for another scan; count on";
            return Err(Refusal::new(RefusalCode::DeviceSeqReused, detail).into());
        }
    }
    let ticket = Ticket::find(transaction, &catalogue, venue, admit.ticket)?;
    let full = match &ticket {
        Some(ticket) => transaction
            .desk::<Scans>(ticket.no)?
            .is_some_and(|scans| scans.facts.len() >= MAX_SCANS),
        None => false,
    };
    if full {
        let detail = format!("the ticket was scanned {MAX_SCANS} times; look at it by hand");
        return Err(Refusal::new(RefusalCode::TooManyScans, detail).into());
    }
    let at = asked_at(transaction, ticket.as_ref())?;
    add(transaction, venue, ticket.as_ref(), admit, at)?;
    Ok(Outcome::Admission(show(
        transaction,
        venue,
        ticket.as_ref(),
        admit,
        at,
    )?))
}

/// When a gate asks: now, but after every passage of the ticket that the log knows. Two gates that ask in one entry have
/// the same log time, and a device's clock may be ahead of it; ordered by device, or by such a clock, the second to ask
/// would be let in too.
fn asked_at(transaction: &mut Transaction<'_>, ticket: Option<&Ticket>) -> Result<Timestamp, RowsError> {
    let now = transaction.now;
    let Some(ticket) = ticket else { return Ok(now) };
    let (judgement, facts) = ticket.judged(transaction)?;
    let passed = judgement
        .verdicts
        .iter()
        .filter(|(_, verdict, _)| *verdict == Verdict::Accepted);
    let last = passed.map(|(position, ..)| facts[*position].at).max();
    Ok(last.map_or(now, |last| now.max(Timestamp(last.0.saturating_add(1)))))
}

pub(super) fn merge(transaction: &mut Transaction<'_>, venue: VenueNo, scans: &[Scan]) -> Result<Outcome, Halt> {
    let catalogue = transaction.known_catalogue(venue)?;
    if scans.len() > MAX_MERGED {
        let detail = format!("at most {MAX_MERGED} scans at once; send them in parts");
        return Err(Refusal::new(RefusalCode::TooLarge, detail).into());
    }
    check_batch(transaction, venue, scans)?;
    for scan in scans {
        if matches!(used_for(transaction, venue, &scan.admit)?, Used::Never) {
            let ticket = Ticket::find(transaction, &catalogue, venue, scan.admit.ticket)?;
            add(transaction, venue, ticket.as_ref(), &scan.admit, scan.at)?;
        }
    }
    // Only now, for a later scan of the batch may have made a duplicate of an earlier one.
    let mut views = Vec::with_capacity(scans.len());
    let mut touched = BTreeMap::new();
    for scan in scans {
        let ticket = Ticket::find(transaction, &catalogue, venue, scan.admit.ticket)?;
        views.push(show(transaction, venue, ticket.as_ref(), &scan.admit, scan.at)?);
        if let Some(ticket) = ticket {
            touched.insert(ticket.no, ticket);
        }
    }
    let mut conflicts = Vec::new();
    for ticket in touched.values() {
        let (judgement, facts) = ticket.judged(transaction)?;
        let not_accepted = judgement
            .verdicts
            .iter()
            .filter(|(_, verdict, _)| *verdict != Verdict::Accepted);
        conflicts.extend(not_accepted.map(|judged| ticket.view(&facts, *judged)));
    }
    Ok(Outcome::Merged {
        scans: views,
        conflicts,
    })
}

pub(super) fn annul(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    device: &str,
    device_seq: u64,
) -> Result<Outcome, Halt> {
    let catalogue = transaction.known_catalogue(venue)?;
    let unknown = || {
        Refusal::new(
            RefusalCode::UnknownScan,
            "the device made no such scan of a ticket of this venue",
        )
    };
    let id = device_scan(venue, device, device_seq);
    let scan = transaction.desk::<DeviceScan>(id)?.filter(|scan| scan.counted).cloned();
    let scan = scan.ok_or_else(unknown)?;
    let ticket = Ticket::find(transaction, &catalogue, venue, scan.ticket)?.ok_or_else(unknown)?;
    let mut changed = false;
    ticket.change(transaction, |facts| {
        for fact in facts
            .iter_mut()
            .filter(|fact| fact.device == device && fact.device_seq == device_seq)
        {
            changed |= !std::mem::replace(&mut fact.annulled, true);
        }
    })?;
    if changed {
        outbox::tell(
            transaction,
            venue,
            Event::AdmissionChanged(ticket.no.seq, ticket.no.number),
        );
    }
    let (judgement, facts) = ticket.judged(transaction)?;
    let judged = judgement.verdicts.iter().find(|(position, ..)| {
        let fact = &facts[*position];
        fact.device == device && fact.device_seq == device_seq
    });
    Ok(Outcome::Admission(ticket.view(&facts, *judged.ok_or_else(unknown)?)))
}

fn check_names(admit: &Admit) -> Result<(), Refusal> {
    let fits = |text: &str| (1..=MAX_GATE).contains(&text.len());
    if fits(&admit.gate) && fits(&admit.device) {
        return Ok(());
    }
    let detail = format!("the ids of gates and devices have 1 to {MAX_GATE} bytes");
    Err(Refusal::new(RefusalCode::TooLarge, detail))
}

/// Refuses a batch that cannot be merged whole, before anything of it is.
fn check_batch(transaction: &mut Transaction<'_>, venue: VenueNo, scans: &[Scan]) -> Result<(), Halt> {
    let mut seen: BTreeMap<(&str, u64), &Admit> = BTreeMap::new();
    let mut reused = Vec::new();
    for (number, Scan { admit, .. }) in scans.iter().enumerate() {
        check_names(admit)?;
        let before = seen.insert((&admit.device, admit.device_seq), admit);
        let differs = |before: &Admit| (before.ticket, before.direction) != (admit.ticket, admit.direction);
        if before.is_some_and(differs) || matches!(used_for(transaction, venue, admit)?, Used::ForAnother) {
            reused.push(LineProblem {
                line: number as u16,
                left: None,
                detail: "the device used this number for another scan".to_owned(),
            });
        }
    }
    if reused.is_empty() {
        return Ok(());
    }
    let detail = "a device used a device_seq for two scans; leave these out or count on";
    Err(Refusal::about(RefusalCode::DeviceSeqReused, detail, reused).into())
}

/// What a device's number was used for before.
enum Used {
    Never,
    ForThis,
    ForAnother,
}

fn used_for(transaction: &mut Transaction<'_>, venue: VenueNo, admit: &Admit) -> Result<Used, RowsError> {
    let id = device_scan(venue, &admit.device, admit.device_seq);
    Ok(match transaction.desk::<DeviceScan>(id)? {
        None => Used::Never,
        Some(before) if (before.ticket, before.direction) == (admit.ticket, admit.direction) => Used::ForThis,
        Some(_) => Used::ForAnother,
    })
}

/// The row of a device's scan. Of a cryptographic digest, so that nobody finds two devices that meet.
fn device_scan(venue: VenueNo, device: &str, device_seq: u64) -> DeviceScanId {
    let digest = Sha256::digest(device.as_bytes());
    DeviceScanId {
        venue,
        device: digest
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        device_seq,
    }
}

/// Adds a scan that was not there.
fn add(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    ticket: Option<&Ticket>,
    admit: &Admit,
    at: Timestamp,
) -> Result<(), Halt> {
    let mut counted = false;
    if let Some(ticket) = ticket {
        let (before, _) = ticket.judged(transaction)?;
        ticket.change(transaction, |facts| {
            if facts.len() < MAX_SCANS {
                counted = true;
                facts.push(Fact {
                    device: admit.device.clone(),
                    device_seq: admit.device_seq,
                    gate: admit.gate.clone(),
                    direction: admit.direction,
                    at,
                    annulled: false,
                });
            }
        })?;
        let (after, facts) = ticket.judged(transaction)?;
        if let Some(event) = told(&before, &after, facts.len(), admit.direction) {
            outbox::tell(transaction, venue, event(ticket.no.seq, ticket.no.number));
        }
    }
    let id = device_scan(venue, &admit.device, admit.device_seq);
    *transaction.desk_mut::<DeviceScan>(id)? = Some(DeviceScan {
        ticket: admit.ticket,
        direction: admit.direction,
        counted,
    });
    Ok(())
}

/// What is told of a scan, the last of `facts`.
fn told(before: &Judgement, after: &Judgement, facts: usize, direction: Direction) -> Option<fn(u64, u16) -> Event> {
    let accepted = |judgement: &Judgement| -> BTreeSet<usize> {
        let accepted = judgement
            .verdicts
            .iter()
            .filter(|(_, verdict, _)| *verdict == Verdict::Accepted);
        accepted.map(|(position, ..)| *position).collect()
    };
    let (before, mut after) = (accepted(before), accepted(after));
    let new = after.remove(&facts.saturating_sub(1));
    match (new, before == after, direction) {
        (false, true, _) => None,
        (true, true, Direction::Entry) => Some(Event::Admitted),
        (true, true, Direction::Exit) => Some(Event::Left),
        _ => Some(Event::AdmissionChanged),
    }
}

/// The scan as the gate is told of it. Of one that is not among a ticket's, only its number is kept: it is told as it came.
fn show(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    ticket: Option<&Ticket>,
    admit: &Admit,
    at: Timestamp,
) -> Result<AdmissionView, Halt> {
    let stateless = |verdict| AdmissionView {
        ticket: admit.ticket,
        gate: admit.gate.clone(),
        device: admit.device.clone(),
        device_seq: admit.device_seq,
        direction: admit.direction,
        at,
        verdict,
        first: None,
        admits: None,
        offset_minutes: 0,
    };
    let Some(ticket) = ticket else {
        let verdict = if admit.ticket.venue == venue {
            Verdict::Unknown
        } else {
            Verdict::WrongVenue
        };
        return Ok(stateless(verdict));
    };
    // Beyond what one ticket may have, it is known only that there were others.
    let mut beyond = stateless(Verdict::Duplicate);
    let (judgement, facts) = ticket.judged(transaction)?;
    let judged = judgement.verdicts.iter().find(|(position, ..)| {
        let fact = &facts[*position];
        fact.device == admit.device && fact.device_seq == admit.device_seq
    });
    Ok(match judged {
        Some(judged) => ticket.view(&facts, *judged),
        None => {
            beyond.admits = Some(ticket.admits.clone());
            beyond
        }
    })
}

/// A ticket of the venue.
struct Ticket {
    no: TicketNo,
    id: TicketId,
    terms: Terms,
    admits: Admits,
    product: u16,
    day: ServiceDay,
}

impl Ticket {
    /// The ticket that `id` names. A wrong secret is as good as a wrong number.
    fn find(
        transaction: &mut Transaction<'_>,
        catalogue: &Catalogue,
        venue: VenueNo,
        id: TicketId,
    ) -> Result<Option<Self>, RowsError> {
        if id.venue != venue {
            return Ok(None);
        }
        let record = RecordId { venue, seq: id.seq };
        let Some(Record::Booking(booking)) = transaction.record(record)? else {
            return Ok(None);
        };
        let Some((view, line)) = views::ticket(&catalogue.row, id, booking) else {
            return Ok(None);
        };
        let line = *line;
        let slot = transaction.slot(slot_of(venue, &line))?;
        let product = catalogue.product_of(line.product);
        let unit = product.and_then(|product| product.units.iter().find(|unit| unit.slug == view.unit));
        Ok(Some(Self {
            no: id.into(),
            id,
            terms: terms(catalogue, &line, slot.as_ref(), view.status == TicketStatus::Void),
            admits: Admits {
                unit: view.unit,
                slot: view.slot,
                serial: view.serial,
                id_required: unit.is_some_and(|unit| unit.id_required),
            },
            product: line.product,
            day: day_of(&line, slot.as_ref()),
        }))
    }

    fn judged(&self, transaction: &mut Transaction<'_>) -> Result<(Judgement, Vec<Fact>), RowsError> {
        let scans = transaction.desk::<Scans>(self.no)?;
        Ok(scans.map_or_else(Default::default, |scans| {
            (scans.judged(self.terms.void), scans.facts.clone())
        }))
    }

    /// Changes the ticket's scans, and with them who came and went.
    fn change(&self, transaction: &mut Transaction<'_>, change: impl FnOnce(&mut Vec<Fact>)) -> Result<(), RowsError> {
        let scans = transaction.desk_mut::<Scans>(self.no)?;
        let scans = scans.get_or_insert_with(|| Scans::none(self.terms));
        let before = std::mem::take(&mut scans.passages);
        change(&mut scans.facts);
        let judgement = scans.judged(self.terms.void);
        scans.passages = self.passages(&judgement, &scans.facts);
        let after = scans.passages.clone();
        for passage in before {
            self.count(transaction, passage, u32::checked_sub)?;
        }
        for passage in after {
            self.count(transaction, passage, u32::checked_add)?;
        }
        Ok(())
    }

    fn passages(&self, judgement: &Judgement, facts: &[Fact]) -> Vec<Passage> {
        let accepted = judgement
            .verdicts
            .iter()
            .filter(|(_, verdict, _)| *verdict == Verdict::Accepted);
        let mut first = true;
        accepted
            .map(|(position, ..)| {
                let fact = &facts[*position];
                Passage {
                    day: self.day,
                    hour: fact.at.0.div_euclid(HOUR),
                    direction: fact.direction,
                    new: fact.direction == Direction::Entry && std::mem::take(&mut first),
                }
            })
            .collect()
    }

    /// Adds a passage to its hour, or takes it away.
    fn count(
        &self,
        transaction: &mut Transaction<'_>,
        passage: Passage,
        by: fn(u32, u32) -> Option<u32>,
    ) -> Result<(), RowsError> {
        let hour = FootfallId {
            venue: self.no.venue,
            day: passage.day,
            hour: passage.hour,
        };
        let row = transaction.desk_mut::<Footfall>(hour)?.get_or_insert_default();
        let found = row.0.binary_search_by_key(&self.product, |passed| passed.product);
        let place = found.unwrap_or_else(|place| {
            row.0.insert(place, Passed::nobody(self.product));
            place
        });
        let passed = &mut row.0[place];
        let entry = passage.direction == Direction::Entry;
        let counts = [
            (&mut passed.entered, entry),
            (&mut passed.left, !entry),
            (&mut passed.visitors, passage.new),
        ];
        for (count, _) in counts.into_iter().filter(|(_, counts)| *counts) {
            *count = by(*count, 1).ok_or_else(|| {
                let key = Key::footfall(hour.venue, hour.day, hour.hour);
                damaged(&key, "who came and went does not add up".to_owned())
            })?;
        }
        row.0.retain(|passed| *passed != Passed::nobody(passed.product));
        Ok(())
    }

    fn view(&self, facts: &[Fact], judged: (usize, Verdict, Option<usize>)) -> AdmissionView {
        admission_view(self.id, Some(self.admits.clone()), facts, judged)
    }
}

/// A fact with its verdict, as it is shown.
pub(crate) fn admission_view(
    ticket: TicketId,
    admits: Option<Admits>,
    facts: &[Fact],
    (position, verdict, because): (usize, Verdict, Option<usize>),
) -> AdmissionView {
    let fact = &facts[position];
    AdmissionView {
        ticket,
        gate: fact.gate.clone(),
        device: fact.device.clone(),
        device_seq: fact.device_seq,
        direction: fact.direction,
        at: fact.at,
        verdict,
        first: because
            .and_then(|because| facts.get(because))
            .map(|first| FirstAdmission {
                at: first.at,
                gate: first.gate.clone(),
                device: first.device.clone(),
                device_seq: first.device_seq,
            }),
        offset_minutes: admits.as_ref().map_or(0, |admits| admits.slot.offset_minutes),
        admits,
    }
}
