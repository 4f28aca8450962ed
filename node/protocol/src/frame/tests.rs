//! Records come back as they went, and any bytes are taken without a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn any_rejection() -> impl Strategy<Value = Rejection> {
    (0..RejectionKind::ALL.len(), 0..9u32, any::<u64>(), ".{0,40}").prop_map(|(kind, leader, epoch, detail)| {
        Rejection {
            kind: RejectionKind::ALL[kind],
            leader_node: (leader != 0).then_some(leader),
            epoch,
            detail,
        }
    })
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn any_command() -> impl Strategy<Value = CommandRecord> {
    (any::<u64>(), any::<u64>(), any::<u64>(), any_bytes()).prop_map(|(call, shard, epoch, command)| CommandRecord {
        call,
        shard,
        epoch,
        command,
    })
}

fn any_reply() -> impl Strategy<Value = ReplyRecord> {
    let result = prop_oneof![any_bytes().prop_map(Ok), any_rejection().prop_map(Err)];
    (any::<u64>(), any::<u64>(), result).prop_map(|(call, index, result)| {
        // A rejection has no index.
        let index = if result.is_ok() { index } else { 0 };
        ReplyRecord { call, index, result }
    })
}

fn pack_commands(records: &[CommandRecord]) -> Bytes {
    let mut frame = BytesMut::new();
    for r in records {
        put_command(&mut frame, r.call, r.shard, r.epoch, &r.command).unwrap();
    }
    frame.freeze()
}

fn pack_replies(records: &[ReplyRecord]) -> Bytes {
    let mut frame = BytesMut::new();
    for r in records {
        match &r.result {
            Ok(reply) => put_reply(&mut frame, r.call, r.index, reply).unwrap(),
            Err(rejection) => put_rejection(&mut frame, r.call, rejection),
        }
    }
    frame.freeze()
}

proptest! {
    #[test]
    fn commands_come_out_as_they_went_in(records in vec(any_command(), 0..20)) {
        let read: Result<Vec<_>, _> = commands(pack_commands(&records)).collect();
        prop_assert_eq!(read, Ok(records));
    }

    #[test]
    fn replies_come_out_as_they_went_in(records in vec(any_reply(), 0..20)) {
        let read: Result<Vec<_>, _> = replies(pack_replies(&records)).collect();
        prop_assert_eq!(read, Ok(records));
    }

    #[test]
    fn any_bytes_end_in_records_or_one_error(bytes in vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        for read in [
            commands(bytes.clone()).map(|r| r.is_ok()).collect::<Vec<_>>(),
            replies(bytes.clone()).map(|r| r.is_ok()).collect(),
        ] {
            let errors = read.iter().filter(|ok| !**ok).count();
            prop_assert!(errors <= 1);
            prop_assert!(errors == 0 || read.last() == Some(&false), "an error ends the frame");
        }
    }

    #[test]
    fn a_cut_frame_gives_the_records_before_the_cut_and_one_error(
        records in vec(any_command(), 1..8),
        cut in any::<proptest::sample::Index>(),
    ) {
        let whole = pack_commands(&records);
        let at = cut.index(whole.len());
        let read: Vec<_> = commands(whole.slice(..at)).collect();
        let good = read.iter().take_while(|r| r.is_ok()).count();
        for (read, sent) in read.iter().zip(&records).take(good) {
            prop_assert_eq!(read.as_ref().unwrap(), sent);
        }
        let cut_between_records = pack_commands(&records[..good]).len() == at;
        prop_assert_eq!(read.len(), if cut_between_records { good } else { good + 1 });
    }
}

#[test]
fn the_layout_is_the_one_that_is_written_down() {
    let mut frame = BytesMut::new();
    put_command(&mut frame, 1, 2, 3, b"ab").unwrap();
    assert_eq!(frame.len(), COMMAND_HEADER_BYTES + 2);
    assert_eq!(
        frame[..],
        [
            0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, b'a', b'b'
        ]
    );

    let mut frame = BytesMut::new();
    put_rejection(
        &mut frame,
        1,
        &Rejection {
            detail: "x".to_owned(),
            ..Rejection::not_leader(Some(7))
        },
    );
    assert_eq!(frame.len(), REPLY_HEADER_BYTES + 1);
    let expected = [
        0, 0, 0, 0, 0, 0, 0, 1, // call
        1, // not leader
        0, 0, 0, 0, 0, 0, 0, 0, // index
        0, 0, 0, 7, // leader node
        0, 0, 0, 0, 0, 0, 0, 0, // epoch
        0, 0, 0, 1, b'x',
    ];
    assert_eq!(frame[..], expected);
}

#[test]
fn a_body_over_the_limit_is_refused_on_both_sides() {
    let long = vec![0; MAX_BODY_BYTES + 1];
    let mut frame = BytesMut::new();
    assert_eq!(
        put_command(&mut frame, 1, 1, 1, &long),
        Err(FrameError::TooLong { length: long.len() })
    );
    assert_eq!(
        put_reply(&mut frame, 1, 1, &long),
        Err(FrameError::TooLong { length: long.len() })
    );
    assert!(frame.is_empty(), "nothing is left behind");

    frame.put_slice(&[0; 24]);
    frame.put_u32(u32::MAX);
    let read: Vec<_> = commands(frame.freeze()).collect();
    assert_eq!(
        read,
        [Err(FrameError::TooLong {
            length: u32::MAX as usize
        })]
    );
}

#[test]
fn a_status_of_a_newer_version_is_an_error_not_a_reply() {
    let mut frame = BytesMut::new();
    put_reply(&mut frame, 1, 1, b"").unwrap();
    frame[8] = 200;
    assert_eq!(
        replies(frame.freeze()).collect::<Vec<_>>(),
        [Err(FrameError::Status(200))]
    );
}

#[test]
fn a_full_frame_stays_below_the_message_limit() {
    // A frame is closed once it is over its target: the last record may be of any length.
    const { assert!(FRAME_TARGET_BYTES + COMMAND_HEADER_BYTES + MAX_BODY_BYTES < crate::MAX_MESSAGE_BYTES) };
}

/// As a router and a node of any version have them: a stream has no version of its own, so neither record may ever change, and
/// a reply of a status that is not known ends the stream.
#[test]
fn records_are_of_these_bytes() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut frame = BytesMut::new();
    put_command(&mut frame, 7, 2, 1, b"held").unwrap();
    assert_eq!(
        hex(&frame),
        "0000000000000007000000000000000200000000000000010000000468656c64"
    );
    let mut frame = BytesMut::new();
    put_reply(&mut frame, 7, 9, b"ok").unwrap();
    assert_eq!(
        hex(&frame),
        "0000000000000007000000000000000009000000000000000000000000000000026f6b"
    );
    let mut frame = BytesMut::new();
    put_rejection(&mut frame, 7, &Rejection::not_leader(Some(3)));
    assert_eq!(
        hex(&frame),
        "00000000000000070100000000000000000000000300000000000000000000000000"[..66].to_owned()
    );
}

#[test]
fn kinds_of_rejection_keep_their_numbers() {
    let numbers: Vec<(u8, &str)> = RejectionKind::ALL
        .iter()
        .map(|kind| (*kind as u8, kind.as_str()))
        .collect();
    assert_eq!(
        numbers,
        [
            (1, "not_leader"),
            (2, "stale_epoch"),
            (3, "not_here"),
            (4, "overloaded"),
            (5, "unknown"),
            (6, "malformed"),
            (7, "not_yet"),
        ]
    );
}
