//! What an operator gets wrong at the start of a process: it ends at once, says what is wrong and how to mend it, and
//! leaves everything as it was.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use rotunda_chaos::cluster::{Cluster, MERIDIAN};
use rotunda_chaos::ports;
use rotunda_chaos::process::{Process, Recipe};

const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Starts a process that must not come up. Gives what it said.
#[track_caller]
fn refused(recipe: Recipe) -> String {
    let name = recipe.name.clone();
    let log = recipe.log.clone();
    let mut process = Process::start(recipe);
    let status = tokio::task::block_in_place(|| process.wait(ENDS_WITHIN));
    let said = std::fs::read_to_string(log).unwrap();
    assert!(
        !status.success(),
        "{name} ended with {status}, as if all were well:\n{said}"
    );
    assert!(
        status.code().is_some(),
        "{name} crashed instead of refusing: {status}\n{said}"
    );
    assert!(
        !said.contains("panicked"),
        "{name} panicked instead of refusing:\n{said}"
    );
    said
}

/// The node's recipe with another value after a flag, its own log, and ports that are free.
fn changed(cluster: &Cluster, node: u32, changes: &[(&str, &str)]) -> Recipe {
    let mut recipe = cluster.process(node).recipe().clone();
    recipe.log = cluster.folder().join(format!("refused-{}.log", ports::free().port()));
    set(&mut recipe, "--grpc", &ports::free().to_string());
    set(&mut recipe, "--admin", &ports::free().to_string());
    for (flag, value) in changes {
        set(&mut recipe, flag, value);
    }
    recipe
}

fn set(recipe: &mut Recipe, flag: &str, value: &str) {
    let place = recipe
        .arguments
        .iter()
        .position(|argument| argument == flag)
        .unwrap_or_else(|| panic!("no {flag}"));
    recipe.arguments[place + 1] = value.to_owned();
}

#[track_caller]
fn says(said: &str, wanted: &[&str]) {
    for word in wanted {
        assert!(said.contains(word), "it should say {word:?}:\n{said}");
    }
}

/// Applied index and state hash of every shard.
async fn state(cluster: &Cluster) -> Vec<(u64, u64, [u8; 16])> {
    let mut state = Vec::new();
    for shard in cluster.shards() {
        let replicas = cluster.replicas_of(shard).await;
        state.extend(
            replicas
                .iter()
                .map(|(_, replica)| (shard, replica.applied, replica.state_hash)),
        );
    }
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_refuses_what_is_not_its_own() {
    // Plain, for a certificate of its own would be refused before the data.
    let mut cluster = Cluster::builder().nodes(1).shards(2).plain_inside().start().await;
    cluster.import(MERIDIAN).await;
    cluster.until_settled().await;
    let before = state(&cluster).await;
    let data = cluster.data(1).display().to_string();

    let said = refused(changed(&cluster, 1, &[]));
    says(&said, &["in use", &data]);

    cluster.kill(1);
    let said = refused(changed(&cluster, 1, &[("--cluster", "louvre")]));
    says(&said, &["louvre", "chaos", &data]);
    let mut other = changed(&cluster, 1, &[("--node-id", "2")]);
    let grpc = cluster.grpc(1);
    other
        .arguments
        .extend(["--peer".to_owned(), format!("2=http://{grpc}")]);
    let said = refused(other);
    says(&said, &["node 1", &data]);

    cluster.start_node(1);
    cluster.until_led().await;
    cluster.until_settled().await;
    let after = state(&cluster).await;
    for ((shard, applied, hash), (_, applied_after, hash_after)) in before.iter().zip(&after) {
        // A new term writes an entry of its own, which changes no row.
        assert!(
            applied <= applied_after,
            "shard {shard} lost entries: {applied} became {applied_after}"
        );
        assert_eq!(hash, hash_after, "shard {shard} changed");
    }
    assert_eq!(before.len(), after.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_port_is_named_with_a_remedy() {
    let cluster = Cluster::builder().nodes(1).shards(1).start().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let port = address.port().to_string();

    for flag in ["--grpc", "--admin"] {
        let empty = cluster.folder().join(format!("empty{flag}"));
        let data = empty.display().to_string();
        let said = refused(changed(&cluster, 1, &[(flag, &address.to_string()), ("--data", &data)]));
        says(&said, &[&port, flag]);
        assert!(!said.contains("RUST_BACKTRACE"), "{said}");
    }
    for flag in ["--http", "--admin"] {
        let mut recipe = cluster.router().recipe().clone();
        recipe.log = cluster.folder().join(format!("refused-router{flag}.log"));
        set(&mut recipe, "--http", &ports::free().to_string());
        set(&mut recipe, "--admin", &ports::free().to_string());
        set(&mut recipe, flag, &address.to_string());
        let said = refused(recipe);
        says(&said, &[&port, flag]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_makes_no_sense_is_named() {
    let cluster = Cluster::builder().nodes(1).shards(1).start().await;
    for (flag, value) in [
        ("--shards", "0"),
        ("--replication", "2"),
        ("--election-ms", "600"),
        ("--cluster", "two words"),
    ] {
        let data = cluster.folder().join(format!("never{flag}"));
        let said = refused(changed(
            &cluster,
            1,
            &[(flag, value), ("--data", &data.display().to_string())],
        ));
        says(&said, &[flag.trim_start_matches("--")]);
        assert!(!data.exists(), "a refused node made {}", data.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_ends_with_its_launcher() {
    use std::io::Write as _;

    let cluster = Cluster::builder().nodes(1).shards(1).start().await;
    let recipe = changed(
        &cluster,
        1,
        &[("--data", &cluster.folder().join("orphan").display().to_string())],
    );
    let mut child = std::process::Command::new(&recipe.program)
        .args(&recipe.arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // Bytes on the pipe mean nothing; its end does.
    pipe.write_all(b"still here\n").unwrap();
    assert!(child.try_wait().unwrap().is_none());
    drop(pipe);
    rotunda_chaos::wait::until("the orphan to end", async || match child.try_wait().unwrap() {
        Some(_) => Ok(()),
        None => Err("it runs".to_owned()),
    })
    .await;
}
