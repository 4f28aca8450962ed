//! A node's settings: flags, then `ROTUNDA_*` variables, then a TOML file, then defaults.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use rotunda_raft_storage::at_rest::Keys;
use rotunda_service::settings_file::{self, Mistake};
use rotunda_telemetry::logs::{self, Format as LogFormat};
use rotunda_telemetry::traces;
use rotunda_tls::files::{Files, TlsSettings};
use serde::{Deserialize, Serialize};

use crate::budget::Budget;

/// Hosts shard replicas of a Rotunda cluster.
///
/// Every flag can also be given as a ROTUNDA_* variable (--node-id as ROTUNDA_NODE_ID) or, with underscores, in the
/// file given by --config. A flag beats a variable, a variable beats the file, the file beats the default.
///
/// Example, one of three on a machine:
///
///   rotunda-node --node-id 1 --cluster demo --data /var/lib/rotunda/1 --grpc 127.0.0.1:7001 --admin 127.0.0.1:7101
///     --peer 1=http://127.0.0.1:7001 --peer 2=http://127.0.0.1:7002 --peer 3=http://127.0.0.1:7003
#[derive(Clone, Debug, Parser, Serialize)]
#[command(name = "rotunda-node", version, verbatim_doc_comment)]
pub struct Flags {
    /// TOML file with settings.
    #[arg(long, value_name = "FILE", env = "ROTUNDA_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Check the settings of all sources, say what is wrong and on which line of the file, and stop.
    #[arg(long)]
    #[serde(skip)]
    pub check_config: bool,
    /// This node's id: 1 or above, never used again for another machine or an emptied disk.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<u32>,
    /// Name of the cluster. Written into the data; a node never speaks to another cluster.
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Directory for log and state. Made where it is missing.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Address for routers and peers [default: 127.0.0.1:7001].
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<SocketAddr>,
    /// Address for /livez, /readyz, /metrics and the page for people [default: 127.0.0.1:7101].
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
    /// A founding node and its address, this one included; repeat for each.
    #[arg(long = "peer", value_name = "ID=URL")]
    #[serde(skip_serializing_if = "Vec::is_empty", rename = "peers", serialize_with = "as_map")]
    pub peer: Vec<PeerAddress>,
    /// Shards that the cluster is founded with; later it is the map that counts [default: 8].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<u64>,
    /// Replicas of each shard at founding [default: 3].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication: Option<usize>,
    /// What all caches, queues and buffers of this node may take together [default: 512MiB].
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Applied entries that each group keeps for followers that come back and for audits [default: 20000].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_log_entries: Option<u64>,
    /// File with the keys that log and rows are encrypted with on disk, the one for new files first: a name and 64 hexadecimal
    /// digits a line. Others must not be able to read it [default: not encrypted].
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_keys: Option<PathBuf>,
    /// Instead of a file, the environment variable that holds the lines.
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_keys_env: Option<String>,
    /// Heartbeat of a leader, in milliseconds [default: 200].
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<u64>,
    /// Election time-out, in milliseconds [default: 600-1200]. A follower stands for election after a silence of MAX (the
    /// leader's lease) and then a random time between MIN and MAX: by default after 1.8 to 2.4 seconds.
    #[arg(long, value_name = "MIN-MAX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub election_ms: Option<String>,
    /// Threads that serve calls and groups; the log, the rows and the store have their own [default: half the cores].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Certificates, for TLS between all processes.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// What is logged, as debug or info,node=debug [default: info,raft=error].
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// How it is logged, text or json [default: text].
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Collector that traces are sent to by OTLP over gRPC, as http://127.0.0.1:4317 [default: no traces].
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces_endpoint: Option<String>,
    /// Stop when standard input ends: a launcher holds the other end, so its death takes the node along.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exit_with_parent: bool,
}

/// `ID=URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress(u32, String);

impl FromStr for PeerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, url) = text
            .split_once('=')
            .ok_or("expected ID=URL, as 1=http://127.0.0.1:7001")?;
        let id = id
            .parse()
            .map_err(|_| format!("{id:?} is no node id: expected a number from 1"))?;
        Ok(Self(id, url.to_owned()))
    }
}

fn as_map<S: serde::Serializer>(peers: &[PeerAddress], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(peers.iter().map(|PeerAddress(id, url)| (id.to_string(), url)))
}

/// What the sources say together, before it is checked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    node_id: Option<u32>,
    cluster: Option<String>,
    data: Option<PathBuf>,
    grpc: SocketAddr,
    admin: SocketAddr,
    peers: BTreeMap<String, String>,
    shards: u64,
    replication: usize,
    memory: String,
    keep_log_entries: u64,
    encryption_keys: Option<PathBuf>,
    encryption_keys_env: Option<String>,
    heartbeat_ms: u64,
    election_ms: String,
    workers: usize,
    tls: TlsSettings,
    log: String,
    log_format: LogFormat,
    traces_endpoint: Option<String>,
    exit_with_parent: bool,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            node_id: None,
            cluster: None,
            data: None,
            grpc: SocketAddr::from(([127, 0, 0, 1], 7001)),
            admin: SocketAddr::from(([127, 0, 0, 1], 7101)),
            peers: BTreeMap::new(),
            shards: 8,
            replication: 3,
            memory: "512MiB".to_owned(),
            keep_log_entries: 20_000,
            encryption_keys: None,
            encryption_keys_env: None,
            heartbeat_ms: 200,
            election_ms: "600-1200".to_owned(),
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
            tls: TlsSettings::default(),
            log: DEFAULT_LOG.to_owned(),
            log_format: LogFormat::Text,
            traces_endpoint: None,
            exit_with_parent: false,
        }
    }
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// See [`Flags`].
    pub node_id: u32,
    /// See [`Flags`].
    pub cluster: String,
    /// See [`Flags`].
    pub data: PathBuf,
    /// See [`Flags`].
    pub grpc: SocketAddr,
    /// See [`Flags`].
    pub admin: SocketAddr,
    /// Founding nodes by id, this one included.
    pub peers: BTreeMap<u32, String>,
    /// See [`Flags`].
    pub shards: u64,
    /// See [`Flags`].
    pub replication: usize,
    /// See [`Flags`].
    pub memory_bytes: usize,
    /// See [`Flags`].
    pub keep_log_entries: u64,
    /// What the data is encrypted with, if at all.
    pub keys: Option<Arc<Keys>>,
    /// Heartbeat and election.
    pub timing: Timing,
    /// When logs are cut. Not for the operator: it follows from what a flush costs. A simulator has less time.
    pub checkpoints: Checkpoints,
    /// See [`Flags`].
    pub workers: usize,
    /// Certificates, checked; none where TLS is off.
    pub tls: Option<Files>,
    /// See [`Flags`].
    pub log: String,
    /// See [`Flags`].
    pub log_format: LogFormat,
    /// See [`Flags`]. What is kept of a trace is decided where it begins, at a router.
    pub traces_endpoint: Option<String>,
    /// See [`Flags`].
    pub exit_with_parent: bool,
}

/// How often a group's applied state is made durable, so that its log can be cut.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoints {
    /// Between two looks.
    pub interval: Duration,
    /// A checkpoint before so many new entries is not worth its flush.
    pub entries: u64,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            entries: 256,
        }
    }
}

/// How quickly a dead leader is missed. Milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between heartbeats.
    pub heartbeat_ms: u64,
    /// Shortest random part of the silence before an election.
    pub election_min_ms: u64,
    /// Longest; also the leader's lease, which always comes before the random part.
    pub election_max_ms: u64,
}

/// openraft tells more than an operator wants to know.
const DEFAULT_LOG: &str = "info,raft=error";
/// Memory below which RocksDB alone would not work well.
const MIN_MEMORY_BYTES: usize = 64 << 20;
const MAX_SHARDS: u64 = 256;
/// No machine has more cores.
const MAX_WORKERS: usize = 4_096;
const MAX_NAME_BYTES: usize = 64;

/// What is wrong with the settings, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A source cannot be read, or names a setting that does not exist.
    #[error("{0}")]
    Source(#[from] Box<figment::Error>),
    /// The file is wrong, and on which line.
    #[error("{0}")]
    File(#[from] Mistake),
    /// A value makes no sense.
    #[error("{setting}: {problem}")]
    Value {
        /// Which setting.
        setting: &'static str,
        /// Where it stands in a file, as `peers.2`.
        key: String,
        /// What is wrong and what to do.
        problem: String,
    },
}

fn wrong<T>(setting: &'static str, problem: impl Into<String>) -> Result<T, ConfigError> {
    let key = setting.replace('-', "_");
    Err(ConfigError::Value {
        setting,
        key: if key == "peer" { "peers".to_owned() } else { key },
        problem: problem.into(),
    })
}

fn wrong_peer<T>(id: &str, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Value {
        setting: "peer",
        key: format!("peers.{id}"),
        problem: problem.into(),
    })
}

impl Config {
    /// Reads all sources and checks the result.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Raw::default()));
        let mut file = None;
        if let Some(path) = &flags.config {
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) => {
                    let problem = format!(
                        "cannot read {}: {error}. Check the path and whose it is",
                        path.display()
                    );
                    return wrong("config", problem);
                }
            };
            // By itself first, for the line of what is wrong; figment would name the key alone.
            settings_file::read::<Raw>(path, &text)?;
            figment = figment.merge(Toml::string(&text));
            file = Some((path, text));
        }
        // ROTUNDA_PEERS="1=http://...,2=http://..." is a map in one variable, so it is read by hand.
        figment = figment.merge(Env::prefixed("ROTUNDA_").only(&[
            "node_id",
            "cluster",
            "data",
            "grpc",
            "admin",
            "shards",
            "replication",
            "memory",
            "keep_log_entries",
            "encryption_keys",
            "encryption_keys_env",
            "heartbeat_ms",
            "election_ms",
            "workers",
            "log",
            "log_format",
            "traces_endpoint",
            "exit_with_parent",
        ]));
        if let Ok(peers) = std::env::var("ROTUNDA_PEERS") {
            for peer in peers.split(',').filter(|peer| !peer.is_empty()) {
                match peer.trim().parse() {
                    Ok(PeerAddress(id, url)) => figment = figment.merge((format!("peers.{id}"), url)),
                    Err(problem) => return wrong("ROTUNDA_PEERS", problem),
                }
            }
        }
        let figment = figment.merge(Serialized::defaults(flags));
        let raw: Raw = figment.extract().map_err(Box::new)?;
        Self::check(raw).map_err(|error| match (error, file) {
            // Only where it is the file's value that counts, and not one laid over it.
            (ConfigError::Value { setting, key, problem }, Some((path, text))) if from_file(&figment, &key) => {
                Mistake::at_key(path, &text, &key, format!("{setting}: {problem}")).into()
            }
            (error, _) => error,
        })
    }

    fn check(raw: Raw) -> Result<Self, ConfigError> {
        let Some(node_id) = raw.node_id.filter(|id| *id > 0) else {
            return wrong("node-id", "give this node an id of its own, as --node-id 1");
        };
        let Some(cluster) = raw.cluster.filter(|name| is_name(name)) else {
            return wrong(
                "cluster",
                "give the cluster's name, as --cluster meridian: letters, digits, '-' and '_', at most 64",
            );
        };
        let Some(data) = raw.data else {
            return wrong("data", "say where log and state go, as --data /var/lib/rotunda");
        };
        let tls = certificates::check(&raw.tls, &cluster, node_id)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut peers = BTreeMap::new();
        for (id, url) in raw.peers {
            let Some(number) = id.parse().ok().filter(|id: &u32| *id > 0) else {
                return wrong_peer(&id, format!("{id:?} is no node id: expected a number from 1"));
            };
            let is_address = tonic::transport::Endpoint::from_shared(url.clone()).is_ok();
            if !url.starts_with(&format!("{scheme}://")) || !is_address {
                let with = if tls.is_some() { " with [tls]" } else { "" };
                return wrong_peer(
                    &id,
                    format!("{url:?} is no address: expected {scheme}://HOST:PORT{with}"),
                );
            }
            peers.insert(number, url);
        }
        if !peers.contains_key(&node_id) {
            return wrong(
                "peer",
                format!(
                    "the list must hold this node too: add --peer {node_id}={scheme}://{}",
                    raw.grpc
                ),
            );
        }
        if raw.shards == 0 || raw.shards > MAX_SHARDS {
            return wrong("shards", format!("expected 1 to {MAX_SHARDS}"));
        }
        if raw.replication.is_multiple_of(2) || raw.replication > peers.len() {
            let count = peers.len();
            return wrong(
                "replication",
                format!("expected an odd number, at most the number of peers ({count})"),
            );
        }
        let Some(memory_bytes) = parse_bytes(&raw.memory).filter(|bytes| *bytes >= MIN_MEMORY_BYTES) else {
            return wrong(
                "memory",
                format!("{:?}: expected bytes, as 512MiB, from 64MiB up", raw.memory),
            );
        };
        if let Err(too_small) = Budget::check(memory_bytes, usize::try_from(raw.shards).unwrap_or(usize::MAX)) {
            return wrong("memory", format!("{:?}: {too_small}", raw.memory));
        }
        let election = raw
            .election_ms
            .split_once('-')
            .and_then(|(min, max)| Some((min.trim().parse().ok()?, max.trim().parse().ok()?)));
        let Some((election_min_ms, election_max_ms)) = election.filter(|(min, max)| min < max) else {
            return wrong(
                "election-ms",
                format!("{:?}: expected MIN-MAX, as 600-1200", raw.election_ms),
            );
        };
        if raw.heartbeat_ms == 0 || raw.heartbeat_ms.saturating_mul(2) > election_min_ms {
            return wrong(
                "heartbeat-ms",
                "expected at least 1 and at most half of the shortest election time-out",
            );
        }
        let keys = read_keys(raw.encryption_keys.as_deref(), raw.encryption_keys_env.as_deref())?;
        if !(1..=MAX_WORKERS).contains(&raw.workers) {
            return wrong("workers", format!("expected 1 to {MAX_WORKERS}"));
        }
        logs::check(&raw.log).or_else(|error| wrong("log", error.to_string()))?;
        if let Some(endpoint) = &raw.traces_endpoint {
            traces::check(endpoint, 1.0).or_else(|error| wrong("traces-endpoint", error.to_string()))?;
        }
        Ok(Self {
            node_id,
            cluster,
            data,
            grpc: raw.grpc,
            admin: raw.admin,
            peers,
            shards: raw.shards,
            replication: raw.replication,
            memory_bytes,
            keep_log_entries: raw.keep_log_entries,
            keys: keys.map(Arc::new),
            checkpoints: Checkpoints::default(),
            timing: Timing {
                heartbeat_ms: raw.heartbeat_ms,
                election_min_ms,
                election_max_ms,
            },
            workers: raw.workers,
            tls,
            log: raw.log,
            log_format: raw.log_format,
            traces_endpoint: raw.traces_endpoint,
            exit_with_parent: raw.exit_with_parent,
        })
    }
}

/// The keys in a file, or in a variable.
fn read_keys(file: Option<&Path>, variable: Option<&str>) -> Result<Option<Keys>, ConfigError> {
    let (setting, keys) = match (file, variable) {
        (None, None) => return Ok(None),
        (Some(file), None) => (
            "encryption-keys",
            Keys::from_file(file).map_err(|error| error.to_string()),
        ),
        (None, Some(name)) => {
            let place = format!("the variable {name}");
            let keys = match std::env::var(name) {
                Ok(text) => Keys::from_text(&text, &place).map_err(|error| error.to_string()),
                Err(error) => Err(format!("cannot read {place}: {error}")),
            };
            ("encryption-keys-env", keys)
        }
        (Some(_), Some(_)) => {
            return wrong(
                "encryption-keys-env",
                "the keys come from a file or from a variable, not from both",
            );
        }
    };
    match keys {
        Ok(keys) => Ok(Some(keys)),
        Err(problem) => wrong(setting, problem),
    }
}

/// Whether the value of `key` that counts is the file's.
fn from_file(figment: &Figment, key: &str) -> bool {
    figment
        .find_metadata(key)
        .is_some_and(|source| source.name.starts_with("TOML"))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// `512MiB`, `2GiB`, `1048576`.
fn parse_bytes(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().ok()?;
    let unit: usize = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

mod certificates;

#[cfg(test)]
mod tests;
