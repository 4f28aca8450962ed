//! Certificates between real processes: who opens the Raft port and who does not, whose certificate passes for whom, and
//! certificates and authority replaced while everybody buys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rotunda_chaos::audit::Audit;
use rotunda_chaos::cluster::{self, Cluster};
use rotunda_chaos::report::tell;
use rotunda_chaos::selling::{Manner, Selling};
use rotunda_chaos::visitor::Fate;
use rotunda_chaos::wait;
use rotunda_protocol::dial::{Callee, Line};
use rotunda_protocol::proto::admin::admin_client::AdminClient;
use rotunda_protocol::proto::admin::{Node, StatusRequest, WatchMapRequest};
use rotunda_protocol::proto::raft::PeerFrame;
use rotunda_protocol::proto::raft::raft_client::RaftClient;
use rotunda_protocol::version::Formats;
use rotunda_tls::identity::Role;
use rotunda_tls::mutual::Trust;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tonic::{Code, Request, Status};

use crate::failover::until_sold;
use crate::{VISITORS, selling_cluster};

const WINDOW: u32 = 1 << 20;

/// Of the whole session, around each change.
const WARM: usize = 300;

fn line(cluster: &Cluster, role: &Role, node: u32) -> Line {
    let address = cluster.inside().url(cluster.grpc(node));
    let dial = cluster.inside().dial_as(role);
    dial.line(Callee::node(node, &address), WINDOW).expect("an address")
}

/// Knocks at node 1's Raft port with this certificate, as node `from`.
async fn knock(cluster: &Cluster, role: &Role, from: u32) -> Result<(), Status> {
    let mut request = Request::new(futures::stream::iter([PeerFrame::default()]));
    let metadata = request.metadata_mut();
    metadata.insert("rotunda-cluster", "chaos".parse().expect("a name"));
    let version = Formats::OURS.stated_with("0.1.0");
    metadata.insert("rotunda-version", version.parse().expect("a version"));
    metadata.insert("rotunda-from", from.into());
    metadata.insert("rotunda-to", 1.into());
    let mut raft = RaftClient::new(line(cluster, role, 1));
    raft.exchange(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_node_opens_the_raft_port_and_only_as_itself() {
    let mut cluster = Cluster::builder().nodes(2).replication(1).shards(2).start().await;
    let client = Role::Client("harness".to_owned());
    let router = Role::Router("a".to_owned());
    knock(&cluster, &Role::Node(2), 2).await.expect("node 2 as itself");
    for (role, from) in [(&client, 2), (&router, 2), (&Role::Node(2), 1), (&Role::Node(2), 3)] {
        let refused = knock(&cluster, role, from).await.expect_err("somebody else");
        assert_eq!(refused.code(), Code::PermissionDenied, "{role} as {from}: {refused}");
    }
    // What a client may, it may; and nobody but a node says where nodes are.
    let mut admin = AdminClient::new(line(&cluster, &client, 1));
    admin.status(StatusRequest {}).await.expect("a client looks");
    let moved = admin
        .register_node(Node::default())
        .await
        .expect_err("a client is no node");
    assert_eq!(moved.code(), Code::PermissionDenied, "{moved}");
    let mut admin = AdminClient::new(line(&cluster, &Role::Node(2), 1));
    let followed = admin
        .watch_map(WatchMapRequest::default())
        .await
        .expect_err("nodes speak Raft");
    assert_eq!(followed.code(), Code::PermissionDenied, "{followed}");
    // Whoever speaks no TLS at all is heard by nobody.
    let plain = rotunda_protocol::dial::Tcp::shared();
    let address = format!("http://{}", cluster.grpc(1));
    let line = plain.line(Callee::any(&address), WINDOW).expect("an address");
    AdminClient::new(line)
        .status(StatusRequest {})
        .await
        .expect_err("no TLS");
    cluster.check_processes();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_2s_certificate_does_not_pass_for_node_1() {
    let mut cluster = Cluster::builder().start().await;
    cluster.kill(1);
    let listener = TcpListener::bind(cluster.grpc(1)).await.expect("node 1's port");
    let impostor = Trust::read(cluster.inside().files(&Role::Node(2))).expect("node 2's certificate");
    let (turned_away, heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&turned_away), Arc::clone(&heard));
    let answering = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match impostor.current().accept(stream).await {
                Err(_) => {
                    counts.0.fetch_add(1, Ordering::Relaxed);
                }
                Ok((mut stream, _)) => {
                    let read = stream.read(&mut [0; 64]).await.unwrap_or(0);
                    counts.1.fetch_add(read, Ordering::Relaxed);
                }
            }
        }
    });
    // The peers, the router and the harness all call node 1 and find somebody else.
    wait::until("callers that turned away", async || {
        let count = turned_away.load(Ordering::Relaxed);
        if count >= 10 { Ok(()) } else { Err(format!("{count}")) }
    })
    .await;
    assert_eq!(heard.load(Ordering::Relaxed), 0, "nothing was said to the impostor");
    assert!(
        cluster
            .process(2)
            .tail()
            .contains("node-1.chaos.rotunda was called and node-2.chaos.rotunda answered"),
        "{}",
        cluster.process(2).tail()
    );
    answering.abort();
    let _ = answering.await;
    cluster.start_node(1);
    cluster.until_caught_up(1).await;
    cluster.check_processes();
}

/// How often each process has taken up new certificates.
async fn taken(cluster: &Cluster) -> Vec<u64> {
    let nodes = cluster.nodes();
    let nodes = nodes.iter().map(|node| format!("http://{}", cluster.admin(*node)));
    let mut taken = Vec::new();
    for url in nodes.chain([cluster.router_admin()]) {
        let page = cluster::http().get(format!("{url}/metrics")).send().await;
        let page = page.expect("a page").text().await.expect("a page");
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("rotunda_tls_renewals_total{outcome=\"taken\"} "));
        taken.push(line.and_then(|count| count.parse().ok()).unwrap_or(0));
    }
    taken
}

/// Waits until every process has taken up what was made.
async fn until_taken(cluster: &Cluster, before: &[u64]) {
    wait::until("new certificates everywhere", async || {
        let now = taken(cluster).await;
        if now.iter().zip(before).all(|(now, before)| now > before) {
            Ok(())
        } else {
            Err(format!("{before:?}, {now:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_and_authority_are_replaced_while_everybody_buys() {
    let (mut cluster, hot, offers) = selling_cluster().await;
    let selling = Selling::start(&cluster.door(), VISITORS, Manner::Buying, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    until_sold(&mut cluster, &recorder, None, WARM).await;
    let mut authority = cluster.inside().authority();
    for step in ["leafs", "successor", "leafs of the successor", "retirement"] {
        let before = taken(&cluster).await;
        match step {
            "successor" => authority.succeed().expect("a successor"),
            "retirement" => authority.retire().expect("a retirement"),
            _ => drop(authority.renew().expect("new certificates")),
        }
        until_taken(&cluster, &before).await;
        // Streams that are open go on; a node that drains and comes back makes all of its anew.
        let node = cluster.leader_of(hot.shard).await;
        cluster.terminate(node);
        cluster.start_node(node);
        cluster.until_caught_up(node).await;
        until_sold(&mut cluster, &recorder, None, WARM).await;
        tell(format!("{step}: taken up, node {node} restarted"));
    }
    let history = selling.stop().await;
    let audit = Audit::run(&mut cluster, &history).await;
    tell(format!(
        "certificates and authority replaced, {VISITORS} visitors\n{audit}"
    ));
    audit.assert_sound();
    assert_eq!(history.unknown().count(), 0, "no request was left without an answer");
    let failed = history.records.iter().filter(|record| match &record.settled.fate {
        Fate::Answered(answer) => answer.status >= 500,
        Fate::Unknown => true,
    });
    assert_eq!(failed.count(), 0, "no request failed");
    let repeated = history.records.iter().filter(|record| record.settled.attempts > 1);
    tell(format!(
        "{} of {} requests were sent twice",
        repeated.count(),
        history.records.len()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_leaves_the_inside_plain() {
    let cluster = Cluster::builder().nodes(1).shards(1).plain_inside().start().await;
    let address = format!("http://{}", cluster.grpc(1));
    let line = rotunda_protocol::dial::Tcp::shared().line(Callee::any(&address), WINDOW);
    let status = AdminClient::new(line.expect("an address"))
        .status(StatusRequest {})
        .await;
    assert_eq!(status.expect("a status").into_inner().node, 1);
}
