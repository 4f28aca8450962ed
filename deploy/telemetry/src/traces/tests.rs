//! Spans as a collector gets them, and which traces are kept.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response};

use super::*;

struct Collector(mpsc::Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, tonic::Status> {
        self.0.send(request.into_inner()).await.unwrap();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

const CALLERS: TraceContext = TraceContext {
    trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
    span: 0x00f0_67aa_0ba9_02b7,
    sampled: true,
};

// One test of all that is the process's own: there is one tracer.
#[tokio::test(flavor = "multi_thread")]
async fn spans_of_a_kept_trace_reach_the_collector_and_others_are_never_made() {
    assert!(Span::begin(Kind::Server, "before the start", CALLERS).is_none());
    assert!(!samples(1));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (collected, mut requests) = mpsc::channel(64);
    let collector = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(collected)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(collector);
    let settings = Settings {
        endpoint,
        ratio: 0.5,
        service: "rotunda-router",
        instance: "here".to_owned(),
        version: "0",
    };
    start(&settings, |_| {}).unwrap();
    assert!(samples(1) && !samples(u128::from(u64::MAX)));
    let unsampled = TraceContext {
        sampled: false,
        ..CALLERS
    };
    assert!(Span::begin(Kind::Server, "not kept", unsampled).is_none());
    let mut server = Span::begin(Kind::Server, "POST /v1/bookings", CALLERS).unwrap();
    server.set("http.response.status_code", 503_i64);
    server.fail("overloaded");
    let below = crate::current::scope(server.context(), async { Span::below_current(Kind::Client, "forward") });
    let below = below.await.unwrap();
    let began = SystemTime::now() - Duration::from_millis(30);
    below.since(began).end_at(began + Duration::from_millis(20));
    drop(server);
    tokio::task::spawn_blocking(stop).await.unwrap();
    let request = requests.recv().await.unwrap();
    let [resource] = &request.resource_spans[..] else {
        panic!("{request:?}")
    };
    let service = &resource.resource.as_ref().unwrap().attributes;
    assert!(service.iter().any(|a| a.key == "service.name"), "{service:?}");
    let spans = &resource.scope_spans[0].spans;
    let named = |name| spans.iter().find(|span| span.name == name).unwrap();
    let (server, forward) = (named("POST /v1/bookings"), named("forward"));
    assert!(spans.iter().all(|span| span.trace_id == CALLERS.trace.to_be_bytes()));
    assert_eq!(server.parent_span_id, CALLERS.span.to_be_bytes());
    assert_eq!(forward.parent_span_id, server.span_id);
    assert_eq!(forward.end_time_unix_nano - forward.start_time_unix_nano, 20_000_000);
    assert_eq!(server.status.as_ref().unwrap().message, "overloaded");
    assert_eq!(spans.len(), 2);
}

#[test]
fn a_ratio_keeps_all_none_or_about_its_share() {
    let kept = |ratio| {
        let below = threshold(ratio);
        (0..10_000_u64)
            .filter(|n| is_below(u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), below))
            .count()
    };
    assert_eq!((kept(0.0), kept(1.0)), (0, 10_000));
    assert!((900..1_100).contains(&kept(0.1)), "{}", kept(0.1));
}

#[test]
fn settings_that_cannot_be_used_are_refused_with_the_remedy() {
    for endpoint in ["127.0.0.1:4317", "https://collector:4317", "http://", "http:///x"] {
        let error = check(endpoint, 1.0).unwrap_err().to_string();
        assert!(
            error.contains(endpoint) && error.contains("http://HOST:PORT"),
            "{error}"
        );
    }
    for ratio in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(
            check("http://collector:4317", ratio),
            Err(TraceError::Ratio(_))
        ));
    }
    check("http://collector:4317", 0.0).unwrap();
}

#[test]
fn ids_differ() {
    let ids: BTreeSet<u64> = (0..10_000).map(|_| sender::draw_id()).collect();
    assert_eq!(ids.len(), 10_000);
}
