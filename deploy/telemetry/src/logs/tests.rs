//! How lines look, which filters are taken, and that levels change and go back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rotunda_protocol::trace_context::TraceContext;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Paper {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Paper {
    fn lines(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn short_names_stand_for_our_own_parts() {
    assert_eq!(spelt_out("node=debug"), "rotunda_node=debug");
    assert_eq!(spelt_out("raft=warn"), "openraft=warn");
    assert_eq!(spelt_out("node::shards=trace"), "rotunda_node::shards=trace");
    assert_eq!(spelt_out("nodes=debug"), "nodes=debug");
    assert_eq!(spelt_out("info"), "info");
}

#[test]
fn what_is_no_filter_is_refused_with_the_remedy() {
    for wrong in ["node=loud", "=", "info,router=7x"] {
        let error = check(wrong).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains("node=debug"), "{error}");
    }
    let long = "a=debug,".repeat(MAX_FILTER_BYTES);
    assert!(matches!(check(&long), Err(LogError::TooLong { .. })));
}

#[test]
fn a_line_is_an_object_that_names_the_trace_it_was_written_for() {
    let paper = Paper::default();
    let lines = json::Lines::to(paper.clone());
    let subscriber = Registry::default().with(lines);
    let context = TraceContext {
        trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        span: 0xf0,
        sampled: true,
    };
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(shard = 3, quoted = "a \"b\"", "outside\nof any");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(crate::current::scope(context, async {
            tracing::warn!("within");
            tracing::warn!(trace_id = "another", "of another");
        }));
    });
    let lines = paper.lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["shard"], 3);
    assert_eq!(lines[0]["quoted"], "a \"b\"");
    assert_eq!(lines[0]["message"], "outside\nof any");
    assert!(lines[0].get("trace_id").is_none());
    assert_eq!(lines[1]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(lines[1]["span_id"], "00000000000000f0");
    assert_eq!(lines[2]["trace_id"], "another");
}

// One test of all that is the process's own: there is one log.
#[test]
fn levels_change_at_run_time_and_go_back_to_the_settings() {
    assert!(matches!(set("debug"), Err(LogError::NotStarted)));
    start("warn", Format::Json).unwrap();
    assert!(!tracing::enabled!(target: "rotunda_node", tracing::Level::DEBUG));
    let levels = set("warn,node=debug").unwrap();
    assert_eq!(levels.filter, "warn,node=debug");
    assert_eq!(levels.configured, "warn");
    assert!(tracing::enabled!(target: "rotunda_node", tracing::Level::DEBUG));
    assert!(!tracing::enabled!(target: "rotunda_router", tracing::Level::DEBUG));
    assert!(set("node=loud").is_err());
    assert_eq!(show().unwrap(), levels);
    assert_eq!(reset("info").unwrap().configured, "info");
    assert!(!tracing::enabled!(target: "rotunda_node", tracing::Level::DEBUG));
    assert!(matches!(start("info", Format::Text), Err(LogError::Started(_))));
}
