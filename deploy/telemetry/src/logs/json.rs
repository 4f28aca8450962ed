//! Log lines as JSON, an object a line: `timestamp`, `level`, `target`, `message`, the event's own fields beside them, and,
//! where the line was written for a request, `trace_id` and (where its spans are kept) `span_id`.

use std::fmt;
use std::io::Write;
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime as Timestamp};
use tracing_subscriber::layer::Context;

use crate::current;

/// Writes a line for each event.
pub(super) struct Lines<W> {
    writer: W,
}

impl<W> Lines<W> {
    /// Lines go where `writer` makes.
    pub(super) fn to(writer: W) -> Self {
        Self { writer }
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = line(event);
        line.push('\n');
        // One write, so that lines of several threads do not mix. Where it fails there is nobody to tell.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(line.as_bytes());
    }
}

fn line(event: &Event<'_>) -> String {
    let metadata = event.metadata();
    let mut fields = Fields::default();
    event.record(&mut fields);
    let mut object = Map::new();
    object.insert("timestamp".to_owned(), Value::String(now()));
    object.insert("level".to_owned(), Value::String(metadata.level().to_string()));
    object.insert("target".to_owned(), Value::String(metadata.target().to_owned()));
    if let Some(context) = current::get() {
        object.insert("trace_id".to_owned(), Value::String(format!("{:032x}", context.trace)));
        if context.span != 0 {
            object.insert("span_id".to_owned(), Value::String(format!("{:016x}", context.span)));
        }
    }
    // A field of the event's own counts more: it says of which trace the line is.
    for (name, value) in fields.0 {
        object.insert(name, value);
    }
    Value::Object(object).to_string()
}

fn now() -> String {
    let mut text = String::new();
    match Timestamp.format_time(&mut Writer::new(&mut text)) {
        Ok(()) => text,
        // Cannot be; then at least something that sorts.
        Err(_) => format!("{:?}", SystemTime::now()),
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        // `log.target` and its like: what the `log` crate's events carry, said by the metadata already.
        if !field.name().starts_with("log.") {
            self.0.insert(field.name().to_owned(), value.into());
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}
