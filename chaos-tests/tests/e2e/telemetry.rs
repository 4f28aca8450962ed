//! What real processes tell of themselves: one trace per booking with spans of both, log lines that name it, levels that change
//! while they run, and nothing of a person in any of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use rotunda_chaos::cluster::{Cluster, MERIDIAN, http};
use rotunda_chaos::visitor::{Request, Visitor};
use rotunda_chaos::{binaries, ports, selling, wait};
use serde_json::Value;

use crate::day;

/// Spans, with the service that sent each.
type Spans = Arc<Mutex<Vec<(String, Span)>>>;

struct Collector(Spans);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let named = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let service = match named.and_then(|named| named.value?.value) {
                Some(Any::StringValue(service)) => service,
                other => format!("{other:?}"),
            };
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector, where it listens, and what it was sent.
fn collector() -> (String, Spans) {
    let address = ports::free();
    let spans = Spans::default();
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(spans.clone())));
    tokio::spawn(server.serve(address));
    (format!("http://{address}"), spans)
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLERS_SPAN: &str = "00f067aa0ba902b7";

/// What a visitor asks for who buys.
async fn a_hold(cluster: &Cluster) -> Request {
    let visitor = Visitor::new(&cluster.door());
    let offers = selling::offers(&visitor, &day(2), &day(2)).await;
    offers[0].hold(offers[0].least)
}

/// Sends it with these flags of a trace, under this key, until it is held; the booking's id.
async fn traced(cluster: &Cluster, hold: &Request, key: &str, flags: &str) -> String {
    wait::until("the places are held", async || {
        let request = http()
            .post(format!("{}{}", cluster.door(), hold.path))
            .header("traceparent", format!("00-{TRACE}-{CALLERS_SPAN}-{flags}"))
            .header("idempotency-key", key)
            .bearer_auth(cluster.token())
            .json(&hold.body);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        match body["id"].as_str() {
            Some(id) if status.is_success() => Ok(id.to_owned()),
            _ => Err(format!("{status}: {body}")),
        }
    })
    .await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_is_one_trace_over_router_and_node() {
    let (endpoint, collected) = collector();
    let cluster = Cluster::builder()
        .node_flags(&format!("--traces-endpoint {endpoint}"))
        .router_flags(&format!("--traces-endpoint {endpoint} --traces-ratio 0"))
        .start()
        .await;
    cluster.import(MERIDIAN).await;
    // Not kept: its caller says so, and of those who say nothing none is.
    let hold = a_hold(&cluster).await;
    traced(&cluster, &hold, "a key", "00").await;
    // Kept: its caller says so.
    traced(&cluster, &hold, "another key", "01").await;
    let wanted = ["POST /v1/bookings", "forward", "propose", "queue", "commit", "apply"];
    let spans = wait::until("all spans of the booking are collected", async || {
        let spans = collected.lock().clone();
        let names: BTreeSet<&str> = spans.iter().map(|(_, span)| span.name.as_str()).collect();
        if wanted.iter().all(|name| names.contains(name)) {
            Ok(spans)
        } else {
            Err(format!("{names:?}"))
        }
    })
    .await;
    let of: BTreeMap<&str, &(String, Span)> = spans.iter().map(|sent| (sent.1.name.as_str(), sent)).collect();
    assert_eq!(spans.len(), wanted.len(), "one booking was kept: {:?}", of.keys());
    for (name, service, parent) in [
        ("POST /v1/bookings", "rotunda-router", None),
        ("forward", "rotunda-router", Some("POST /v1/bookings")),
        ("propose", "rotunda-node", Some("forward")),
        ("queue", "rotunda-node", Some("propose")),
        ("commit", "rotunda-node", Some("propose")),
        ("apply", "rotunda-node", Some("propose")),
    ] {
        let (from, span) = of[name];
        let parent = parent.map_or_else(|| CALLERS_SPAN.to_owned(), |parent| hex(&of[parent].1.span_id));
        assert_eq!(hex(&span.trace_id), TRACE, "{name}");
        assert_eq!(from, service, "{name}");
        assert_eq!(hex(&span.parent_span_id), parent, "{name}");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    }
}

fn log_of(cluster: &Cluster, log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap();
    assert!(!text.is_empty(), "{} in {}", log.display(), cluster.folder().display());
    text
}

fn rotunda(cluster: &Cluster, arguments: &[&str]) -> Value {
    let output = Command::new(binaries::path("rotunda"))
        .args(arguments)
        .args(["--output", "json"])
        .env("ROTUNDA_ROUTER", cluster.door())
        .env("ROTUNDA_TOKEN", cluster.token())
        .output()
        .unwrap();
    assert!(output.status.success(), "rotunda {arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_at_the_level_of_trace_name_the_trace_and_nobody() {
    let (endpoint, _) = collector();
    let cluster = Cluster::builder()
        // Writing all that down takes time: few groups, and patient ones.
        .shards(1)
        .default_timing()
        .node_flags(&format!("--log-format json --traces-endpoint {endpoint}"))
        .router_flags(&format!("--log-format json --traces-endpoint {endpoint}"))
        .start()
        .await;
    cluster.import(MERIDIAN).await;
    let hold = a_hold(&cluster).await;
    // From here on, and not from the start: an import at that level is a log of its own.
    let set = rotunda(&cluster, &["log", "set", "trace,raft=trace"]);
    assert_eq!(set["logs"].as_array().unwrap().len(), 4, "{set}");
    let id = traced(&cluster, &hold, "ada.lovelace@example.org", "01").await;
    let visitor = Visitor::new(&cluster.door());
    for (path, body) in [
        ("confirm", Some(serde_json::json!({}))),
        ("cancel", Some(serde_json::json!({}))),
    ] {
        let path = format!("/v1/bookings/{id}/{path}");
        let answered = visitor.settle(&Request::post(path, body)).await;
        assert!(answered.answer().unwrap().is_success(), "{answered:?}");
    }
    let read = visitor.settle(&Request::get(format!("/v1/bookings/{id}"))).await;
    assert!(read.answer().unwrap().is_success(), "{read:?}");
    let reset = rotunda(&cluster, &["log", "reset"]);
    assert!(
        reset["logs"]
            .as_array()
            .unwrap()
            .iter()
            .all(|log| log["filter"] == log["configured"]),
        "{reset}"
    );
    // The end of the id is the secret that opens the booking.
    let secret = &id[id.len() - 8..];
    let mut told = BTreeMap::new();
    for process in cluster
        .nodes()
        .iter()
        .map(|node| cluster.process(*node))
        .chain([cluster.router()])
    {
        let text = log_of(&cluster, &process.recipe().log);
        for personal in ["ada.lovelace", "example.org", cluster.token(), &id, secret] {
            let line = text.lines().find(|line| line.contains(personal));
            assert!(
                line.is_none(),
                "{} tells of {personal}: {line:?}",
                process.recipe().name
            );
        }
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if line["trace_id"] == TRACE {
                let target = line["target"].as_str().unwrap().split("::").next().unwrap().to_owned();
                assert!(line["span_id"].is_string(), "{line}");
                *told.entry(target).or_insert(0) += 1;
            }
        }
    }
    assert!(told.contains_key("rotunda_router"), "{told:?}");
    assert!(told.contains_key("rotunda_node"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_are_changed_at_one_process_or_at_all() {
    let cluster = Cluster::builder().start().await;
    let node = cluster.admin(2).to_string();
    rotunda(&cluster, &["log", "set", "node=debug", "--at", &node]);
    let shown = rotunda(&cluster, &["log", "show"]);
    let filters: BTreeMap<&str, &str> = shown["logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|log| (log["admin"].as_str().unwrap(), log["filter"].as_str().unwrap()))
        .collect();
    assert_eq!(filters.len(), 4, "{shown}");
    for (admin, filter) in &filters {
        assert_eq!(filter.ends_with("node=debug"), admin.ends_with(&node), "{shown}");
    }
    // SIGHUP reads the settings anew.
    cluster.process(2).signal(nix::sys::signal::Signal::SIGHUP);
    wait::until("the node is back at its settings", async || {
        let shown = rotunda(&cluster, &["log", "show", "--at", &node]);
        let log = &shown["logs"][0];
        if log["filter"] == log["configured"] {
            Ok(())
        } else {
            Err(shown.to_string())
        }
    })
    .await;
    let refused = http()
        .put(format!("http://{node}/log"))
        .json(&serde_json::json!({ "filter": "node=loud" }))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("node=loud"));
}
