//! A booking's JSON, written by hand into one buffer: it is the answer to all that is sold, and through serde it took as long
//! as the rest of the handler. [`super::views::Booking`] says what it looks like, and tests hold the one against the other.

use rotunda_booking::outcome::{BookingStatus, BookingView, LineView, TicketView};
use rotunda_booking::time::Timestamp;

use super::views::{channel_label, ticket_label};

/// What a booking of two lines takes.
const CAPACITY: usize = 1024;

/// The booking as `GET /v1/bookings/{booking}` shows it.
pub(super) fn write(view: &BookingView) -> String {
    let mut json = String::with_capacity(CAPACITY);
    json.push_str("{\"id\":\"");
    view.id.push_text(&mut json);
    json.push_str("\",\"reference\":");
    text(&mut json, &view.reference);
    json.push_str(",\"status\":\"");
    json.push_str(match view.status {
        BookingStatus::Held => "held",
        BookingStatus::Confirmed => "confirmed",
        BookingStatus::Expired => "expired",
        BookingStatus::Released => "released",
        BookingStatus::Cancelled => "cancelled",
        BookingStatus::Redeemed => "redeemed",
    });
    json.push_str("\",\"venue\":");
    text(&mut json, &view.venue);
    json.push_str(",\"channel\":\"");
    json.push_str(channel_label(view.channel));
    json.push_str("\",\"lines\":[");
    for (n, line) in view.lines.iter().enumerate() {
        if n > 0 {
            json.push(',');
        }
        push_line(&mut json, line, &view.currency);
    }
    json.push(']');
    money(&mut json, "total", view.total, &view.currency);
    let times = [
        ("created_at", Some(view.created_at)),
        ("expires_at", view.expires_at),
        ("confirmed_at", view.confirmed_at),
        ("ended_at", view.ended_at),
    ];
    for (name, at) in times {
        if let Some(at) = at {
            time(&mut json, name, at, view.offset_minutes);
        }
    }
    if !view.tickets.is_empty() {
        json.push_str(",\"tickets\":[");
        for (n, ticket) in view.tickets.iter().enumerate() {
            if n > 0 {
                json.push(',');
            }
            push_ticket(&mut json, ticket);
        }
        json.push(']');
    }
    json.push('}');
    json
}

/// The booking, and what an exchange came to.
pub(super) fn write_rebooked(view: &BookingView, difference: i64) -> String {
    let mut json = write(view);
    json.pop();
    money(&mut json, "difference", difference, &view.currency);
    json.push('}');
    json
}

fn push_line(json: &mut String, line: &LineView, currency: &str) {
    json.push_str("{\"slot\":");
    slot(json, line);
    json.push_str(",\"unit\":");
    text(json, &line.unit);
    json.push_str(",\"quantity\":");
    json.push_str(itoa::Buffer::new().format(line.quantity));
    money(json, "unit_price", line.unit_price, currency);
    money(json, "tax", line.tax, currency);
    money(json, "total", line.total, currency);
    if line.cancelled {
        json.push_str(",\"cancelled\":true");
    }
    json.push('}');
}

fn push_ticket(json: &mut String, ticket: &TicketView) {
    json.push_str("{\"id\":\"");
    json.push_str(&ticket.id.to_string());
    json.push_str("\",\"serial\":");
    json.push_str(itoa::Buffer::new().format(ticket.serial));
    json.push_str(",\"unit\":");
    text(json, &ticket.unit);
    json.push_str(",\"slot\":");
    text(json, &ticket.slot.to_text());
    json.push_str(",\"status\":\"");
    json.push_str(ticket_label(ticket.status));
    json.push_str("\"}");
}

fn slot(json: &mut String, line: &LineView) {
    if is_plain(&line.slot.product) {
        json.push('"');
        line.slot.push_text(json);
        json.push('"');
    } else {
        text(json, &line.slot.to_text());
    }
}

fn time(json: &mut String, name: &str, at: Timestamp, offset_minutes: i16) {
    json.push_str(",\"");
    json.push_str(name);
    json.push_str("\":\"");
    at.push_rfc3339(offset_minutes, json);
    json.push('"');
}

fn money(json: &mut String, name: &str, amount: i64, currency: &str) {
    json.push_str(",\"");
    json.push_str(name);
    json.push_str("\":{\"amount\":");
    json.push_str(itoa::Buffer::new().format(amount));
    json.push_str(",\"currency\":");
    text(json, currency);
    json.push('}');
}

fn text(json: &mut String, text: &str) {
    if is_plain(text) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        // A string has no key that is no string, and the only other thing to fail is the writer.
        json.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// True where nothing has to be escaped.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use rotunda_booking::command::Channel;
    use rotunda_booking::ids::{BookingId, SlotRef, TicketId, VenueNo};
    use rotunda_booking::outcome::TicketStatus;

    use super::super::views::{Booking, Rebooked};
    use super::*;

    fn times() -> impl Strategy<Value = Timestamp> {
        (0..4_102_444_800_000_i64).prop_map(Timestamp)
    }

    fn slots() -> impl Strategy<Value = SlotRef> {
        ("[a-z\"\\\\\n\u{7f}ü-]{0,12}", times(), -900..900_i16).prop_map(|(product, start, offset_minutes)| SlotRef {
            product,
            start,
            offset_minutes,
        })
    }

    fn lines() -> impl Strategy<Value = LineView> {
        (slots(), any::<String>(), any::<u32>(), any::<[i64; 3]>(), any::<bool>()).prop_map(
            |(slot, unit, quantity, [unit_price, tax, total], cancelled)| LineView {
                slot,
                unit,
                quantity,
                unit_price,
                tax,
                total,
                cancelled,
            },
        )
    }

    fn tickets() -> impl Strategy<Value = TicketView> {
        (
            any::<(u32, u16, u64)>(),
            any::<u64>(),
            any::<String>(),
            slots(),
            0..6_usize,
        )
            .prop_map(|((seq, number, secret), serial, unit, slot, status)| TicketView {
                id: TicketId {
                    venue: VenueNo(7),
                    seq: u64::from(seq),
                    number,
                    secret,
                },
                serial,
                unit,
                slot,
                status: [
                    TicketStatus::Valid,
                    TicketStatus::Void,
                    TicketStatus::Inside,
                    TicketStatus::Outside,
                    TicketStatus::Used,
                    TicketStatus::NoShow,
                ][status],
            })
    }

    fn views() -> impl Strategy<Value = BookingView> {
        let names = (
            any::<(u32, u32, u64)>(),
            any::<String>(),
            any::<String>(),
            "[A-Z]{3}|\"",
        );
        let states = (0..6_usize, 0..5_usize);
        let at = (
            times(),
            option::of(times()),
            option::of(times()),
            option::of(times()),
            -900..900_i16,
        );
        let parts = (vec(lines(), 0..4), any::<i64>(), vec(tickets(), 0..3));
        (names, states, at, parts).prop_map(
            |((id, reference, venue, currency), (status, channel), at, (lines, total, tickets))| BookingView {
                id: BookingId {
                    venue: VenueNo(id.0),
                    seq: u64::from(id.1),
                    secret: id.2,
                },
                reference,
                status: [
                    BookingStatus::Held,
                    BookingStatus::Confirmed,
                    BookingStatus::Expired,
                    BookingStatus::Released,
                    BookingStatus::Cancelled,
                    BookingStatus::Redeemed,
                ][status],
                venue,
                channel: [
                    Channel::Web,
                    Channel::Kiosk,
                    Channel::Counter,
                    Channel::Reseller,
                    Channel::Phone,
                ][channel],
                currency,
                lines,
                total,
                created_at: at.0,
                expires_at: at.1,
                confirmed_at: at.2,
                ended_at: at.3,
                offset_minutes: at.4,
                tickets,
            },
        )
    }

    proptest! {
        #[test]
        fn it_is_what_serde_writes_of_the_documented_shape(view in views()) {
            let documented = serde_json::to_string(&Booking::from(&view)).expect("a booking has no keys but strings");
            prop_assert_eq!(write(&view), documented);
        }

        #[test]
        fn an_exchange_is_what_serde_writes_of_its_documented_shape(view in views(), difference in any::<i64>()) {
            let documented = serde_json::to_string(&Rebooked::new(&view, difference)).expect("no keys but strings");
            prop_assert_eq!(write_rebooked(&view, difference), documented);
        }
    }
}
