//! What was asked and what was told, in the shapes of the public API: of its JSON, what the checks look at.
//!
//! A real cluster's visitors read [`Told`] out of the answer's body; whoever speaks to the cluster past the router makes
//! it from a reply ([`Told::of_outcome`]). Fields that nobody here looks at are left out; that they were the same in a
//! replay is what the operation's digest is for.

use std::fmt;

use rotunda_booking::admission::{AdmissionView, Admit, Direction, Verdict};
use rotunda_booking::command::{LineRequest, Operation};
use rotunda_booking::ids::{BookingId, SlotRef, TicketId};
use rotunda_booking::outcome::{BookingStatus, BookingView, Outcome, SlotView};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::text::{maybe, word};

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Venue id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue: Option<String>,
    /// The booking that it is about; none for a hold.
    #[serde(default, with = "maybe", skip_serializing_if = "Option::is_none")]
    pub booking: Option<BookingId>,
    /// What a hold or a rebooking wants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<AskedLine>,
    /// Which lines of the booking are cancelled, from 0; all of them where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancel: Vec<u16>,
    /// What a gate scanned and asks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Box<Scan>>,
    /// What gates scanned while they could not ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scans: Vec<Scan>,
}

/// A ticket at a gate. A device counts its scans, so that one that is sent again is known by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// Id.
    #[serde(with = "word")]
    pub ticket: TicketId,
    /// Where it was scanned.
    pub gate: String,
    /// What scanned it.
    pub device: String,
    /// The device's number of the scan.
    pub device_seq: u64,
    /// True on the way out.
    #[serde(
        default,
        with = "way_out",
        rename = "direction",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub exit: bool,
}

/// So many of one unit in one slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedLine {
    /// Slot id.
    #[serde(with = "word")]
    pub slot: SlotRef,
    /// Unit id.
    pub unit: String,
    /// How many.
    pub quantity: u32,
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// What was told: a booking, the slots of some days, or a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Why nothing was done; see `RefusalCode` and the router's own codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The booking.
    #[serde(default, with = "maybe", skip_serializing_if = "Option::is_none")]
    pub id: Option<BookingId>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Its state.
    #[serde(default, with = "status", skip_serializing_if = "Option::is_none")]
    pub status: Option<BookingStatus>,
    /// What it is of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<ToldLine>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// Once confirmed: one for each person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tickets: Vec<ToldTicket>,
    /// Availability.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<ToldSlot>,
    /// What the buyer owes for a rebooking, or is owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Money>,
    /// What came of a scan.
    #[serde(default, alias = "result", skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admitted>,
    /// What came of scans that were merged, one for each as it was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scans: Vec<ToldScan>,
    /// Those of the same tickets, of now and before, that are not accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<ToldScan>,
    /// True where the answer says that it may be older than what its caller has seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// What came of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admitted {
    /// Its holder was let in.
    Accepted,
    /// Somebody was let in with the ticket before.
    Duplicate,
    /// No ticket that lets anybody in here and now.
    Rejected,
    /// The staff took the scan back.
    Annulled,
}

impl From<Verdict> for Admitted {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted => Admitted::Accepted,
            Verdict::Duplicate => Admitted::Duplicate,
            Verdict::Annulled => Admitted::Annulled,
            Verdict::WrongVenue
            | Verdict::WrongDay
            | Verdict::OutsideWindow
            | Verdict::Void
            | Verdict::Unknown
            | Verdict::NotInside => Admitted::Rejected,
        }
    }
}

/// A scan with what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldScan {
    /// What scanned it.
    pub device: String,
    /// The device's number of the scan.
    pub device_seq: u64,
    /// What came of it.
    pub result: Admitted,
}

impl From<&AdmissionView> for ToldScan {
    fn from(view: &AdmissionView) -> Self {
        ToldScan {
            device: view.device.clone(),
            device_seq: view.device_seq,
            result: view.verdict.into(),
        }
    }
}

/// A line of a booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldLine {
    /// Slot id.
    #[serde(with = "word")]
    pub slot: SlotRef,
    /// Unit id.
    pub unit: String,
    /// How many.
    pub quantity: u32,
    /// What the line costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// It was cancelled by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// A ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldTicket {
    /// Id.
    #[serde(with = "word")]
    pub id: TicketId,
}

/// A slot with what is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldSlot {
    /// Slot id.
    #[serde(with = "word")]
    pub id: SlotRef,
    /// Places.
    pub capacity: u32,
    /// What a booking of one could get.
    pub vacancies: u32,
}

impl Asked {
    /// What a command asks for.
    #[must_use]
    pub fn of_operation(operation: &Operation) -> Self {
        let booking = match operation {
            Operation::Extend { booking }
            | Operation::Confirm { booking, .. }
            | Operation::Release { booking }
            | Operation::Cancel { booking, .. }
            | Operation::Rebook { booking, .. } => Some(*booking),
            _ => None,
        };
        let lines = match operation {
            Operation::Hold(request) => &request.lines[..],
            Operation::Rebook { lines, .. } => lines,
            _ => &[],
        };
        Asked {
            venue: None,
            booking,
            lines: lines.iter().map(AskedLine::from).collect(),
            cancel: match operation {
                Operation::Cancel { lines, .. } => lines.clone(),
                _ => Vec::new(),
            },
            scan: match operation {
                Operation::Admit(admit) => Some(Box::new(admit.into())),
                _ => None,
            },
            scans: match operation {
                Operation::MergeScans { scans } => scans.iter().map(|scan| (&scan.admit).into()).collect(),
                _ => Vec::new(),
            },
        }
    }
}

impl From<&Admit> for Scan {
    fn from(admit: &Admit) -> Self {
        Scan {
            ticket: admit.ticket,
            gate: admit.gate.clone(),
            device: admit.device.clone(),
            device_seq: admit.device_seq,
            exit: admit.direction == Direction::Exit,
        }
    }
}

impl From<&LineRequest> for AskedLine {
    fn from(line: &LineRequest) -> Self {
        AskedLine {
            slot: line.slot.clone(),
            unit: line.unit.clone(),
            quantity: line.quantity,
        }
    }
}

impl Told {
    /// What an answer's body says, as far as it is understood; empty where it is no JSON of ours.
    #[must_use]
    pub fn of_body(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// What a reply says.
    #[must_use]
    pub fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Booking(view) => Self::of_booking(view),
            Outcome::Refused(refusal) => Told {
                code: Some(refusal.code.as_str().to_owned()),
                ..Told::default()
            },
            Outcome::SlotChanged(view) => Self::of_slots(std::slice::from_ref(view)),
            Outcome::Rebooked { booking, difference } => Told {
                difference: Some(Money {
                    amount: *difference,
                    currency: booking.currency.clone(),
                }),
                ..Self::of_booking(booking)
            },
            Outcome::Admission(view) => Told {
                admission: Some(view.verdict.into()),
                ..Told::default()
            },
            Outcome::Merged { scans, conflicts } => Told {
                scans: scans.iter().map(ToldScan::from).collect(),
                conflicts: conflicts.iter().map(ToldScan::from).collect(),
                ..Told::default()
            },
            _ => Told::default(),
        }
    }

    /// A booking as it is shown.
    #[must_use]
    pub fn of_booking(view: &BookingView) -> Self {
        let money = |amount| Money {
            amount,
            currency: view.currency.clone(),
        };
        let lines = view.lines.iter().map(|line| ToldLine {
            slot: line.slot.clone(),
            unit: line.unit.clone(),
            quantity: line.quantity,
            total: Some(money(line.total)),
            cancelled: line.cancelled,
        });
        Told {
            id: Some(view.id),
            reference: Some(view.reference.clone()),
            status: Some(view.status),
            lines: lines.collect(),
            total: Some(money(view.total)),
            tickets: view.tickets.iter().map(|ticket| ToldTicket { id: ticket.id }).collect(),
            ..Told::default()
        }
    }

    /// Slots as they are shown.
    #[must_use]
    pub fn of_slots(slots: &[SlotView]) -> Self {
        let slots = slots.iter().map(|view| ToldSlot {
            id: view.slot.clone(),
            capacity: view.capacity,
            vacancies: view.vacancies,
        });
        Told {
            slots: slots.collect(),
            ..Told::default()
        }
    }
}

const STATUSES: [(BookingStatus, &str); 6] = [
    (BookingStatus::Held, "held"),
    (BookingStatus::Confirmed, "confirmed"),
    (BookingStatus::Expired, "expired"),
    (BookingStatus::Released, "released"),
    (BookingStatus::Cancelled, "cancelled"),
    (BookingStatus::Redeemed, "redeemed"),
];

/// As it stands in answers: `held`.
#[must_use]
pub fn status_name(status: BookingStatus) -> &'static str {
    STATUSES
        .iter()
        .find(|(known, _)| *known == status)
        .map_or("unknown", |(_, name)| name)
}

/// A booking's state. A problem has a `status` too, the number of HTTP; that is none of a booking's.
pub(super) mod status {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(status: &Option<BookingStatus>, serializer: S) -> Result<S::Ok, S::Error> {
        match status {
            Some(status) => serializer.serialize_str(status_name(*status)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BookingStatus>, D::Error> {
        struct Status;

        impl Visitor<'_> for Status {
            type Value = Option<BookingStatus>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the state of a booking")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                match STATUSES.iter().find(|(_, name)| *name == text) {
                    Some((status, _)) => Ok(Some(*status)),
                    None => Err(E::unknown_variant(
                        text,
                        &["held", "confirmed", "expired", "released", "cancelled", "redeemed"],
                    )),
                }
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
        }

        deserializer.deserialize_any(Status)
    }
}

/// Which way somebody went, as the public API says it: `entry` or `exit`.
mod way_out {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Way {
        Entry,
        Exit,
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    pub(super) fn serialize<S: Serializer>(exit: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        (if *exit { Way::Exit } else { Way::Entry }).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        Way::deserialize(deserializer).map(|way| matches!(way, Way::Exit))
    }
}
