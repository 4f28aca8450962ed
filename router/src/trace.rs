//! Names for requests: the trace id that comes in `traceparent` or is drawn here, and `x-request-id` that goes out.
//!
//! Also the router's source of random numbers, handed in so that tests can say what is drawn.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rotunda_protocol::trace_context::TraceContext;
use rotunda_telemetry::traces::{self, Kind, Span};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Names the request, in its answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where random numbers come from. Booking secrets are drawn from it: in production it must be unguessable.
pub trait Draw: Send + Sync + 'static {
    /// Sixty-four random bits.
    fn draw(&self) -> u64;

    /// A private key's worth of random bytes; `None` where the operating system gives none.
    fn seed(&self) -> Option<[u8; 32]>;
}

/// The operating system's randomness, by way of a generator per thread that is fit for secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDraw;

impl Draw for OsDraw {
    fn draw(&self) -> u64 {
        rand::random()
    }

    fn seed(&self) -> Option<[u8; 32]> {
        use rand::TryRng as _;
        // A key lives for years: drawn from the system itself, not from a generator that it once fed.
        let mut seed = [0; 32];
        rand::rngs::SysRng.try_fill_bytes(&mut seed).ok()?;
        Some(seed)
    }
}

/// Longest `x-request-id` of a caller that is echoed.
const MAX_REQUEST_ID: usize = 128;

/// How a request is named; `stack::observed` holds it.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The caller's, or a new one of no span.
    context: TraceContext,
    request_id: Option<HeaderValue>,
}

impl Trace {
    /// The caller's trace id where it sent a valid `traceparent`, else a new one.
    #[must_use]
    pub fn of(headers: &HeaderMap, draw: &dyn Draw) -> Self {
        let callers = headers
            .get(TRACEPARENT)
            .and_then(|value| TraceContext::of_traceparent(value.as_bytes()));
        let context = callers.unwrap_or_else(|| {
            let id = u128::from(draw.draw()) << 64 | u128::from(draw.draw());
            let trace = id.max(1); // zero is not a trace id
            TraceContext {
                trace,
                span: 0,
                sampled: traces::samples(trace),
            }
        });
        let request_id = headers
            .get(REQUEST_ID)
            .filter(|value| may_echo(value.as_bytes()))
            .cloned();
        Self { context, request_id }
    }

    /// The request's own span, where its trace is kept.
    pub(crate) fn begin(&self, method: &Method, route: &str) -> Option<Span> {
        if !(self.context.sampled && traces::are_on()) {
            return None; // before a name is put together
        }
        let mut span = Span::begin(Kind::Server, format!("{method} {route}"), self.context)?;
        span.set("http.request.method", method.as_str().to_owned());
        span.set("http.route", route.to_owned());
        Some(span)
    }

    /// For whoever works for a request that has no span of its own: the caller's is not ours to put log lines under.
    pub(crate) fn without_span(&self) -> TraceContext {
        TraceContext {
            span: 0,
            sampled: false,
            ..self.context
        }
    }

    /// 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        String::from_utf8_lossy(&self.digits()).into_owned()
    }

    fn digits(&self) -> [u8; 32] {
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.context.trace.to_be_bytes()) {
            let digit = |number: u8| b"0123456789abcdef"[usize::from(number)];
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        digits
    }

    /// For `x-request-id`: the caller's own, else the trace id.
    #[must_use]
    pub fn request_id(&self) -> HeaderValue {
        self.request_id
            .clone()
            .or_else(|| HeaderValue::from_bytes(&self.digits()).ok())
            .unwrap_or(HeaderValue::from_static("-"))
    }
}

fn may_echo(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.len() <= MAX_REQUEST_ID
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    struct Seven;
    impl Draw for Seven {
        fn draw(&self) -> u64 {
            7
        }

        fn seed(&self) -> Option<[u8; 32]> {
            Some([7; 32])
        }
    }

    fn trace(name: &'static str, value: &str) -> Trace {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        Trace::of(&headers, &Seven)
    }

    #[test]
    fn a_valid_traceparent_is_carried_on() {
        let trace = trace("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn a_broken_traceparent_is_replaced() {
        for broken in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(
                trace("traceparent", broken).id(),
                "00000000000000070000000000000007",
                "{broken}"
            );
        }
    }

    #[test]
    fn a_request_id_is_echoed_unless_it_could_do_harm_in_a_log() {
        assert_eq!(trace("x-request-id", "order-42.a").request_id(), "order-42.a");
        assert_eq!(
            trace("x-request-id", "two words").request_id(),
            "00000000000000070000000000000007"
        );
    }
}
