//! etcd, three members: the hot slot by compare-and-swap, and plain puts as its ceiling.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use self::wire::{Compare, Kv, PutRequest, RangeRequest, RequestOp, TxnRequest};
use super::{Figure, output};
use crate::ports;
use crate::process::{Process, Recipe};

const PROMISE: &str = "synced on a majority of three members";
const MEMBERS: usize = 3;
const SLOT: &str = "slot";
const WARM_UP: Duration = Duration::from_secs(2);

/// The few messages of etcd's v3 API that are needed (etcd's `rpc.proto` and `kv.proto`).
mod wire {
    use bytes::Bytes;
    use tonic::codegen::http::uri::PathAndQuery;
    use tonic::transport::Channel;
    use tonic::{Request, Status};
    use tonic_prost::ProstCodec;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PutRequest {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) key: Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        pub(super) value: Bytes,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PutResponse {}

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RangeRequest {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) key: Bytes,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct KeyValue {
        #[prost(int64, tag = "3")]
        pub(super) mod_revision: i64,
        #[prost(bytes = "bytes", tag = "5")]
        pub(super) value: Bytes,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RangeResponse {
        #[prost(message, repeated, tag = "2")]
        pub(super) kvs: Vec<KeyValue>,
    }

    /// `result` EQUAL is 0 and so left out; `target` MOD is 2.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Compare {
        #[prost(int32, tag = "2")]
        pub(super) target: i32,
        #[prost(bytes = "bytes", tag = "3")]
        pub(super) key: Bytes,
        #[prost(int64, optional, tag = "6")]
        pub(super) mod_revision: Option<i64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RequestOp {
        #[prost(message, optional, tag = "2")]
        pub(super) put: Option<PutRequest>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TxnRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) compare: Vec<Compare>,
        #[prost(message, repeated, tag = "2")]
        pub(super) success: Vec<RequestOp>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TxnResponse {
        #[prost(bool, tag = "2")]
        pub(super) succeeded: bool,
    }

    /// `etcdserverpb.KV`.
    #[derive(Clone)]
    pub(super) struct Kv(tonic::client::Grpc<Channel>);

    impl Kv {
        pub(super) fn new(channel: Channel) -> Self {
            Kv(tonic::client::Grpc::new(channel))
        }

        async fn call<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A, Status>
        where
            Q: prost::Message + Send + Sync + 'static,
            A: prost::Message + Default + Send + Sync + 'static,
        {
            let ready = self.0.ready().await;
            ready.map_err(|error| Status::unavailable(error.to_string()))?;
            let path = PathAndQuery::from_static(path);
            let answer = self.0.unary(Request::new(request), path, ProstCodec::default()).await?;
            Ok(answer.into_inner())
        }

        pub(super) async fn put(&mut self, request: PutRequest) -> Result<PutResponse, Status> {
            self.call("/etcdserverpb.KV/Put", request).await
        }

        pub(super) async fn range(&mut self, request: RangeRequest) -> Result<RangeResponse, Status> {
            self.call("/etcdserverpb.KV/Range", request).await
        }

        pub(super) async fn txn(&mut self, request: TxnRequest) -> Result<TxnResponse, Status> {
            self.call("/etcdserverpb.KV/Txn", request).await
        }
    }
}

/// Three members on this machine, and their client addresses.
fn start(folder: &Path) -> Result<(Vec<Process>, Vec<String>), String> {
    let url = || format!("http://{}", ports::free());
    let members: Vec<(String, String, String)> = (1..=MEMBERS)
        .map(|number| (format!("m{number}"), url(), url()))
        .collect();
    let peers: Vec<String> = members.iter().map(|(name, peer, _)| format!("{name}={peer}")).collect();
    let peers = peers.join(",");
    let mut processes = Vec::new();
    for (name, peer, client) in &members {
        let data = folder.join(name);
        fs::create_dir_all(&data).map_err(|error| error.to_string())?;
        let data = data.display().to_string();
        let arguments = [
            "--name",
            name,
            "--data-dir",
            &data,
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--listen-client-urls",
            client,
            "--advertise-client-urls",
            client,
            "--initial-cluster",
            &peers,
            "--initial-cluster-state",
            "new",
            "--quota-backend-bytes",
            "8589934592",
        ];
        processes.push(Process::start(Recipe {
            name: format!("etcd {name}"),
            program: "etcd".into(),
            arguments: arguments.map(str::to_owned).to_vec(),
            environment: vec![("ETCD_UNSUPPORTED_ARCH".to_owned(), std::env::consts::ARCH.to_owned())],
            log: folder.join(format!("{name}.log")),
        }));
    }
    Ok((processes, members.into_iter().map(|(_, _, client)| client).collect()))
}

/// One client's next booking, or put.
async fn step(kv: &mut Kv, hot: bool, number: u64) -> Result<(), tonic::Status> {
    let booking = PutRequest {
        key: format!("booking:{number}").into(),
        value: "slot".into(),
    };
    if !hot {
        return kv.put(booking).await.map(drop);
    }
    loop {
        let found = kv
            .range(RangeRequest { key: SLOT.into() })
            .await?
            .kvs
            .pop()
            .unwrap_or_default();
        let taken: u64 = std::str::from_utf8(&found.value)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let slot = PutRequest {
            key: SLOT.into(),
            value: (taken + 1).to_string().into(),
        };
        let swap = TxnRequest {
            compare: vec![Compare {
                target: 2,
                key: SLOT.into(),
                mod_revision: Some(found.mod_revision),
            }],
            success: vec![
                RequestOp { put: Some(slot) },
                RequestOp {
                    put: Some(booking.clone()),
                },
            ],
        };
        if kv.txn(swap).await?.succeeded {
            return Ok(());
        }
    }
}

async fn load(
    addresses: &[String],
    hot: bool,
    clients: usize,
    span: Duration,
) -> Result<(f64, Histogram<u64>), String> {
    let mut lines = Vec::new();
    for address in addresses {
        let endpoint = Channel::from_shared(address.clone()).map_err(|error| error.to_string())?;
        lines.push(
            endpoint
                .connect()
                .await
                .map_err(|error| format!("{address}: {error}"))?,
        );
    }
    let next = Arc::new(AtomicU64::new(u64::from(hot) << 40 | (clients as u64) << 32));
    let histogram = Histogram::new_with_bounds(1, 60_000_000, 3).map_err(|error| error.to_string())?;
    let latencies = Arc::new(Mutex::new(histogram));
    let (from, until) = (Instant::now() + WARM_UP, Instant::now() + WARM_UP + span);
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let mut kv = Kv::new(lines[client % lines.len()].clone());
        let (next, latencies) = (Arc::clone(&next), Arc::clone(&latencies));
        tasks.spawn(async move {
            loop {
                let begun = Instant::now();
                if begun >= until {
                    return Ok(());
                }
                step(&mut kv, hot, next.fetch_add(1, Ordering::Relaxed)).await?;
                let ended = Instant::now();
                if ended >= from && ended < until {
                    let micros = u64::try_from((ended - begun).as_micros()).unwrap_or(u64::MAX);
                    latencies.lock().saturating_record(micros);
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended
            .map_err(|error| error.to_string())?
            .map_err(|status: tonic::Status| status.to_string())?;
    }
    let latencies = latencies.lock().clone();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = latencies.len() as f64 / span.as_secs_f64();
    Ok((rate, latencies))
}

/// Measures puts and the hot slot.
pub(super) async fn measure(folder: &Path, span: Duration) -> Result<Vec<Figure>, String> {
    let said = output(Command::new("etcd").arg("--version"))?;
    let version = said
        .lines()
        .next()
        .and_then(|line| line.rsplit(' ').next())
        .unwrap_or("?")
        .to_owned();
    let (processes, addresses) = start(folder)?;
    let mut ready = Err("it never answered".to_owned());
    for _ in 0..100 {
        ready = load(&addresses, false, 1, Duration::from_millis(100)).await;
        if ready.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ready?;
    let mut figures = Vec::new();
    for (hot, clients) in [(false, 256), (true, 1), (true, 8), (true, 64)] {
        let (rate, latencies) = load(&addresses, hot, clients, span).await?;
        figures.push(Figure {
            who: format!("etcd {version}, {MEMBERS} members"),
            promise: PROMISE,
            work: if hot {
                "hot slot: read, compare and swap, again until it is done"
            } else {
                "plain puts"
            }
            .to_owned(),
            clients,
            rate,
            p50_us: Some(latencies.value_at_quantile(0.5)),
            p99_us: Some(latencies.value_at_quantile(0.99)),
        });
    }
    drop(processes);
    Ok(figures)
}
