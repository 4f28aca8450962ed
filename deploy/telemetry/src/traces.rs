//! Spans, over OTLP (gRPC), where an endpoint is set. Where none is, nothing here does anything: who would begin a span asks
//! a static first and is given `None`.
//!
//! Whether a trace is kept is decided once, at its root: by the caller's `traceparent`, or else by its id and the ratio that
//! is set, as the specification's `TraceIdRatioBased` does, so that all routers decide alike. Spans are written down when
//! they are over, into a queue with a bound; a thread sends them. What does not fit, or cannot be sent, is lost and counted.

mod sender;

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind as OtlpKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor as _};
use rotunda_protocol::trace_context::TraceContext;

use self::sender::Sender;
pub use self::sender::Sent;

/// Where traces go, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A collector's gRPC address, as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// The share of traces kept that begin here: 0 to 1.
    pub ratio: f64,
    /// What the process is: `rotunda-router`.
    pub service: &'static str,
    /// Which of them.
    pub instance: String,
    /// Its version.
    pub version: &'static str,
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The address is none.
    #[error("`{endpoint}` is no address of a collector ({cause}); write http://HOST:PORT, port 4317 by custom")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The ratio is none.
    #[error("a ratio of {0} traces cannot be kept; write a number from 0 to 1")]
    Ratio(f64),
    /// It was started already.
    #[error("traces were started twice")]
    Started,
}

struct Tracer {
    sender: Sender,
    scope: InstrumentationScope,
    /// Ids whose lower 63 bits are below it are kept.
    below: u64,
}

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// Checks settings before anything is started.
///
/// # Errors
/// Where they cannot be used.
pub fn check(endpoint: &str, ratio: f64) -> Result<(), TraceError> {
    if !(0.0..=1.0).contains(&ratio) {
        return Err(TraceError::Ratio(ratio));
    }
    let wrong = |cause: &str| TraceError::Endpoint {
        endpoint: endpoint.to_owned(),
        cause: cause.to_owned(),
    };
    let host = endpoint
        .strip_prefix("http://")
        .ok_or_else(|| wrong("it does not begin with http://"))?;
    if host.is_empty() || host.starts_with('/') {
        return Err(wrong("it names no host"));
    }
    Ok(())
}

/// Begins to send spans; what it returns sends those that are left when it is told to. Within a tokio runtime.
///
/// # Errors
/// Where the settings cannot be used. An endpoint that does not answer is no error: it may come up later.
pub fn start(settings: &Settings, sent: Sent) -> Result<(), TraceError> {
    check(&settings.endpoint, settings.ratio)?;
    let tracer = Tracer {
        sender: Sender::start(settings, sent)?,
        scope: InstrumentationScope::builder("rotunda")
            .with_version(settings.version)
            .build(),
        below: threshold(settings.ratio),
    };
    TRACER.set(tracer).map_err(|_| TraceError::Started)
}

/// Sends what is left, for a few seconds at most. Blocks.
pub fn stop() {
    if let Some(tracer) = TRACER.get() {
        tracer.sender.stop();
    }
}

/// Whether an endpoint was set.
#[must_use]
pub fn are_on() -> bool {
    TRACER.get().is_some()
}

/// Whether a trace that begins here is kept.
#[must_use]
pub fn samples(trace: u128) -> bool {
    TRACER.get().is_some_and(|tracer| is_below(trace, tracer.below))
}

fn threshold(ratio: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "from 0 to 2^63; the last bits of a ratio do not matter"
    )]
    let below = (ratio * (1_u64 << 63) as f64) as u64;
    below
}

fn is_below(trace: u128, below: u64) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    let lower = trace as u64;
    lower >> 1 < below
}

/// On which side of a call a span stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers a call.
    Server,
    /// Makes a call and waits.
    Client,
    /// Neither.
    Internal,
}

/// Something that takes time, as part of a trace. It is over when it is dropped, or when [`Span::end_at`] says.
#[derive(Debug)]
pub struct Span {
    context: TraceContext,
    parent: u64,
    kind: Kind,
    name: Cow<'static, str>,
    started: SystemTime,
    ended: Option<SystemTime>,
    attributes: Vec<KeyValue>,
    failure: Option<Cow<'static, str>>,
}

impl Span {
    /// A span below `parent`, which may be somebody else's or (with span 0) none. `None` where its trace is not kept.
    #[must_use]
    pub fn begin(kind: Kind, name: impl Into<Cow<'static, str>>, parent: TraceContext) -> Option<Self> {
        (parent.sampled && are_on()).then(|| Self {
            context: TraceContext {
                span: sender::draw_id(),
                ..parent
            },
            parent: parent.span,
            kind,
            name: name.into(),
            started: SystemTime::now(),
            ended: None,
            attributes: Vec::new(),
            failure: None,
        })
    }

    /// A span below that of the task's.
    #[must_use]
    pub fn below_current(kind: Kind, name: impl Into<Cow<'static, str>>) -> Option<Self> {
        // Asked first: without traces nothing of the task is looked at.
        if !are_on() {
            return None;
        }
        Self::begin(kind, name, crate::current::get()?)
    }

    /// For what is below it.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// It began earlier than it was written down.
    #[must_use]
    pub fn since(mut self, started: SystemTime) -> Self {
        self.started = started;
        self
    }

    /// Says something of it. Nothing of a person.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(name, value));
    }

    /// What it was for did not come about.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        self.failure = Some(why.into());
    }

    /// It came about after all.
    pub fn succeed(&mut self) {
        self.failure = None;
    }

    /// It was over then.
    pub fn end_at(mut self, ended: SystemTime) {
        self.ended = Some(ended);
    }

    fn data(&mut self, scope: InstrumentationScope) -> SpanData {
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(self.context.trace),
                SpanId::from(self.context.span),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: SpanId::from(self.parent),
            parent_span_is_remote: self.kind == Kind::Server,
            span_kind: match self.kind {
                Kind::Server => OtlpKind::Server,
                Kind::Client => OtlpKind::Client,
                Kind::Internal => OtlpKind::Internal,
            },
            name: std::mem::take(&mut self.name),
            start_time: self.started,
            // A wall clock may have been set back meanwhile.
            end_time: self.ended.unwrap_or_else(SystemTime::now).max(self.started),
            attributes: std::mem::take(&mut self.attributes),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: match self.failure.take() {
                Some(description) => Status::Error { description },
                None => Status::Unset,
            },
            instrumentation_scope: scope,
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(tracer) = TRACER.get() {
            let data = self.data(tracer.scope.clone());
            tracer.sender.processor().on_end(data);
        }
    }
}

/// How long the last spans may take on their way when the process stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
