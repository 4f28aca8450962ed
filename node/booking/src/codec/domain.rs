//! The layouts of ids and commands. The order of fields and the numbers of variants are stored in logs and rows:
//! a change needs a new version byte, not an edit.

use crate::admission::{Admit, Direction, Scan};
use crate::catalogue::VenueDefinition;
use crate::catalogue::encoding::{decode_venue, encode_venue};
use crate::codec::CodecError;
use crate::codec::wire::{Reader, Wire, Writer, skip_field, wire_newtype, wire_struct, wire_tag};
use crate::command::{
    Actor, Channel, Command, HoldRequest, LineRequest, Operation, Payment, Probe, ProbeStep, Role, SlotChange,
    SlotPlan, SlotSpec,
};
use crate::ids::{BookingId, CommandKey, SlotRef, TicketId, VenueNo};
use crate::time::{ServiceDay, Timestamp};

wire_newtype!(Timestamp, ServiceDay, VenueNo, CommandKey);

wire_struct!(BookingId { venue, seq, secret });
wire_struct!(TicketId {
    venue,
    seq,
    number,
    secret
});
wire_struct!(SlotRef {
    product,
    start,
    offset_minutes
});

/// A definition has a canonical form of its own, from which its revision is taken; here it stands behind its length.
impl Wire for VenueDefinition {
    fn write(&self, writer: &mut Writer) {
        let mut encoded = Vec::with_capacity(2048);
        encode_venue(self, &mut encoded);
        writer.length(encoded.len());
        writer.raw(&encoded);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let length = reader.length()?;
        match decode_venue(reader.raw(length)?) {
            Ok((definition, read)) if read == length => Ok(definition),
            _ => Err(CodecError::Value {
                what: "venue definition",
            }),
        }
    }
}

wire_tag!(Channel {
    Web,
    Kiosk,
    Counter,
    Reseller,
    Phone
});
wire_struct!(LineRequest {
    slot,
    unit,
    quantity,
    claim
});
wire_struct!(HoldRequest { secret, channel, lines });
wire_struct!(SlotSpec {
    start,
    end,
    occupies_until,
    offset_minutes,
    capacity
});
wire_struct!(SlotPlan {
    revision,
    product,
    day,
    slots
});
wire_tag!(Role {
    Visitor,
    Kiosk,
    Counter,
    Gate,
    Reseller,
    Manager,
    Operator
});
wire_struct!(Actor { name, role, address });
wire_tag!(Direction { Entry, Exit });
wire_struct!(Admit {
    ticket,
    gate,
    device,
    device_seq,
    direction
});
wire_struct!(Scan { admit, at });
wire_tag!(ProbeStep { Hold, Release });
wire_struct!(Probe { prober, turn, step });
wire_struct!(Command {
    key,
    fingerprint,
    venue,
    actor,
    operation
});

/// Passes over a command and gives its venue, and whether it is a probe.
pub(super) fn check_command(reader: &mut Reader<'_>) -> Result<(VenueNo, bool), CodecError> {
    skip_field(|command: &Command| &command.key, reader)?;
    skip_field(|command: &Command| &command.fingerprint, reader)?;
    let venue = reader.take()?;
    skip_field(|command: &Command| &command.actor, reader)?;
    let is_probe = reader.clone().take::<u8>()? == OPERATION_PROBE;
    skip_field(|command: &Command| &command.operation, reader)?;
    Ok((venue, is_probe))
}

impl Wire for SlotChange {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Capacity(capacity) => {
                writer.put(&0u8);
                writer.put(capacity);
            }
            Self::Closed(closed) => {
                writer.put(&1u8);
                writer.put(closed);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.take::<u8>()? {
            0 => Ok(Self::Capacity(reader.take()?)),
            1 => Ok(Self::Closed(reader.take()?)),
            _ => Err(CodecError::Value { what: "slot change" }),
        }
    }
}

/// The number of [`Operation::Hold`].
const OPERATION_HOLD: u8 = 3;

/// The number of [`Operation::Probe`].
const OPERATION_PROBE: u8 = 17;

impl Wire for Operation {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::ImportVenue(definition) => {
                writer.put(&0u8);
                writer.put(definition);
            }
            Self::SetSlots(plan) => {
                writer.put(&1u8);
                writer.put(plan);
            }
            Self::ChangeSlot { slot, change } => {
                writer.put(&2u8);
                writer.put(slot);
                writer.put(change);
            }
            Self::Hold(request) => {
                writer.put(&OPERATION_HOLD);
                writer.put(request);
            }
            Self::Extend { booking } => {
                writer.put(&4u8);
                writer.put(booking);
            }
            Self::Confirm {
                booking,
                nonce,
                payment,
            } => {
                writer.put(&5u8);
                writer.put(booking);
                writer.put(nonce);
                writer.put(payment);
            }
            Self::Release { booking } => {
                writer.put(&6u8);
                writer.put(booking);
            }
            Self::Cancel { booking, lines } => {
                writer.put(&7u8);
                writer.put(booking);
                writer.put(lines);
            }
            Self::Expire { limit } => {
                writer.put(&8u8);
                writer.put(limit);
            }
            Self::Rebook { booking, nonce, lines } => {
                writer.put(&9u8);
                writer.put(booking);
                writer.put(nonce);
                writer.put(lines);
            }
            Self::Admit(admit) => {
                writer.put(&10u8);
                writer.put(admit);
            }
            Self::MergeScans { scans } => {
                writer.put(&11u8);
                writer.put(scans);
            }
            Self::Annul { device, device_seq } => {
                writer.put(&12u8);
                writer.put(device);
                writer.put(device_seq);
            }
            Self::AddTicketKey { seed, first_only } => {
                writer.put(&13u8);
                writer.put(seed);
                writer.put(first_only);
            }
            Self::RetireTicketKey { key } => {
                writer.put(&14u8);
                writer.put(key);
            }
            Self::OpenDrawer { drawer, float } => {
                writer.put(&15u8);
                writer.put(drawer);
                writer.put(float);
            }
            Self::CloseDrawer { drawer, counted } => {
                writer.put(&16u8);
                writer.put(drawer);
                writer.put(counted);
            }
            Self::Probe(probe) => {
                writer.put(&OPERATION_PROBE);
                writer.put(probe);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match reader.take::<u8>()? {
            0 => Self::ImportVenue(reader.take()?),
            1 => Self::SetSlots(reader.take()?),
            2 => Self::ChangeSlot {
                slot: reader.take()?,
                change: reader.take()?,
            },
            OPERATION_HOLD => Self::Hold(reader.take()?),
            4 => Self::Extend {
                booking: reader.take()?,
            },
            5 => Self::Confirm {
                booking: reader.take()?,
                nonce: reader.take()?,
                payment: reader.take()?,
            },
            6 => Self::Release {
                booking: reader.take()?,
            },
            7 => Self::Cancel {
                booking: reader.take()?,
                lines: reader.take()?,
            },
            8 => Self::Expire { limit: reader.take()? },
            9 => Self::Rebook {
                booking: reader.take()?,
                nonce: reader.take()?,
                lines: reader.take()?,
            },
            10 => Self::Admit(reader.take()?),
            11 => Self::MergeScans { scans: reader.take()? },
            12 => Self::Annul {
                device: reader.take()?,
                device_seq: reader.take()?,
            },
            13 => Self::AddTicketKey {
                seed: reader.take()?,
                first_only: reader.take()?,
            },
            14 => Self::RetireTicketKey { key: reader.take()? },
            15 => Self::OpenDrawer {
                drawer: reader.take()?,
                float: reader.take()?,
            },
            16 => Self::CloseDrawer {
                drawer: reader.take()?,
                counted: reader.take()?,
            },
            OPERATION_PROBE => Self::Probe(reader.take()?),
            _ => return Err(CodecError::Value { what: "operation" }),
        })
    }
    fn skip(reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let mut ahead = reader.clone();
        if ahead.take::<u8>()? == OPERATION_HOLD {
            *reader = ahead;
            return HoldRequest::skip(reader);
        }
        Self::read(reader).map(drop)
    }
}

impl Wire for Payment {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Cash { drawer } => {
                writer.put(&0u8);
                writer.put(drawer);
            }
            Self::Card => writer.put(&1u8),
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.take::<u8>()? {
            0 => Ok(Self::Cash { drawer: reader.take()? }),
            1 => Ok(Self::Card),
            _ => Err(CodecError::Value { what: "payment" }),
        }
    }
}
