//! Tokens and quotas of the cluster, over two routers: a token issued at the first is good at the second, one revoked there is
//! good nowhere, a quota counts at both, and all of it outlives every node.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::Instant;

use rotunda_chaos::cluster::{Cluster, MERIDIAN, http};
use rotunda_chaos::process::Process;
use rotunda_chaos::{binaries, ports, wait};
use serde_json::Value;

/// Runs `rotunda` against the cluster's own router.
fn rotunda(cluster: &Cluster, arguments: &[&str]) -> Output {
    Command::new(binaries::path("rotunda"))
        .args(arguments)
        .args(["--output", "json"])
        .env("ROTUNDA_ROUTER", cluster.door())
        .env("ROTUNDA_TOKEN", cluster.token())
        .output()
        .unwrap()
}

/// What it printed, where all was well.
fn told(cluster: &Cluster, arguments: &[&str]) -> Value {
    let output = rotunda(cluster, arguments);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "rotunda {arguments:?}:\n{out}\n{err}");
    serde_json::from_str(&out).unwrap()
}

/// Another router of the cluster, and its door.
fn another_router(cluster: &Cluster) -> (Process, SocketAddr) {
    let mut recipe = cluster.router().recipe().clone();
    let door = ports::free();
    for (flag, address) in [("--http", door), ("--admin", ports::free())] {
        let place = recipe.arguments.iter().position(|argument| argument == flag).unwrap();
        recipe.arguments[place + 1] = address.to_string();
    }
    recipe.name = format!("router at {door}");
    recipe.log = cluster.folder().join(format!("router-{}.log", door.port()));
    (Process::start(recipe), door)
}

async fn status(door: &str, path: &str, secret: &str) -> Result<u16, String> {
    let request = http().get(format!("{door}{path}")).bearer_auth(secret);
    let answer = request.send().await.map_err(|error| error.to_string())?;
    Ok(answer.status().as_u16())
}

async fn until_answered(door: &str, path: &str, secret: &str, wanted: u16) {
    wait::until(&format!("{wanted} of {door}{path}"), async || {
        match status(door, path, secret).await? {
            status if status == wanted => Ok(()),
            other => Err(format!("{other}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_revoked_at_one_router_stops_at_the_other() {
    let mut cluster = Cluster::builder().shards(2).start().await;
    cluster.import(MERIDIAN).await;
    let (_second, door) = another_router(&cluster);
    let second = format!("http://{door}");
    let audit = "/v1/venues/lisbon-tides/audit";

    let issued = told(
        &cluster,
        &["token", "create", "max", "--role", "manager", "--venue", "lisbon-tides"],
    );
    let secret = issued["secret"].as_str().unwrap().to_owned();
    assert_eq!(
        status(&cluster.door(), audit, &secret).await,
        Ok(200),
        "at once where it was issued"
    );
    until_answered(&second, audit, &secret, 200).await;
    // It is a manager's, of one venue.
    assert_eq!(status(&second, "/v1/admin/cluster", &secret).await, Ok(403));
    assert_eq!(status(&second, "/v1/venues/tokyo-paper/audit", &secret).await, Ok(403));

    // What it does is on record, at whatever router.
    let slot = format!("{second}/v1/admin/venues/lisbon-tides/slots/general@2000-01-01T10:00+00:00");
    let change = http().put(slot).bearer_auth(&secret).body("{\"capacity\":5}");
    let change = change.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(change.status().as_u16(), 404, "no such slot");
    let log: Value = http()
        .get(format!("{}{audit}", cluster.door()))
        .bearer_auth(cluster.token())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let lines = log["data"].as_array().unwrap();
    let of = |name: &str| lines.iter().find(|line| line["actor"]["name"] == name).unwrap();
    assert_eq!(
        (&of("admin")["operation"], &of("admin")["refused"]),
        (&"import_venue".into(), &Value::Null)
    );
    assert_eq!(
        (&of("max")["operation"], &of("max")["refused"]),
        (&"change_slot".into(), &"unknown_slot".into())
    );

    // Revoked at one router, it is soon unknown to the other.
    told(&cluster, &["token", "revoke", "max"]);
    let revoked = Instant::now();
    assert_eq!(
        status(&cluster.door(), audit, &secret).await,
        Ok(401),
        "at once where it was revoked"
    );
    until_answered(&second, audit, &secret, 401).await;
    println!(
        "the other router refused it {:?} after the answer to the revocation",
        revoked.elapsed()
    );
    let taken = rotunda(&cluster, &["token", "create", "max", "--role", "gate"]);
    assert_eq!(taken.status.code(), Some(1), "the name stays taken");

    // All nodes die; what they come back with says the same to a router that never heard of it.
    let gate = told(&cluster, &["token", "create", "gate-1", "--role", "gate"]);
    let gate = gate["secret"].as_str().unwrap();
    for node in cluster.nodes() {
        cluster.kill(node);
    }
    for node in cluster.nodes() {
        cluster.start_node(node);
    }
    cluster.until_led().await;
    let (_third, door) = another_router(&cluster);
    let third = format!("http://{door}");
    until_answered(&third, "/v1/venues", gate, 200).await;
    assert_eq!(status(&third, "/v1/venues", &secret).await, Ok(401));
    let tokens = told(&cluster, &["token", "list"]);
    let names: Vec<_> = tokens["tokens"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 2, "{tokens:#}");
    assert_eq!(
        (&names[1]["name"], &names[1]["revoked_by"]),
        (&"max".into(), &"admin".into())
    );
}

/// A network of one museum, beside the one that is there.
const ANOTHER: &str = "
network: { id: another, name: Another }
venues:
  - id: porto-light
    name: Light
    city: Porto
    time_zone: Europe/Lisbon
    currency: EUR
    tax_basis_points: 600
    building_capacity: 100
    opening: [{ days: [mon], from: '10:00', to: '12:00' }]
    products:
      - id: general
        name: General admission
        kind: timed
        slot_minutes: 60
        visit_minutes: 60
        capacity_per_slot: 5
        units: [{ id: adult, type: ADULT, price: 1000 }]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_and_quotas_hold_at_every_router_and_outlive_the_nodes() {
    let mut cluster = Cluster::builder().shards(2).start().await;
    cluster.import(MERIDIAN).await;
    cluster.import(ANOTHER).await;
    let (_second, door) = another_router(&cluster);
    let second = format!("http://{door}");

    // A token of one network is of no use at the other's venues, at whatever router.
    let unsaid = rotunda(&cluster, &["token", "create", "max", "--role", "manager"]);
    assert_eq!(unsaid.status.code(), Some(1), "there are two networks");
    let said = String::from_utf8_lossy(&unsaid.stderr).into_owned();
    assert!(said.contains("another, meridian"), "{said}");
    let max = told(
        &cluster,
        &["token", "create", "max", "--role", "manager", "--network", "another"],
    );
    assert_eq!(max["network"], "another");
    let max = max["secret"].as_str().unwrap().to_owned();
    until_answered(&second, "/v1/venues/porto-light/audit", &max, 200).await;
    assert_eq!(status(&second, "/v1/venues/lisbon-tides/audit", &max).await, Ok(403));
    let stolen = cluster.folder().join("stolen.yaml");
    std::fs::write(&stolen, ANOTHER.replace("porto-light", "lisbon-tides")).unwrap();
    let refused = rotunda(&cluster, &["import", stolen.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("belongs to the network `meridian`"), "{said}");

    // A quota that is set at one router counts at both.
    let quota = [
        "limits", "set", "--role", "manager", "--routes", "report", "--quota", "1/1000m",
    ];
    let limits = told(&cluster, &quota);
    assert_eq!(
        (&limits["limits"][0]["origin"], &limits["set_by"]),
        (&"cluster".into(), &"admin".into())
    );
    for door in [cluster.door(), second.clone()] {
        until_answered(&door, "/v1/venues/porto-light/audit", &max, 429).await;
    }
    let venue = ["limits", "set", "--venue", "lisbon-tides", "--quota", "50/1s"];
    assert_eq!(
        told(&cluster, &venue)["limits"].as_array().unwrap().len(),
        2,
        "the first one stays"
    );

    // All of it outlives the nodes.
    for node in cluster.nodes() {
        cluster.kill(node);
    }
    for node in cluster.nodes() {
        cluster.start_node(node);
    }
    cluster.until_led().await;
    let (_third, door) = another_router(&cluster);
    let third = format!("http://{door}");
    until_answered(&third, "/v1/venues/porto-light/audit", &max, 429).await;
    assert_eq!(
        status(&third, "/v1/venues/lisbon-tides/audit", cluster.token()).await,
        Ok(200)
    );

    // And ends when it is taken back.
    told(
        &cluster,
        &["limits", "reset", "--role", "manager", "--routes", "report"],
    );
    for door in [second, third] {
        until_answered(&door, "/v1/venues/porto-light/audit", &max, 200).await;
    }
    let left = told(&cluster, &["limits", "reset"]);
    assert_eq!(left["limits"].as_array().unwrap().len(), 0);
}
