//! The codec: what is encoded comes back, and no bytes whatsoever make a decoder panic.

use bytes::Bytes;
use proptest::prelude::*;

use super::codec_desk;
use crate::audit_log::AuditLine;
use crate::catalogue::{Opening, ProductDefinition, ProductKind, UnitDefinition, VenueDefinition};
use crate::codec::*;
use crate::command::{Channel, Command, Entry, HoldRequest, LineRequest, Operation, SlotChange, SlotPlan, SlotSpec};
use crate::ids::{BookingId, CommandKey, SlotRef, TicketId, VenueNo};
use crate::outcome::{
    BookingStatus, BookingView, LineProblem, LineView, Outcome, Refusal, RefusalCode, Reply, SlotStatus, SlotView,
    TicketStatus, TicketView,
};
use crate::query::{Answer, EventKind, EventPosition, EventView, Query};
use crate::state::decode_row;
use crate::time::{ServiceDay, Timestamp};

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-z-]{0,12}", 1 => "\\PC{0,40}", 1 => Just("x".repeat(300))]
}

pub(super) fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

pub(super) fn day() -> impl Strategy<Value = ServiceDay> {
    any::<i32>().prop_map(ServiceDay)
}

pub(super) fn booking_id() -> impl Strategy<Value = BookingId> {
    any::<(u32, u64, u64)>().prop_map(|(venue, seq, secret)| BookingId {
        venue: VenueNo(venue),
        seq,
        secret,
    })
}

pub(super) fn slot_ref() -> impl Strategy<Value = SlotRef> {
    (text(), time(), any::<i16>()).prop_map(|(product, start, offset_minutes)| SlotRef {
        product,
        start,
        offset_minutes,
    })
}

pub(super) fn channel() -> impl Strategy<Value = Channel> {
    prop::sample::select(vec![
        Channel::Web,
        Channel::Kiosk,
        Channel::Counter,
        Channel::Reseller,
        Channel::Phone,
    ])
}

fn unit() -> impl Strategy<Value = UnitDefinition> {
    let small = any::<Option<u32>>();
    let lists = (
        prop::collection::vec(text(), 0..3),
        prop::option::of(text()),
        any::<bool>(),
    );
    (
        text(),
        text(),
        any::<i64>(),
        any::<u32>(),
        small,
        any::<Option<u32>>(),
        any::<Option<u32>>(),
        lists,
    )
        .prop_map(
            |(slug, kind, price, pax, min_age, max_age, max_quantity, (accompanied_by, requires, id_required))| {
                UnitDefinition {
                    slug,
                    name: None,
                    texts: Default::default(),
                    kind,
                    price,
                    pax,
                    min_age,
                    max_age,
                    accompanied_by,
                    max_quantity,
                    requires,
                    id_required,
                }
            },
        )
}

fn product() -> impl Strategy<Value = ProductDefinition> {
    let kind = prop::sample::select(vec![
        ProductKind::Timed,
        ProductKind::Guided,
        ProductKind::Group,
        ProductKind::Day,
    ]);
    let units = prop::collection::vec(unit(), 0..3);
    (
        text(),
        text(),
        kind,
        any::<[u32; 6]>(),
        any::<[Option<u32>; 3]>(),
        prop::option::of(time()),
        units,
    )
        .prop_map(
            |(slug, name, kind, numbers, options, on_sale, units)| ProductDefinition {
                slug,
                name,
                texts: Default::default(),
                kind,
                slot_minutes: numbers[0],
                visit_minutes: numbers[1],
                capacity: numbers[2],
                last_entry_before_close_minutes: options[0],
                on_sale,
                hold_minutes: numbers[3],
                min_units_per_booking: numbers[4],
                max_units_per_booking: numbers[5],
                min_to_run: options[1],
                cutoff_minutes: 60,
                guides: options[2],
                re_entry: false,
                early_entry_minutes: 15,
                units,
            },
        )
}

fn venue() -> impl Strategy<Value = VenueDefinition> {
    let opening = any::<(u8, u16, u16)>().prop_map(|(days, from_minute, to_minute)| Opening {
        days,
        from_minute,
        to_minute,
    });
    let lists = (
        prop::collection::vec(opening, 0..3),
        prop::collection::vec(day(), 0..3),
        prop::collection::vec(product(), 0..3),
    );
    ([text(), text(), text(), text(), text()], any::<(u8, u32, u32)>(), lists).prop_map(
        |([slug, name, city, time_zone, currency], numbers, (opening, closed, products))| VenueDefinition {
            slug,
            name,
            language: String::new(),
            texts: Default::default(),
            city,
            time_zone,
            currency,
            currency_digits: numbers.0,
            tax_basis_points: numbers.1,
            building_capacity: numbers.2,
            opening,
            closed,
            products,
        },
    )
}

pub(super) fn line_request() -> impl Strategy<Value = LineRequest> {
    (slot_ref(), text(), any::<u32>(), prop::option::of(text())).prop_map(|(slot, unit, quantity, claim)| LineRequest {
        slot,
        unit,
        quantity,
        claim,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let spec = (time(), time(), time(), any::<i16>(), any::<u32>()).prop_map(
        |(start, end, occupies_until, offset_minutes, capacity)| SlotSpec {
            start,
            end,
            occupies_until,
            offset_minutes,
            capacity,
        },
    );
    let plan =
        (any::<u64>(), text(), day(), prop::collection::vec(spec, 0..4)).prop_map(|(revision, product, day, slots)| {
            SlotPlan {
                revision,
                product,
                day,
                slots,
            }
        });
    let change = prop_oneof![
        any::<u32>().prop_map(SlotChange::Capacity),
        any::<bool>().prop_map(SlotChange::Closed)
    ];
    let hold = (any::<u64>(), channel(), prop::collection::vec(line_request(), 0..5))
        .prop_map(|(secret, channel, lines)| HoldRequest { secret, channel, lines });
    prop_oneof![
        venue().prop_map(|venue| Operation::ImportVenue(Box::new(venue))),
        plan.prop_map(Operation::SetSlots),
        (slot_ref(), change).prop_map(|(slot, change)| Operation::ChangeSlot { slot, change }),
        hold.prop_map(Operation::Hold),
        booking_id().prop_map(|booking| Operation::Extend { booking }),
        (booking_id(), any::<u64>(), prop::option::of(codec_desk::payment())).prop_map(|(booking, nonce, payment)| {
            Operation::Confirm {
                booking,
                nonce,
                payment,
            }
        }),
        booking_id().prop_map(|booking| Operation::Release { booking }),
        (booking_id(), prop::collection::vec(any::<u16>(), 0..4))
            .prop_map(|(booking, lines)| Operation::Cancel { booking, lines }),
        any::<u32>().prop_map(|limit| Operation::Expire { limit }),
        codec_desk::operation(),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let actor = prop::option::of(codec_desk::actor());
    (
        any::<Option<[u8; 16]>>(),
        any::<u64>(),
        any::<u32>(),
        actor,
        operation(),
    )
        .prop_map(|(key, fingerprint, venue, actor, operation)| Command {
            key: key.map(CommandKey),
            fingerprint,
            venue: match operation {
                Operation::Probe(_) => VenueNo::RESERVE,
                _ => VenueNo(venue.min(VenueNo::RESERVE.0 - 1)),
            },
            actor,
            operation,
        })
}

fn audit_line() -> impl Strategy<Value = AuditLine> {
    let refused = prop::option::of(prop::sample::select(RefusalCode::ALL));
    (
        any::<u64>(),
        any::<u64>(),
        time(),
        codec_desk::actor(),
        text(),
        text(),
        refused,
    )
        .prop_map(|(number, index, at, actor, operation, about, refused)| AuditLine {
            number,
            index,
            at,
            actor: *actor,
            operation,
            about,
            refused,
        })
}

pub(super) fn booking_view() -> impl Strategy<Value = BookingView> {
    let status = prop::sample::select(vec![
        BookingStatus::Held,
        BookingStatus::Confirmed,
        BookingStatus::Expired,
        BookingStatus::Released,
        BookingStatus::Cancelled,
    ]);
    let line =
        (slot_ref(), text(), any::<u32>(), any::<[i64; 3]>()).prop_map(|(slot, unit, quantity, money)| LineView {
            slot,
            unit,
            quantity,
            unit_price: money[0],
            tax: money[1],
            total: money[2],
            cancelled: money[0] % 2 == 0,
        });
    let lines = prop::collection::vec(line, 0..4);
    let head = (booking_id(), text(), status, text(), channel(), text());
    let times = (
        any::<i64>(),
        time(),
        prop::option::of(time()),
        prop::option::of(time()),
        prop::option::of(time()),
    );
    // Tickets that repeat a line, and tickets that have nothing to do with the booking.
    let ticket = (
        prop::option::of(0..4usize),
        booking_id(),
        any::<(u16, u64, u64, bool)>(),
        slot_ref(),
        text(),
    );
    (head, lines, times, any::<i16>(), prop::collection::vec(ticket, 0..6)).prop_map(
        |((id, reference, status, venue, channel, currency), lines, times, offset_minutes, tickets)| {
            let tickets = tickets
                .into_iter()
                .map(|(line, other, (number, secret, serial, void), slot, unit)| {
                    let line = line.and_then(|line| lines.get(line));
                    let (of, slot, unit) = match line {
                        Some(line) => (id, line.slot.clone(), line.unit.clone()),
                        None => (other, slot, unit),
                    };
                    TicketView {
                        id: TicketId {
                            venue: of.venue,
                            seq: of.seq,
                            number,
                            secret,
                        },
                        serial,
                        unit,
                        slot,
                        status: if void { TicketStatus::Void } else { TicketStatus::Valid },
                    }
                })
                .collect();
            BookingView {
                id,
                reference,
                status,
                venue,
                channel,
                currency,
                lines,
                total: times.0,
                created_at: times.1,
                expires_at: times.2,
                confirmed_at: times.3,
                ended_at: times.4,
                offset_minutes,
                tickets,
            }
        },
    )
}

fn slot_view() -> impl Strategy<Value = SlotView> {
    let status = prop::sample::select(vec![
        SlotStatus::Available,
        SlotStatus::Limited,
        SlotStatus::SoldOut,
        SlotStatus::Closed,
        SlotStatus::NotOnSale,
    ]);
    (slot_ref(), time(), day(), status, any::<[u32; 4]>()).prop_map(|(slot, end, day, status, counts)| SlotView {
        slot,
        end,
        day,
        status,
        capacity: counts[0],
        held: counts[1],
        confirmed: counts[2],
        vacancies: counts[3],
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    let problem = (any::<u16>(), any::<Option<u32>>(), text()).prop_map(|(line, left, detail)| LineProblem {
        line,
        left,
        detail,
    });
    let refusal = (
        prop::sample::select(RefusalCode::ALL),
        text(),
        prop::collection::vec(problem, 0..3),
    )
        .prop_map(|(code, detail, lines)| Refusal { code, detail, lines });
    let outcome = prop_oneof![
        booking_view().prop_map(Outcome::Booking),
        refusal.prop_map(Outcome::Refused),
        any::<(u64, bool)>().prop_map(|(revision, changed)| Outcome::Imported { revision, changed }),
        any::<[u32; 3]>().prop_map(|[added, removed, kept]| Outcome::SlotsSet { added, removed, kept }),
        slot_view().prop_map(Outcome::SlotChanged),
        any::<(u32, bool)>().prop_map(|(count, more)| Outcome::Expired { count, more }),
        codec_desk::outcome(),
    ];
    (any::<u64>(), any::<bool>(), outcome).prop_map(|(index, replayed, outcome)| Reply {
        index,
        replayed,
        outcome,
    })
}

fn query() -> impl Strategy<Value = Query> {
    prop_oneof![
        any::<u32>().prop_map(|venue| Query::Venue { venue: VenueNo(venue) }),
        booking_id().prop_map(|booking| Query::Booking { booking }),
        (any::<u32>(), any::<u64>(), any::<u32>()).prop_map(|(venue, after, limit)| Query::Audit {
            venue: VenueNo(venue),
            after,
            limit,
        }),
        (any::<u32>(), prop::option::of(text()), day(), day()).prop_map(|(venue, product, from, to)| {
            Query::Availability {
                venue: VenueNo(venue),
                product,
                from,
                to,
            }
        }),
        codec_desk::query(),
        (any::<u32>(), any::<[u64; 2]>(), any::<u32>()).prop_map(|(venue, [row, next], limit)| Query::Events {
            venue: VenueNo(venue),
            after: EventPosition { row, next },
            limit,
        }),
    ]
}

fn event() -> impl Strategy<Value = EventView> {
    let kind = prop::sample::select(vec![EventKind::Held, EventKind::SlotChanged, EventKind::PartCancelled]);
    let numbers = any::<[u64; 4]>();
    (numbers, time(), kind, prop::option::of(text()), any::<Option<u16>>()).prop_map(
        |([number, row, next, index], at, kind, booking, ticket)| EventView {
            number,
            end: EventPosition { row, next },
            at,
            index,
            kind,
            booking,
            ticket,
            slot: None,
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        (
            any::<u64>(),
            prop::collection::vec(prop::option::of(day()), 0..4),
            venue()
        )
            .prop_map(|(revision, planned_through, definition)| Answer::Venue {
                revision,
                planned_through,
                definition: Box::new(definition),
            }),
        booking_view().prop_map(Answer::Booking),
        (time(), prop::collection::vec(slot_view(), 0..4))
            .prop_map(|(time, slots)| Answer::Availability { time, slots }),
        Just(Answer::NotFound),
        codec_desk::answer(),
        (prop::collection::vec(audit_line(), 0..4), any::<u64>(), time())
            .prop_map(|(lines, last, time)| Answer::Audit { lines, last, time }),
        (
            prop::collection::vec(event(), 0..4),
            any::<[u64; 2]>(),
            any::<bool>(),
            time()
        )
            .prop_map(|(events, [row, next], more, time)| Answer::Events {
                events,
                end: EventPosition { row, next },
                more,
                time,
            }),
    ]
}

/// Every decoder on the same bytes. What they say does not matter; that they say it does.
fn decode_everything(bytes: &[u8]) {
    let _ = decode_entry(bytes);
    // What is let into the log is what can be read there, and nothing else.
    let venue = decode_command(bytes).map(|command| command.venue);
    assert_eq!(check_command(bytes), venue);
    let _ = decode_reply(bytes);
    let _ = decode_query(bytes);
    let _ = decode_answer(bytes);
    let _ = decode_news(bytes);
    let _ = split_replies(Bytes::copy_from_slice(bytes));
    let _ = decode_row::<crate::state::Record>(&[], bytes);
    let _ = decode_row::<crate::state::Slot>(&[], bytes);
    let _ = decode_row::<crate::state::Reserve>(&[], bytes);
    let _ = decode_row::<crate::state::Counters>(&[], bytes);
    let _ = decode_row::<crate::state::Scans>(&[], bytes);
    let _ = decode_row::<crate::state::TicketKeys>(&[], bytes);
    let _ = decode_row::<crate::ledger::JournalEntry>(&[], bytes);
}

proptest! {
    #[test]
    fn entries_come_back(stamp in time(), commands in prop::collection::vec(command(), 0..4)) {
        let entry = Entry { stamp, commands };
        let encoded = encode_entry(&entry);
        prop_assert_eq!(decode_entry(&encoded).unwrap(), entry.clone());
        let mut builder = EntryBuilder::new();
        for command in &entry.commands {
            builder.push(&encode_command(command));
        }
        prop_assert_eq!((builder.len(), builder.size()), (entry.commands.len(), encoded.len()));
        prop_assert_eq!(builder.finish(stamp), encoded);
    }

    #[test]
    fn replies_come_back_and_are_split_undecoded(replies in prop::collection::vec(reply(), 0..4)) {
        let split = split_replies(encode_replies(&replies)).unwrap();
        prop_assert_eq!(split.len(), replies.len());
        for (bytes, reply) in split.iter().zip(&replies) {
            prop_assert_eq!(&decode_reply(bytes).unwrap(), reply);
            prop_assert_eq!(bytes, &encode_reply(reply));
        }
    }

    #[test]
    fn queries_and_answers_come_back(query in query(), answer in answer()) {
        prop_assert_eq!(decode_query(&encode_query(&query)).unwrap(), query);
        prop_assert_eq!(decode_answer(&encode_answer(&answer)).unwrap(), answer);
    }

    #[test]
    fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_everything(&bytes);
        decode_everything(&[&[VERSION], &bytes[..]].concat());
    }

    #[test]
    fn cut_and_flipped_bytes_do_not_panic(
        command in command(),
        reply in reply(),
        cut in any::<prop::sample::Index>(),
        flip in any::<u8>(),
    ) {
        let entry = encode_entry(&Entry { stamp: Timestamp(1), commands: vec![command.clone()] });
        prop_assert!(decode_entry(&entry[..cut.index(entry.len())]).is_err());
        let encoded = encode_reply(&reply);
        prop_assert!(decode_reply(&encoded[..cut.index(encoded.len())]).is_err());
        for encoded in [entry, encoded, encode_replies(&[reply]), encode_command(&command)] {
            let mut bytes = encoded.to_vec();
            let at = cut.index(bytes.len());
            decode_everything(&bytes[..at]);
            bytes[at] ^= flip;
            decode_everything(&bytes);
        }
    }
}

#[test]
fn a_claimed_length_allocates_nothing() {
    // A list of four billion lines in ten bytes.
    let mut bytes = encode_command(&Command {
        key: None,
        fingerprint: 0,
        venue: VenueNo(1),
        actor: None,
        operation: Operation::Hold(HoldRequest {
            secret: 0,
            channel: Channel::Web,
            lines: Vec::new(),
        }),
    })
    .to_vec();
    bytes.pop();
    bytes.extend_from_slice(&[255; 5]);
    assert_eq!(decode_command(&bytes), Err(CodecError::Truncated));
    assert_eq!(
        split_replies(Bytes::from_static(&[VERSION, 255, 255, 255, 255])),
        Err(CodecError::Truncated)
    );
}

#[test]
fn another_version_and_trailing_bytes_are_named() {
    assert_eq!(
        decode_query(&[9, 0]),
        Err(CodecError::Version {
            found: 9,
            known: VERSION
        })
    );
    let mut bytes = encode_query(&Query::Venue { venue: VenueNo(1) }).to_vec();
    bytes.push(0);
    assert_eq!(decode_query(&bytes), Err(CodecError::Trailing { bytes: 1 }));
    assert_eq!(decode_query(&[]), Err(CodecError::Truncated));
}
