//! What gates, counters and managers say and are told, in any shape, for the tests of the codec.

use proptest::prelude::*;

use super::codec::{booking_id, booking_view, channel, day, line_request, slot_ref, text, time};
use crate::admission::{
    AdmissionView, Admit, Admits, Direction, FirstAdmission, FootfallView, Scan, TicketScans, Verdict,
};
use crate::command::{Actor, Operation, Payment, Probe, ProbeStep, Role};
use crate::ids::{TicketId, VenueNo};
use crate::ledger::{Account, LedgerItem, LedgerLine, Posting, Reason};
use crate::outcome::{DrawerView, Outcome, TicketStatus, TicketView};
use crate::query::{Answer, NoShowRow, Query, SalesRow};
use crate::ticket_key::TicketKeyView;

fn some<T: std::fmt::Debug>(values: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(values, 0..3)
}

fn venue() -> impl Strategy<Value = VenueNo> {
    any::<u32>().prop_map(VenueNo)
}

fn ticket_id() -> impl Strategy<Value = TicketId> {
    any::<(u32, u64, u16, u64)>().prop_map(|(venue, seq, number, secret)| TicketId {
        venue: VenueNo(venue),
        seq,
        number,
        secret,
    })
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Entry), Just(Direction::Exit)]
}

fn admit() -> impl Strategy<Value = Admit> {
    (ticket_id(), text(), text(), any::<u64>(), direction()).prop_map(
        |(ticket, gate, device, device_seq, direction)| Admit {
            ticket,
            gate,
            device,
            device_seq,
            direction,
        },
    )
}

pub(super) fn actor() -> impl Strategy<Value = Box<Actor>> {
    (text(), prop::sample::select(Role::ALL), text())
        .prop_map(|(name, role, address)| Box::new(Actor { name, role, address }))
}

pub(super) fn payment() -> impl Strategy<Value = Payment> {
    prop_oneof![Just(Payment::Card), text().prop_map(|drawer| Payment::Cash { drawer })]
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let scan = (admit(), time()).prop_map(|(admit, at)| Scan { admit, at });
    prop_oneof![
        (booking_id(), any::<u64>(), some(line_request())).prop_map(|(booking, nonce, lines)| Operation::Rebook {
            booking,
            nonce,
            lines
        }),
        admit().prop_map(Operation::Admit),
        some(scan).prop_map(|scans| Operation::MergeScans { scans }),
        (text(), any::<u64>()).prop_map(|(device, device_seq)| Operation::Annul { device, device_seq }),
        any::<([u8; 32], bool)>().prop_map(|(seed, first_only)| Operation::AddTicketKey { seed, first_only }),
        any::<u16>().prop_map(|key| Operation::RetireTicketKey { key }),
        (text(), any::<i64>()).prop_map(|(drawer, float)| Operation::OpenDrawer { drawer, float }),
        (text(), any::<i64>()).prop_map(|(drawer, counted)| Operation::CloseDrawer { drawer, counted }),
        (
            any::<u64>(),
            any::<u64>(),
            prop_oneof![Just(ProbeStep::Hold), Just(ProbeStep::Release)]
        )
            .prop_map(|(prober, turn, step)| Operation::Probe(Probe { prober, turn, step })),
    ]
}

fn admission() -> impl Strategy<Value = AdmissionView> {
    let first = (time(), text(), text(), any::<u64>()).prop_map(|(at, gate, device, device_seq)| FirstAdmission {
        at,
        gate,
        device,
        device_seq,
    });
    let admits =
        (text(), slot_ref(), any::<u64>(), any::<bool>()).prop_map(|(unit, slot, serial, id_required)| Admits {
            unit,
            slot,
            serial,
            id_required,
        });
    let told = (
        prop::sample::select(Verdict::ALL),
        prop::option::of(first),
        prop::option::of(admits),
        any::<i16>(),
    );
    (admit(), time(), told).prop_map(|(admit, at, (verdict, first, admits, offset_minutes))| AdmissionView {
        ticket: admit.ticket,
        gate: admit.gate,
        device: admit.device,
        device_seq: admit.device_seq,
        direction: admit.direction,
        at,
        verdict,
        first,
        admits,
        offset_minutes,
    })
}

fn key() -> impl Strategy<Value = TicketKeyView> {
    (any::<(u16, [u8; 32])>(), time(), prop::option::of(time())).prop_map(|((key, public), created_at, retired_at)| {
        TicketKeyView {
            key,
            public,
            created_at,
            retired_at,
        }
    })
}

fn drawer() -> impl Strategy<Value = DrawerView> {
    let times = (time(), prop::option::of(time()));
    (text(), text(), times, any::<(i64, i64, u64, Option<i64>)>()).prop_map(
        |(drawer, currency, (opened_at, closed_at), (float, sales, bookings, counted))| DrawerView {
            drawer,
            currency,
            opened_at,
            closed_at,
            float,
            sales,
            bookings,
            counted,
        },
    )
}

pub(super) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (booking_view(), any::<i64>()).prop_map(|(booking, difference)| Outcome::Rebooked { booking, difference }),
        admission().prop_map(Outcome::Admission),
        (some(admission()), some(admission())).prop_map(|(scans, conflicts)| Outcome::Merged { scans, conflicts }),
        some(key()).prop_map(Outcome::TicketKeys),
        drawer().prop_map(Outcome::Drawer),
    ]
}

pub(super) fn query() -> impl Strategy<Value = Query> {
    prop_oneof![
        ticket_id().prop_map(|ticket| Query::Ticket { ticket }),
        venue().prop_map(|venue| Query::TicketKeys { venue }),
        (venue(), day(), day()).prop_map(|(venue, from, to)| Query::GateBundle { venue, from, to }),
        (venue(), day(), day()).prop_map(|(venue, from, to)| Query::Footfall { venue, from, to }),
        (venue(), any::<(u64, u32)>()).prop_map(|(venue, (after, limit))| Query::Ledger { venue, after, limit }),
        (venue(), time(), time()).prop_map(|(venue, from, to)| Query::Sales { venue, from, to }),
        (venue(), day(), day()).prop_map(|(venue, from, to)| Query::NoShows { venue, from, to }),
        (venue(), text()).prop_map(|(venue, drawer)| Query::Drawer { venue, drawer }),
    ]
}

fn ledger_line() -> impl Strategy<Value = LedgerLine> {
    let item = (text(), text(), any::<[i64; 3]>()).prop_map(|(product, unit, [quantity, total, tax])| LedgerItem {
        product,
        unit,
        quantity,
        total,
        tax,
    });
    let posting = (any::<u16>(), prop::sample::select(Account::ALL), any::<i64>())
        .prop_map(|(item, account, amount)| Posting { item, account, amount });
    let head = (any::<(u64, u64, i64, [u8; 32])>(), time());
    let of = (prop::sample::select(Reason::ALL), channel());
    (head, of, some(item), some(posting)).prop_map(
        |(((number, booking, places, hash), at), (reason, channel), items, postings)| LedgerLine {
            number,
            at,
            reason,
            booking,
            channel,
            places,
            items,
            postings,
            hash,
        },
    )
}

fn ticket() -> impl Strategy<Value = TicketScans> {
    let status = prop::sample::select(vec![
        TicketStatus::Valid,
        TicketStatus::Void,
        TicketStatus::Inside,
        TicketStatus::Outside,
        TicketStatus::Used,
        TicketStatus::NoShow,
    ]);
    let shown = (ticket_id(), any::<u64>(), text(), slot_ref(), status).prop_map(|(id, serial, unit, slot, status)| {
        TicketView {
            id,
            serial,
            unit,
            slot,
            status,
        }
    });
    let terms = (text(), time(), time(), any::<bool>());
    (shown, terms, some(admission()), any::<Option<Vec<u8>>>(), time()).prop_map(
        |(ticket, (venue, from, until, re_entry), scans, payload, time)| TicketScans {
            ticket,
            venue,
            from,
            until,
            re_entry,
            scans,
            payload,
            time,
        },
    )
}

pub(super) fn answer() -> impl Strategy<Value = Answer> {
    let footfall = (day(), time(), any::<i16>(), text(), any::<[u32; 3]>()).prop_map(
        |(day, hour, offset_minutes, product, [entered, left, visitors])| FootfallView {
            day,
            hour,
            offset_minutes,
            product,
            entered,
            left,
            visitors,
        },
    );
    let sale =
        (text(), text(), channel(), any::<[i64; 3]>()).prop_map(|(product, unit, channel, [quantity, gross, tax])| {
            SalesRow {
                product,
                unit,
                channel,
                quantity,
                gross,
                tax,
            }
        });
    let no_show = (day(), text(), any::<[u64; 2]>()).prop_map(|(day, product, [sold, admitted])| NoShowRow {
        day,
        product,
        sold,
        admitted,
    });
    prop_oneof![
        ticket().prop_map(|ticket| Answer::Ticket(Box::new(ticket))),
        some(key()).prop_map(Answer::TicketKeys),
        (text(), any::<(u16, [u8; 32], [u8; 32])>()).prop_map(|(text, (key, first, second))| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&first);
            signature[32..].copy_from_slice(&second);
            Answer::GateBundle { text, key, signature }
        }),
        (time(), any::<u32>(), some(footfall)).prop_map(|(time, building_capacity, rows)| Answer::Footfall {
            time,
            building_capacity,
            rows,
        }),
        (text(), any::<(u8, u64)>(), some(ledger_line()), time()).prop_map(
            |(currency, (currency_digits, last), lines, time)| Answer::Ledger {
                currency,
                currency_digits,
                lines,
                last,
                time,
            }
        ),
        (text(), some(sale), time()).prop_map(|(currency, rows, time)| Answer::Sales { currency, rows, time }),
        (some(no_show), time()).prop_map(|(rows, time)| Answer::NoShows { rows, time }),
        drawer().prop_map(Answer::Drawer),
    ]
}
