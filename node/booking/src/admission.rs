//! Admissions: scans of tickets at gates, and what they come to.
//!
//! A scan is a fact: this device saw this ticket then. Facts are only ever added (by set union, under device and number),
//! and verdicts follow from all of a ticket's facts by [`judge`], which puts them in order of time, device and number. So
//! scans that gates made by themselves can arrive in any order and as often as one likes, and come to the same. A gate that
//! asks is dated after every passage of the ticket that the log knows, so of gates that ask one is told yes. Two gates
//! cut off from each other may both have let the same ticket in: the later of the two is then told as a duplicate.

use crate::ids::{SlotRef, TicketId};
use crate::outcome::{TicketStatus, TicketView};
use crate::time::Timestamp;

/// Scans that one ticket may have: a broken gate must not fill the store.
pub const MAX_SCANS: usize = 64;

/// Scans that one command merges at most.
pub const MAX_MERGED: usize = 1_024;

/// Longest id of a gate or device, in bytes.
pub const MAX_GATE: usize = 64;

/// Through the gate which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Into the building.
    Entry = 0,
    /// Out of it.
    Exit = 1,
}

/// What a gate asks about, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admit {
    /// Which ticket, of whatever venue.
    pub ticket: TicketId,
    /// Which gate, for people.
    pub gate: String,
    /// Which device scanned.
    pub device: String,
    /// The device's number of the scan: no two scans of a device have the same.
    pub device_seq: u64,
    /// Which way.
    pub direction: Direction,
}

/// A scan that a gate judged by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// What was scanned where.
    pub admit: Admit,
    /// By the device's clock.
    pub at: Timestamp,
}

/// What came of a scan. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Goes through.
    Accepted = 0,
    /// The ticket has been admitted before.
    Duplicate = 1,
    /// The ticket is for another venue.
    WrongVenue = 2,
    /// The ticket is for another day.
    WrongDay = 3,
    /// The ticket is for another time of the day.
    OutsideWindow = 4,
    /// The ticket was cancelled or exchanged.
    Void = 5,
    /// There is no such ticket.
    Unknown = 6,
    /// The staff took the scan back.
    Annulled = 7,
    /// Somebody leaves who is not in.
    NotInside = 8,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: &'static [Verdict] = &[
        Self::Accepted,
        Self::Duplicate,
        Self::WrongVenue,
        Self::WrongDay,
        Self::OutsideWindow,
        Self::Void,
        Self::Unknown,
        Self::Annulled,
        Self::NotInside,
    ];

    /// As it stands in answers: `accepted`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::WrongVenue => "wrong_venue",
            Self::WrongDay => "wrong_day",
            Self::OutsideWindow => "outside_window",
            Self::Void => "void",
            Self::Unknown => "unknown",
            Self::Annulled => "annulled",
            Self::NotInside => "not_inside",
        }
    }
}

/// A scan with its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionView {
    /// Which ticket.
    pub ticket: TicketId,
    /// Which gate.
    pub gate: String,
    /// Which device.
    pub device: String,
    /// The device's number of the scan.
    pub device_seq: u64,
    /// Which way.
    pub direction: Direction,
    /// When: log time for a gate that asked, but after the ticket's last passage; the device's for one that did not.
    pub at: Timestamp,
    /// What came of it.
    pub verdict: Verdict,
    /// The admission that made a duplicate of this one.
    pub first: Option<FirstAdmission>,
    /// What the ticket is for, where it is one of the venue's.
    pub admits: Option<Admits>,
    /// Offset of the venue's local time, in minutes, for showing times.
    pub offset_minutes: i16,
}

/// When and where a ticket was admitted before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstAdmission {
    /// When.
    pub at: Timestamp,
    /// Which gate.
    pub gate: String,
    /// Which device.
    pub device: String,
    /// The device's number of the scan.
    pub device_seq: u64,
}

/// What a ticket is for: what somebody at a gate looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admits {
    /// Unit id.
    pub unit: String,
    /// Slot.
    pub slot: SlotRef,
    /// Serial within the venue.
    pub serial: u64,
    /// An identity card is looked at.
    pub id_required: bool,
}

/// A ticket with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketScans {
    /// The ticket.
    pub ticket: TicketView,
    /// Venue id.
    pub venue: String,
    /// Admits from here.
    pub from: Timestamp,
    /// Admits until here.
    pub until: Timestamp,
    /// May its visitor come back.
    pub re_entry: bool,
    /// Its scans, in the order in which they count.
    pub scans: Vec<AdmissionView>,
    /// The signed claims, as they stand in the QR code; `None` while the venue has no key.
    pub payload: Option<Vec<u8>>,
    /// Log time of the state.
    pub time: Timestamp,
}

/// Who came and went in one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FootfallView {
    /// Service day of the tickets.
    pub day: crate::time::ServiceDay,
    /// The hour begins.
    pub hour: Timestamp,
    /// Offset of the venue's local time then, in minutes; that of the day's first slot.
    pub offset_minutes: i16,
    /// Product id.
    pub product: String,
    /// Entries, those of people who came back included.
    pub entered: u32,
    /// Exits.
    pub left: u32,
    /// Tickets that were admitted for the first time.
    pub visitors: u32,
}

/// A fact about a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) device: String,
    pub(crate) device_seq: u64,
    pub(crate) gate: String,
    pub(crate) direction: Direction,
    /// As the scan came.
    pub(crate) at: Timestamp,
    /// The staff took it back.
    pub(crate) annulled: bool,
}

/// What a ticket allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Admits from here.
    pub(crate) from: Timestamp,
    /// Admits until here; may leave, and come back, after it.
    pub(crate) until: Timestamp,
    pub(crate) re_entry: bool,
    pub(crate) void: bool,
}

/// A ticket's day begins and ends so long before and after its window, for telling a wrong day from a wrong hour.
const SAME_DAY: i64 = 12 * 60 * 60 * 1000;

/// What a ticket's facts come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Positions of the facts in the order in which they count, each with its verdict and the position of the fact that
    /// made a duplicate of it.
    pub(crate) verdicts: Vec<(usize, Verdict, Option<usize>)>,
    /// Where the visitor is by all accepted facts.
    pub(crate) inside: bool,
    /// Somebody was admitted.
    pub(crate) admitted: bool,
}

/// Judges all facts of a ticket. The same facts in any order come to the same.
pub(crate) fn judge(terms: Terms, facts: &[Fact]) -> Judgement {
    let mut order: Vec<usize> = (0..facts.len()).collect();
    order.sort_by(|one, other| {
        let (one, other) = (&facts[*one], &facts[*other]);
        // A device whose clock is far off is ordered by the ticket's own time, not before or after everybody.
        (clamped(terms, one.at), &one.device, one.device_seq).cmp(&(
            clamped(terms, other.at),
            &other.device,
            other.device_seq,
        ))
    });
    let mut judgement = Judgement::default();
    let mut entered_by = None;
    for position in order {
        let fact = &facts[position];
        let (verdict, because) = match fact.direction {
            _ if fact.annulled => (Verdict::Annulled, None),
            _ if terms.void => (Verdict::Void, None),
            Direction::Exit if judgement.inside => {
                judgement.inside = false;
                (Verdict::Accepted, None)
            }
            Direction::Exit => (Verdict::NotInside, None),
            Direction::Entry if judgement.inside => (Verdict::Duplicate, entered_by),
            Direction::Entry if judgement.admitted && !terms.re_entry => (Verdict::Duplicate, entered_by),
            Direction::Entry => match in_time(terms, fact.at, judgement.admitted) {
                Verdict::Accepted => {
                    (judgement.inside, judgement.admitted) = (true, true);
                    entered_by = Some(position);
                    (Verdict::Accepted, None)
                }
                refused => (refused, None),
            },
        };
        judgement.verdicts.push((position, verdict, because));
    }
    judgement
}

/// Whether an entry at this time is within the ticket's window; who comes back may be later.
fn in_time(terms: Terms, at: Timestamp, comes_back: bool) -> Verdict {
    let Terms { from, until, .. } = terms;
    if at.0 < from.0.saturating_sub(SAME_DAY) || at.0 > until.0.saturating_add(SAME_DAY) {
        Verdict::WrongDay
    } else if at < from || (at > until && !comes_back) {
        Verdict::OutsideWindow
    } else {
        Verdict::Accepted
    }
}

fn clamped(terms: Terms, at: Timestamp) -> Timestamp {
    let last = Timestamp(terms.until.0.saturating_add(SAME_DAY)).max(terms.from);
    at.clamp(terms.from, last)
}

/// How a ticket stands at `now`.
pub(crate) fn status(terms: Terms, judgement: &Judgement, now: Timestamp) -> TicketStatus {
    if terms.void {
        TicketStatus::Void
    } else if judgement.inside {
        TicketStatus::Inside
    } else if judgement.admitted && terms.re_entry && now.0 <= terms.until.0.saturating_add(SAME_DAY) {
        TicketStatus::Outside
    } else if judgement.admitted {
        TicketStatus::Used
    } else if now > terms.until {
        TicketStatus::NoShow
    } else {
        TicketStatus::Valid
    }
}
