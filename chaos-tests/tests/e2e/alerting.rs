//! Alerts from end to end: Debian's Prometheus with our rules, Debian's Alertmanager with our routing, and a receiver of this
//! test, beside a real cluster. A node is killed: whoever is on duty hears that a quorum is at risk, and hears that it is over.
//!
//! The rules are ours but for how long a condition has to last, which is cut to a second; the routing is ours but for
//! addresses and for how long messages are gathered.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rotunda_chaos::cluster::{Cluster, http};
use rotunda_chaos::faults::not_covered;
use rotunda_chaos::process::{Process, Recipe};
use rotunda_chaos::{ports, wait};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

const RULES: [(&str, &str); 2] = [
    (
        "recording.yml",
        include_str!("../../../deploy/prometheus/rules/recording.yml"),
    ),
    (
        "symptoms.yml",
        include_str!("../../../deploy/prometheus/rules/symptoms.yml"),
    ),
];
const ROUTING: &str = include_str!("../../../deploy/alertmanager/alertmanager.yml");

/// The addresses in [`ROUTING`] that stand for whoever is on duty.
const ON_DUTY: &str = "http://127.0.0.1:9095";

/// An alert as a receiver hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    /// `/page` or `/ticket`.
    path: String,
    alert: String,
    shard: String,
    status: String,
}

/// Listens as whoever is on duty would.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<Heard>>>);

impl Receiver {
    async fn listen() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self::default();
        let heard = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move { heard.answer(BufReader::new(stream)).await });
            }
        });
        (receiver, address)
    }

    /// Requests of one connection, each with its length.
    async fn answer(&self, mut stream: BufReader<tokio::net::TcpStream>) -> std::io::Result<()> {
        loop {
            let mut first = String::new();
            if stream.read_line(&mut first).await? == 0 {
                return Ok(());
            }
            let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                let line = line.trim_end().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            let message: Value = serde_json::from_slice(&body).unwrap();
            for alert in message["alerts"].as_array().unwrap() {
                let text = |pointer: &str| {
                    alert
                        .pointer(pointer)
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                        .to_owned()
                };
                self.0.lock().unwrap().push(Heard {
                    path: path.clone(),
                    alert: text("/labels/alertname"),
                    shard: text("/labels/shard"),
                    status: text("/status"),
                });
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await?;
        }
    }

    /// Shards for which this was heard.
    fn shards(&self, path: &str, alert: &str, status: &str) -> std::collections::BTreeSet<String> {
        let heard = self.0.lock().unwrap();
        let those = heard
            .iter()
            .filter(|heard| heard.path == path && heard.alert == alert && heard.status == status);
        those.map(|heard| heard.shard.clone()).collect()
    }

    fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    fn all(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

/// The rules, whose conditions need not last.
fn hasty(rules: &str) -> String {
    let lines = rules.lines().map(|line| match line.split_once("for: ") {
        Some((before, _)) if before.trim().is_empty() => format!("{before}for: 1s\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

fn start(program: &str, folder: &Path, arguments: Vec<String>) -> Process {
    Process::start(Recipe {
        name: program.to_owned(),
        program: program.into(),
        arguments,
        environment: Vec::new(),
        log: folder.join(format!("{program}.log")),
    })
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Prometheus over the cluster's admin ports, with our rules.
fn prometheus(cluster: &Cluster, folder: &Path, alertmanager: SocketAddr) -> (Process, SocketAddr) {
    for (name, rules) in RULES {
        write(&folder.join(name), &hasty(rules));
    }
    let targets: Vec<String> = cluster
        .nodes()
        .iter()
        .map(|node| format!("\"{}\"", cluster.admin(*node)))
        .collect();
    let configuration = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
         rule_files: [recording.yml, symptoms.yml]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{alertmanager}\"]}}]}}]}}\n\
         scrape_configs:\n  - job_name: rotunda-node\n    static_configs: [{{targets: [{}]}}]\n",
        targets.join(", ")
    );
    write(&folder.join("prometheus.yml"), &configuration);
    let address = ports::free();
    let arguments = vec![
        format!("--config.file={}", folder.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", folder.join("series").display()),
        format!("--web.listen-address={address}"),
        "--log.level=warn".to_owned(),
        // A resolved alert is told at once, and not at the next of long rounds.
        "--rules.alert.resend-delay=1s".to_owned(),
    ];
    (start("prometheus", folder, arguments), address)
}

/// Alertmanager with our routing, to our receiver.
fn alertmanager(folder: &Path, receiver: SocketAddr) -> (Process, SocketAddr) {
    let routing = ROUTING
        .replace(ON_DUTY, &format!("http://{receiver}"))
        .replace("group_wait: 15s", "group_wait: 1s")
        .replace("group_interval: 2m", "group_interval: 1s");
    assert!(
        !routing.contains("group_interval: 2m") && !routing.contains(ON_DUTY),
        "{routing}"
    );
    write(&folder.join("alertmanager.yml"), &routing);
    let address = ports::free();
    let arguments = vec![
        format!("--config.file={}", folder.join("alertmanager.yml").display()),
        format!("--storage.path={}", folder.join("silences").display()),
        format!("--web.listen-address={address}"),
        "--cluster.listen-address=".to_owned(),
        "--log.level=warn".to_owned(),
    ];
    (start("prometheus-alertmanager", folder, arguments), address)
}

/// The one value that a query gives.
async fn value(prometheus: SocketAddr, query: &str) -> Result<f64, String> {
    let url =
        reqwest::Url::parse_with_params(&format!("http://{prometheus}/api/v1/query"), [("query", query)]).unwrap();
    let answer = http().get(url).send().await.map_err(|error| error.to_string())?;
    let text = answer.text().await.map_err(|error| error.to_string())?;
    let json: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let value = json.pointer("/data/result/0/value/1").and_then(Value::as_str);
    value.and_then(|value| value.parse().ok()).ok_or(text)
}

async fn until_it_is(prometheus: SocketAddr, query: &str, wanted: f64) {
    wait::until(&format!("{query} is {wanted}"), async || {
        let found = value(prometheus, query).await?;
        if (found - wanted).abs() < 0.5 {
            Ok(())
        } else {
            Err(format!("it is {found}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_at_risk_wakes_somebody_and_is_reported_over() {
    for program in ["prometheus", "prometheus-alertmanager"] {
        if let Err(error) = std::process::Command::new(program).arg("--version").output() {
            return not_covered(
                "alerting",
                format!("{program}: {error} (.ci/setup prometheus DIR)"),
                true,
            );
        }
    }
    // Debian's Alertmanager looks for its texts there alone, and does not start without.
    let texts = Path::new("/usr/share/prometheus/alertmanager/default.tmpl");
    if !texts.exists() {
        return not_covered(
            "alerting",
            format!("there is no {} (.ci/setup prometheus DIR)", texts.display()),
            true,
        );
    }
    let mut cluster = Cluster::builder().start().await;
    cluster.until_settled().await;
    let folder = cluster.folder().join("alerting");
    std::fs::create_dir_all(&folder).unwrap();
    let (receiver, address) = Receiver::listen().await;
    let (_alertmanager, address) = alertmanager(&folder, address);
    let (_prometheus, prometheus) = prometheus(&cluster, &folder, address);

    // The meta group and every shard, with three replicas each.
    let groups = cluster.shards().len() as f64 + 1.0;
    until_it_is(prometheus, "count(shard:rotunda_raft_has_leader:sum == 3)", groups).await;
    // While Prometheus had not seen all nodes yet, it may have taken them for missing.
    let at_risk = "count(ALERTS{alertname=\"ShardQuorumAtRisk\"}) or vector(0)";
    until_it_is(prometheus, at_risk, 0.0).await;
    receiver.forget();

    cluster.kill(3);
    let patience = Duration::from_secs(120);
    wait::until_within("every shard's quorum is known to be at risk", patience, async || {
        let firing = receiver.shards("/page", "ShardQuorumAtRisk", "firing");
        let down = receiver.shards("/ticket", "ProcessDown", "firing");
        if firing.len() as f64 == groups && down.len() == 1 {
            Ok(())
        } else {
            Err(receiver.all())
        }
    })
    .await;

    cluster.start_node(3);
    wait::until_within("whoever was called hears that it is over", patience, async || {
        let over = receiver.shards("/page", "ShardQuorumAtRisk", "resolved");
        if over.len() as f64 == groups {
            Ok(())
        } else {
            Err(receiver.all())
        }
    })
    .await;
    until_it_is(prometheus, "count(shard:rotunda_raft_has_leader:sum == 3)", groups).await;
}
