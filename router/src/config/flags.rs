//! The router's flags, and the variables of the same names. [`super::Config`] lays them over the file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use rotunda_tls::files::TlsSettings;
use serde::Serialize;

use super::{HttpsSettings, Span};
use crate::auth::Cidr;
use crate::rate_limit::Quota;
use rotunda_telemetry::logs::Format as LogFormat;

/// Rotunda's public HTTP door: takes visitors' requests and forwards each to the node that leads its venue's shard.
///
/// Each flag can also be given as a variable (--max-in-flight is ROTUNDA_MAX_IN_FLIGHT; lists separated by commas)
/// or in a TOML file (max_in_flight = 4096). Flags win over variables, variables over the file, the file over defaults.
/// SIGTERM and Ctrl-C drain: /readyz turns 503, the port closes, requests in flight finish.
#[derive(Debug, Parser, Serialize)]
#[command(name = "rotunda-router", version, about, long_about)]
pub(super) struct Flags {
    /// TOML file with settings (also ROTUNDA_CONFIG)
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,
    /// Check the settings of all sources, say what is wrong and on which line of the file, and stop
    #[arg(long)]
    #[serde(skip)]
    pub(super) check_config: bool,
    /// Address for visitors' requests [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<SocketAddr>,
    #[command(flatten)]
    https: HttpsSettings,
    /// Address for /livez, /readyz, /metrics and the page for people [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    tls: TlsSettings,
    /// gRPC address of a node; repeat for each one known [default: http://127.0.0.1:7001]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    node: Vec<String>,
    /// Token that opens /v1/admin; repeatable. Prefer --admin-token-file or the variable: flags show in `ps`
    #[arg(long, value_name = "TOKEN")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    admin_token: Vec<String>,
    /// File with one admin token a line
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_token_file: Option<PathBuf>,
    /// Address range of reverse proxies whose X-Forwarded-For is believed, as 10.0.0.0/8; repeatable
    #[arg(long, value_name = "CIDR")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trusted_proxy: Vec<Cidr>,
    /// Quota per client address, as 20/2s, or off [default: 20/2s]
    #[arg(long, value_name = "COUNT/TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<Quota>,
    /// Quota per token [default: 100000/10s]
    #[arg(long, value_name = "COUNT/TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_token: Option<Quota>,
    /// Quota of callers on the loopback interface [default: 1000000/10s]
    #[arg(long, value_name = "COUNT/TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_loopback: Option<Quota>,
    /// Quota of all callers together at each venue, as 500/1s [default: off]
    #[arg(long, value_name = "COUNT/TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_venue: Option<Quota>,
    /// Requests worked on at once; more are refused with 503 [default: 4096]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_in_flight: Option<usize>,
    /// Open connections; more are told 503 and closed [default: 10000]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<usize>,
    /// Open connections of one client address; more are told 503 and closed [default: 256]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections_per_address: Option<usize>,
    /// Open connections from this machine, which is one address too [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections_loopback: Option<usize>,
    /// Venues whose change streams are followed at once [default: 256]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    live_venues: Option<usize>,
    /// Event streams open at once; more are refused with 503 [default: 8000]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    live_streams: Option<usize>,
    /// Event streams open to one caller; more are refused with 429 [default: 64]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    live_streams_per_caller: Option<usize>,
    /// How long a request may take, retries inside the router included [default: 10s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    request_deadline: Option<Span>,
    /// How long a catalogue import may take [default: 120s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    import_deadline: Option<Span>,
    /// How long a client may take to send a request's head, or take nothing of an answer [default: 10s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    header_timeout: Option<Span>,
    /// On SIGTERM, how long /readyz says 503 before the port closes [default: 0s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_delay: Option<Span>,
    /// On SIGTERM, how long requests in flight may take to finish [default: 15s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_timeout: Option<Span>,
    /// Threads that serve requests [default: half the cores]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<usize>,
    /// What is logged, as `debug` or `rotunda_router=debug,info` [default: info]
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// How it is logged [default: text]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogFormat>,
    /// Collector that traces are sent to by OTLP over gRPC, as http://127.0.0.1:4317 [default: no traces]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    traces_endpoint: Option<String>,
    /// Share of traces kept, 0 to 1, where the caller's traceparent does not decide [default: 0.01]
    #[arg(long, value_name = "RATIO")]
    #[serde(skip_serializing_if = "Option::is_none")]
    traces_ratio: Option<f64>,
    /// How often every shard is probed by a booking of its reserve; 0s: not at all [default: 5s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_interval: Option<Span>,
    /// How long a probe of a shard may take [default: 3s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_timeout: Option<Span>,
    /// Stop when standard input ends: a launcher holds the other end, so its death takes the router along
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    exit_with_parent: bool,
}

/// Variables that are settings of the router. Read apart: `ROTUNDA_CONFIG`, and `ROTUNDA_ADMIN_TOKEN`, whose text must
/// reach us unparsed (`007` and `1e5` are tokens, not numbers).
pub(super) const VARIABLES: &[&str] = &[
    "http",
    "admin",
    "node",
    "admin_token_file",
    "trusted_proxy",
    "rate_limit",
    "rate_limit_token",
    "rate_limit_loopback",
    "rate_limit_venue",
    "max_in_flight",
    "max_connections",
    "max_connections_per_address",
    "max_connections_loopback",
    "live_venues",
    "live_streams",
    "live_streams_per_caller",
    "request_deadline",
    "import_deadline",
    "header_timeout",
    "drain_delay",
    "drain_timeout",
    "workers",
    "log",
    "log_format",
    "traces_endpoint",
    "traces_ratio",
    "probe_interval",
    "probe_timeout",
    "exit_with_parent",
];
