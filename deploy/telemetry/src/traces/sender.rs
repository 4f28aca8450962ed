//! The way of spans out of the process: the SDK's batches, a thread of its own, OTLP over gRPC.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _};
use parking_lot::Mutex;

use super::{LAST_WORDS, Settings, TraceError};

/// Spans that wait to be sent; the next one is lost. A few megabytes.
const QUEUE_SPANS: usize = 8_192;

/// Spans of one message.
const BATCH_SPANS: usize = 512;

/// A span waits for others so long.
const WAITS: Duration = Duration::from_secs(1);

/// How long a collector may take for a message.
const SENDING: Duration = Duration::from_secs(5);

/// A collector that does not answer is complained of so often.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// Told of spans that were sent, and of spans that could not be: for a server's metrics.
pub type Sent = fn(Result<usize, usize>);

#[derive(Debug)]
pub(super) struct Sender {
    processor: BatchSpanProcessor,
}

impl Sender {
    pub(super) fn start(settings: &Settings, sent: Sent) -> Result<Self, TraceError> {
        let exporter = OtlpExporter::builder()
            .with_tonic()
            .with_endpoint(&settings.endpoint)
            .with_timeout(SENDING)
            .build()
            .map_err(|error| TraceError::Endpoint {
                endpoint: settings.endpoint.clone(),
                cause: error.to_string(),
            })?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS)
            .with_max_export_batch_size(BATCH_SPANS)
            .with_scheduled_delay(WAITS)
            .build();
        let counted = Counted {
            exporter,
            endpoint: settings.endpoint.clone(),
            sent,
            complained: Mutex::new(None),
        };
        let mut processor = BatchSpanProcessor::builder(counted).with_batch_config(batches).build();
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", settings.service),
                KeyValue::new("service.instance.id", settings.instance.clone()),
                KeyValue::new("service.version", settings.version),
            ])
            .build();
        processor.set_resource(&resource);
        Ok(Self { processor })
    }

    pub(super) fn processor(&self) -> &BatchSpanProcessor {
        &self.processor
    }

    pub(super) fn stop(&self) {
        // Whether they went is counted where they are sent.
        let _ = self.processor.shutdown_with_timeout(LAST_WORDS);
    }
}

/// The exporter, and what becomes of what it is given.
#[derive(Debug)]
struct Counted {
    exporter: OtlpExporter,
    endpoint: String,
    sent: Sent,
    complained: Mutex<Option<Instant>>,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        match &exported {
            Ok(()) => (self.sent)(Ok(spans)),
            Err(error) => {
                (self.sent)(Err(spans));
                let mut complained = self.complained.lock();
                if complained.is_none_or(|last| last.elapsed() >= COMPLAINT_EVERY) {
                    *complained = Some(Instant::now());
                    tracing::warn!(
                        endpoint = self.endpoint, spans, %error,
                        "spans cannot be sent and are lost: is the collector up, and traces_endpoint its gRPC address?"
                    );
                }
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// An id for a span: must differ within its trace, and be no secret.
pub(super) fn draw_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    // The standard library's hasher has the system's randomness for its keys.
    let seed = SEED.get_or_init(|| {
        use std::hash::{BuildHasher as _, RandomState};
        RandomState::new().hash_one("rotunda")
    });
    // Numbers in a row, each mixed (SplitMix64): processes begin at different places.
    let mut id = seed.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (id ^ (id >> 31)).max(1) // zero is no id
}
