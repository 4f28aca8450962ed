//! The page of the admin ports in a headless Chromium, on a cluster that sells: at a desk and on a phone in the dark, while the
//! leader of what everybody wants is killed. And `rotunda top`, once.

use rotunda_chaos::report::tell;
use rotunda_chaos::selling::{Manner, Selling};
use rotunda_chaos::wait;
use serde_json::Value;

use crate::browser::{Browser, Tab};
use crate::failover::until_sold;
use crate::{HOT_VENUE, VISITORS, selling_cluster};

/// Of each kind of text: how strongly it stands out from what lies behind it (WCAG 2: at least 4.5).
const CONTRAST: &str = r"
(() => {
  const parse = (text) => text.match(/[\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c; }
    return [255, 255, 255]; };
  let least = [99, ''];
  for (const e of document.querySelectorAll('h1, h2, p, dt, dd, th, td, li, time, label, summary, figcaption span, #map span, #changes span, a')) {
    if (!e.innerText || e.classList.contains('skip')) continue;
    const [one, other] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < least[0]) least = [ratio, e.tagName + ' ' + e.innerText];
  }
  return least;
})()";

/// The node that leads a shard, as the map on the page has it: the column of the cell that says so.
async fn leader_shown(tab: &Tab, shard: u64) -> Option<u64> {
    let script = format!(
        "(() => {{ const row = [...document.querySelectorAll('#map tbody tr')].find((row) => row.cells[0].innerText === '{shard}');
           const at = row ? [...row.cells].findIndex((cell) => cell.className === 'leads') : -1;
           return at < 0 ? null : Number(document.querySelectorAll('#map thead th')[at].innerText.match(/node (\\d+)/)[1]); }})()"
    );
    tab.value(&script).await.as_u64()
}

/// All of the page is filled, and the figures are those of a cluster that sells.
async fn until_filled(tab: &Tab) {
    tab.until("the stream", "#link", |text| text == "live").await;
    tab.until("tickets", "#kpis", |text| {
        text.contains("Throughput") && text.contains("/s") && text.contains("Free of errors")
    })
    .await;
    tab.until("the map", "#map", |text| text.matches("leads").count() == 9)
        .await;
    tab.until("hot slots", "#hot", |text| text.contains(HOT_VENUE)).await;
}

/// KPIs change, and the curves' pixels do.
async fn until_moved(tab: &Tab) {
    let pixels = "[...document.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL())";
    let (kpis, curves) = (tab.text("#kpis").await, tab.value(pixels).await);
    assert_eq!(curves.as_array().map(Vec::len), Some(4), "four panels are drawn");
    tab.until("other figures", "#kpis", |text| text != kpis).await;
    wait::until("other curves", async || {
        let now = tab.value(pixels).await;
        let moved = (0..4).filter(|n| now[n] != curves[n]).count();
        if moved == 4 { Ok(()) } else { Err(moved.to_string()) }
    })
    .await;
}

/// Nobody but its own port was asked, and nothing went wrong.
fn assert_clean(tab: &Tab, origin: &str) {
    let requests = tab.requests();
    assert!(
        requests.iter().any(|url| url.ends_with("/overview/events")),
        "{requests:?}"
    );
    let outside: Vec<_> = requests
        .iter()
        .filter(|url| !url.starts_with(&format!("{origin}/")) && !url.starts_with("about:"))
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
    assert_eq!(tab.complaints(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_live_at_a_desk_and_on_a_phone() {
    let Some(browser) = Browser::start() else { return };
    let (mut cluster, hot, offers) = selling_cluster().await;
    let selling = Selling::start(&cluster.door(), VISITORS, Manner::Buying, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    let origin = cluster.router_admin();
    let desk = browser.open(&format!("{origin}/"), 1_280, 900, false).await;
    let phone = browser.open(&format!("{origin}/"), 360, 800, true).await;
    for tab in [&desk, &phone] {
        until_filled(tab).await;
        until_moved(tab).await;
    }

    // On a phone nothing sticks out, and all of it can be read; in the light too.
    let wide = "[document.documentElement.scrollWidth, innerWidth]";
    assert_eq!(phone.value(wide).await, serde_json::json!([360, 360]));
    let ground = "getComputedStyle(document.body).backgroundColor";
    assert_ne!(phone.value(ground).await, desk.value(ground).await);
    for tab in [&desk, &phone] {
        let least = tab.value(CONTRAST).await;
        assert!(least[0].as_f64().is_some_and(|ratio| ratio >= 4.5), "{least}");
    }

    // By keyboard alone: past the link to the figures, the choice of the span and the pause.
    let mut reached = Vec::new();
    for _ in 0..3 {
        desk.press("Tab", 9, "").await;
        reached.push(
            desk.value("document.activeElement.id || document.activeElement.className")
                .await,
        );
    }
    assert_eq!(reached, ["skip", "span", "pause"].map(Value::from));
    desk.press(" ", 32, " ").await;
    desk.until("the pause", "#link", |text| text.contains("paused")).await;
    desk.press(" ", 32, " ").await;
    desk.until("the end of the pause", "#link", |text| text == "live").await;

    // The leader of what everybody wants dies.
    let leader = cluster.leader_of(hot.shard).await;
    wait::until("the leader on the page", async || {
        match leader_shown(&desk, hot.shard).await {
            Some(shown) if shown == u64::from(leader) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    cluster.kill(leader);
    for tab in [&desk, &phone] {
        tab.until("the dead node", "#map thead", |text| text.contains("no answer"))
            .await;
        wait::until("another leader on the page", async || {
            match leader_shown(tab, hot.shard).await {
                Some(shown) if shown != u64::from(leader) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        tab.until("what happened", "#changes", |text| {
            text.contains(&format!("node {leader} does not answer"))
                && text.contains(&format!("shard {}: node ", hot.shard))
        })
        .await;
    }
    cluster.start_node(leader);
    desk.until("the node again", "#changes", |text| {
        text.contains(&format!("node {leader} answers again"))
    })
    .await;
    for tab in [&desk, &phone] {
        assert_clean(tab, &origin);
    }

    // A node's page, of its own figures.
    let node = cluster
        .nodes()
        .into_iter()
        .find(|node| *node != leader)
        .expect("another one");
    let origin = format!("http://{}", cluster.admin(node));
    let beside = browser.open(&format!("{origin}/"), 1_280, 900, true).await;
    until_filled(&beside).await;
    until_moved(&beside).await;
    assert_clean(&beside, &origin);

    // The router goes, and comes back: from here on the console may complain of that.
    until_sold(&mut cluster, &recorder, None, 50).await;
    drop(selling.stop().await);
    cluster.kill_router();
    desk.until("what is lost", "#link", |text| text.contains("no connection"))
        .await;
    cluster.start_router();
    desk.until("the stream again", "#link", |text| text == "live").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_says_the_same_to_scripts() {
    let (mut cluster, hot, offers) = selling_cluster().await;
    let selling = Selling::start(&cluster.door(), VISITORS, Manner::Buying, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    until_sold(&mut cluster, &recorder, None, 100).await;
    let top = async |admin: String, output: &str| {
        let program = rotunda_chaos::binaries::path("rotunda");
        let arguments = ["top", "--once", "--output", output, "--admin", &admin];
        let output = tokio::process::Command::new(program)
            .args(arguments)
            .output()
            .await
            .expect("rotunda runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let json: Value = wait::until("tickets in `rotunda top`", async || {
        let json: Value = serde_json::from_str(&top(cluster.router_admin(), "json").await).expect("JSON");
        let sold = json["kpis"][2]["value"].as_f64().is_some_and(|rate| rate > 0.0);
        if sold { Ok(json) } else { Err(json["kpis"].to_string()) }
    })
    .await;
    assert_eq!(json["process"]["kind"], "router");
    assert_eq!(json["map"]["shards"].as_array().map(Vec::len), Some(9));
    assert!(
        json["map"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["live"] == true),
        "{json}"
    );
    let venues: Vec<&str> = json["hot"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| slot["venue"].as_str().unwrap())
        .collect();
    assert!(venues.contains(&HOT_VENUE), "{venues:?}");

    // Nodes know who leads, and together lead each shard once.
    let mut led = 0;
    for node in cluster.nodes() {
        let json: Value = serde_json::from_str(&top(cluster.admin(node).to_string(), "json").await).expect("JSON");
        assert_eq!(json["process"]["kind"], "node");
        let shards = json["map"]["shards"].as_array().unwrap().clone();
        led += shards.iter().filter(|shard| shard["leader"] == node).count();
    }
    assert_eq!(led, 9);
    let table = top(cluster.router_admin(), "table").await;
    for wanted in ["Free of errors", "Throughput", HOT_VENUE, "meta", "node 1"] {
        assert!(table.contains(wanted), "{wanted} is missing in\n{table}");
    }
    drop(selling.stop().await);

    // The public door is no admin port, and says so.
    let program = rotunda_chaos::binaries::path("rotunda");
    let wrong = tokio::process::Command::new(&program)
        .args(["top", "--once", "--admin", &cluster.door()])
        .output()
        .await;
    let wrong = wrong.expect("rotunda runs");
    assert_eq!(wrong.status.code(), Some(1));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("the admin address and not the public door"), "{said}");
}

/// `make picture`: the page as the README shows it, while many buy and a leader has just been killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes a file of the repository: make picture"]
async fn picture() {
    let browser = Browser::start().expect("a browser; `.ci/setup browser` installs it");
    let (mut cluster, hot, offers) = selling_cluster().await;
    let origin = cluster.router_admin();
    let tab = browser.open(&format!("{origin}/"), 1_120, 1_010, false).await;
    let phone = browser.open(&format!("{origin}/"), 360, 1_010, true).await;
    for tab in [&tab, &phone] {
        tab.value("document.getElementById('span').value = '60'").await;
    }
    let selling = Selling::start(&cluster.door(), VISITORS, Manner::Buying, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    let begun = std::time::Instant::now();
    until_filled(&tab).await;
    // So that the minute that is drawn is full.
    while begun.elapsed().as_secs() < 40 {
        until_sold(&mut cluster, &recorder, None, 50).await;
    }
    let leader = cluster.leader_of(hot.shard).await;
    cluster.kill(leader);
    let killed = std::time::Instant::now();
    for tab in [&tab, &phone] {
        tab.until("the dead node", "#map thead", |text| text.contains("no answer"))
            .await;
    }
    while killed.elapsed().as_secs() < 12 {
        until_sold(&mut cluster, &recorder, Some(HOT_VENUE), 1).await;
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/overview");
    for (tab, name) in [(&tab, "desk.png"), (&phone, "phone.png")] {
        // A browser is at hand to decode it with: one dependency less.
        let picture = tab.picture().await;
        let bytes = tab
            .value(&format!("Array.from(atob('{picture}'), (c) => c.charCodeAt(0))"))
            .await;
        let bytes: Vec<u8> = serde_json::from_value(bytes).expect("bytes");
        std::fs::write(folder.join(name), &bytes).expect(name);
        tell(format!(
            "{name}: {} KiB, node {leader} killed {} s ago",
            bytes.len() / 1_024,
            killed.elapsed().as_secs()
        ));
    }
    drop(selling.stop().await);
}
