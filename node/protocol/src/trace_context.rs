//! Which trace a call belongs to, as callers name it (W3C Trace Context) and as it travels from a router to a node.
//!
//! On the wire it stands beside what it belongs to, in fields that an older node passes over: a frame of commands that
//! nobody traces is the same, byte for byte, as before there were traces. Only what is sampled is sent on, so a node never
//! decides again.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never zero.
    pub trace: u128,
    /// The span that what follows is a child of; zero where there is none.
    pub span: u64,
    /// Somebody keeps this trace's spans.
    pub sampled: bool,
}

/// Bytes of a context.
const BYTES: usize = 16 + 8 + 1;

/// Bytes of a context beside a command: the number of the call comes first.
const BESIDE_BYTES: usize = 8 + BYTES;

const SAMPLED: u8 = 1;

impl TraceContext {
    /// The value of a `traceparent` header: `00-<32 digits>-<16 digits>-<2 digits>`, small letters; later versions may go on
    /// after a hyphen (W3C Trace Context, 3.2.2). `None` where it is not one.
    #[must_use]
    pub fn of_traceparent(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.splitn(5, '-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let more = parts.next();
        let hex = |part: &str, len: usize| {
            part.len() == len && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !(hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2)) || version == "ff" {
            return None;
        }
        if version == "00" && more.is_some() {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|&trace| trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|&span| span != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self {
            trace,
            span,
            sampled: flags & SAMPLED != 0,
        })
    }

    /// As it stands beside a question.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(BYTES);
        self.put(&mut bytes);
        bytes.freeze()
    }

    /// The inverse of [`TraceContext::to_bytes`]; `None` for no bytes, and for bytes that are none.
    #[must_use]
    pub fn of_bytes(mut bytes: &[u8]) -> Option<Self> {
        (bytes.len() == BYTES).then(|| Self::get(&mut bytes)).flatten()
    }

    /// Adds the context of the command that is `call` to those of a frame.
    pub fn put_beside(self, beside: &mut BytesMut, call: u64) {
        beside.reserve(BESIDE_BYTES);
        beside.put_u64(call);
        self.put(beside);
    }

    fn put(self, bytes: &mut BytesMut) {
        bytes.put_u128(self.trace);
        bytes.put_u64(self.span);
        bytes.put_u8(if self.sampled { SAMPLED } else { 0 });
    }

    fn get(bytes: &mut impl Buf) -> Option<Self> {
        let (trace, span, flags) = (bytes.get_u128(), bytes.get_u64(), bytes.get_u8());
        (trace != 0).then_some(Self {
            trace,
            span,
            sampled: flags & SAMPLED != 0,
        })
    }
}

/// The contexts beside a frame's commands, in the commands' order.
#[derive(Clone, Debug)]
pub struct Beside {
    rest: Bytes,
}

impl Beside {
    /// As they came.
    #[must_use]
    pub fn new(beside: Bytes) -> Self {
        Self { rest: beside }
    }

    /// The context of the command that is `call`: asked for in the commands' order. What is no context is passed over: a trace
    /// with a gap is worth less than a booking.
    #[must_use]
    pub fn of(&mut self, call: u64) -> Option<TraceContext> {
        let mut ahead = self.rest.get(..BESIDE_BYTES)?;
        if ahead.get_u64() != call {
            return None;
        }
        let context = TraceContext::get(&mut ahead);
        self.rest.advance(BESIDE_BYTES);
        context
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const KNOWN: TraceContext = TraceContext {
        trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        span: 0x00f0_67aa_0ba9_02b7,
        sampled: true,
    };

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        let read = |text: &str| TraceContext::of_traceparent(text.as_bytes());
        assert_eq!(
            read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            Some(KNOWN)
        );
        let unsampled = read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap();
        assert!(!unsampled.sampled);
        assert_eq!(
            read("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later"),
            Some(KNOWN)
        );
        for broken in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_context_comes_through_beside_a_question() {
        assert_eq!(TraceContext::of_bytes(&KNOWN.to_bytes()), Some(KNOWN));
        for damaged in [&b""[..], &[0; BYTES], &[1; BYTES - 1], &[1; BYTES + 1]] {
            assert_eq!(TraceContext::of_bytes(damaged), None);
        }
    }

    #[test]
    fn commands_without_a_trace_stand_between_those_that_have_one() {
        let mut beside = BytesMut::new();
        let other = TraceContext { span: 9, ..KNOWN };
        KNOWN.put_beside(&mut beside, 2);
        other.put_beside(&mut beside, 5);
        let mut beside = Beside::new(beside.freeze());
        let found: Vec<_> = (1..=6).map(|call| beside.of(call)).collect();
        assert_eq!(found, [None, Some(KNOWN), None, None, Some(other), None]);
    }

    #[test]
    fn damage_beside_a_frame_costs_traces_and_nothing_else() {
        let mut beside = Beside::new(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 1, 3]));
        assert_eq!(beside.of(1), None);
    }
}
