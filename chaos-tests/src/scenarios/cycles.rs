//! The scenarios' schedules, as `rotunda-chaos run --list` tells them: one function a scenario, run once a cycle.

use std::time::{Duration, Instant};

use super::Scenario;
use super::damage::Part;
use super::fault::Fault;
use super::stage::Stage;
use crate::lab::network::Host;
use crate::wait::{self, PATIENCE};

type Cycle = Result<(), String>;

/// Holds after which a shard is taken to sell again.
const GOING_ON: u64 = 20;
/// How long a fault lasts whose point is that it lasts: many election time-outs.
const LONG: Duration = Duration::from_secs(5);
const JUMP_MS: i64 = 3 * 3_600_000;
const SLOW: Duration = Duration::from_millis(200);
/// How long a damaged node may take to find the damage, once it is started.
const VERIFYING: Duration = Duration::from_secs(20);

/// Runs a scenario's cycle once.
pub(super) async fn run(scenario: Scenario, stage: &mut Stage) -> Cycle {
    match scenario {
        Scenario::LeaderKilled => leader_killed(stage).await,
        Scenario::AllKilled => all_killed(stage).await,
        Scenario::RollingRestart => rolling_restart(stage).await,
        Scenario::MinorityPartitioned => minority_partitioned(stage).await,
        Scenario::BridgePartition => bridge_partition(stage).await,
        Scenario::OneWayPartition => one_way_partition(stage).await,
        Scenario::FlakyLinks => flaky_links(stage).await,
        Scenario::SlowFollower => slow_follower(stage).await,
        Scenario::PausedLeader => paused_leader(stage).await,
        Scenario::PowerLoss => power_loss(stage).await,
        Scenario::DiskFull => disk_full(stage).await,
        Scenario::FsyncError => fsync_error(stage).await,
        Scenario::DamagedWal => damaged(stage, Part::Wal).await,
        Scenario::DamagedSst => damaged(stage, Part::Sst).await,
        Scenario::DamagedSnapshot => damaged_snapshot(stage).await,
        Scenario::ClockJump => clock_jump(stage).await,
        Scenario::RouterKilled => router_killed(stage).await,
        Scenario::RetryStorm => retry_storm(stage).await,
        Scenario::Random => Err("random faults are drawn, they have no cycle".to_owned()),
    }
}

async fn leader_killed(stage: &mut Stage) -> Cycle {
    stage.sell(5).await?;
    let leader = stage.leader().await?;
    let kill = stage.begin(Fault::Kill(leader)).await?;
    stage.next_booking().await?;
    stage.end(kill).await?;
    stage.caught_up(leader).await
}

async fn all_killed(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let kill = stage.begin(Fault::KillAll).await?;
    stage.end(kill).await?;
    stage.next_booking().await?;
    stage.all_caught_up().await
}

async fn rolling_restart(stage: &mut Stage) -> Cycle {
    for node in stage.nemesis.cluster.nodes() {
        stage.sell(GOING_ON).await?;
        let restart = stage.begin(Fault::Restart(node)).await?;
        stage.next_booking().await?;
        stage.end(restart).await?;
        stage.caught_up(node).await?;
    }
    Ok(())
}

async fn minority_partitioned(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let leader = stage.leader().await?;
    let nodes = stage.nemesis.cluster.nodes();
    let first = if stage.cycle % 4 < 2 {
        leader
    } else {
        stage.follower().await?
    };
    // With five nodes two of them are a minority.
    let more = nodes.iter().copied().filter(|node| *node != first && *node != leader);
    let minority: Vec<u32> = [first].into_iter().chain(more).take((nodes.len() - 1) / 2).collect();
    let (cut, mut rest): (Vec<Host>, Vec<Host>) = nodes
        .iter()
        .map(|node| Host::Node(*node))
        .partition(|host| minority.iter().any(|node| Host::Node(*node) == *host));
    if stage.cycle % 2 == 1 {
        rest.push(Host::Router);
    }
    let partition = stage.begin(Fault::Partition(cut, rest)).await?;
    stage.next_booking().await?;
    stage.last(LONG).await;
    stage.sell(GOING_ON).await?;
    stage.end(partition).await?;
    stage.all_caught_up().await
}

async fn bridge_partition(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let (leader, other) = (stage.leader().await?, stage.follower().await?);
    let bridge = stage.begin(Fault::Bridge(leader, other)).await?;
    stage.next_booking().await?;
    stage.last(LONG).await;
    stage.sell(GOING_ON).await?;
    stage.end(bridge).await?;
    stage.all_caught_up().await
}

async fn one_way_partition(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let leader = stage.leader().await?;
    let fault = if stage.cycle.is_multiple_of(2) {
        Fault::Mute(leader)
    } else {
        Fault::Deaf(leader)
    };
    let one_way = stage.begin(fault).await?;
    stage.next_booking().await?;
    stage.last(LONG).await;
    stage.sell(GOING_ON).await?;
    stage.end(one_way).await?;
    stage.all_caught_up().await
}

async fn flaky_links(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let (leader, other) = (stage.leader().await?, stage.follower().await?);
    let lossy = stage.begin(Fault::Lossy(10)).await?;
    stage.last(LONG).await;
    let late = stage.begin(Fault::Late(leader, other, 40)).await?;
    stage.last(LONG).await;
    stage.end(lossy).await?;
    let half_open = stage.begin(Fault::HalfOpen(other, leader)).await?;
    stage.last(LONG).await;
    stage.end(late).await?;
    stage.end(half_open).await?;
    let narrow = stage.begin(Fault::Narrow(leader, 256)).await?;
    stage.last(LONG).await;
    stage.end(narrow).await?;
    stage.sell(GOING_ON).await?;
    stage.all_caught_up().await
}

/// Measures the hot venue's holds undisturbed, with a follower that syncs slowly, and with one that is stopped.
async fn slow_follower(stage: &mut Stage) -> Cycle {
    let follower = stage.follower().await?;
    stage.sell(GOING_ON).await?;
    let undisturbed = p99_of_a_while(stage).await?;
    let slow = stage.begin(Fault::SlowSync(follower, SLOW)).await?;
    let with_slow = p99_of_a_while(stage).await?;
    stage.end(slow).await?;
    stage.caught_up(follower).await?;
    let pause = stage.begin(Fault::Pause(follower)).await?;
    // The leaders that stopped with it are replaced first.
    stage.next_booking().await?;
    stage.last(LONG).await;
    let with_paused = p99_of_a_while(stage).await?;
    stage.end(pause).await?;
    stage.remarks.push(format!(
        "p99 of holds: {} ms undisturbed, {} ms with a follower whose syncs take {} ms longer, {} ms with one paused",
        undisturbed.as_millis(),
        with_slow.as_millis(),
        SLOW.as_millis(),
        with_paused.as_millis()
    ));
    stage.caught_up(follower).await
}

async fn p99_of_a_while(stage: &Stage) -> Result<Duration, String> {
    let since = Instant::now();
    stage.last(2 * LONG).await;
    stage.sell(GOING_ON).await?;
    let took = stage.recorder.took_since(&stage.hot.venue, since);
    super::failover::Times::of(&took)
        .percentile(99)
        .ok_or_else(|| "nothing was sold".to_owned())
}

async fn paused_leader(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let leader = stage.leader().await?;
    let pause = stage.begin(Fault::Pause(leader)).await?;
    stage.next_booking().await?;
    stage.last(LONG).await;
    stage.end(pause).await?;
    stage.sell(GOING_ON).await?;
    stage.caught_up(leader).await
}

async fn power_loss(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let nodes = stage.nemesis.cluster.nodes();
    let loss = stage.begin(Fault::PowerLoss(nodes)).await?;
    stage.end(loss).await?;
    stage.next_booking().await
}

async fn disk_full(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let leader = stage.leader().await?;
    let full = stage.begin(Fault::DiskFull(leader)).await?;
    stage.ended(leader, full).await?;
    stage.next_booking().await?;
    // Still full: it may meet the end again, or refuse; it does not stay in silence.
    stage.nemesis.start_in_spite(leader);
    stage.sell(GOING_ON).await?;
    stage.end(full).await?;
    stage.caught_up(leader).await
}

async fn fsync_error(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let leader = stage.leader().await?;
    fails_to_sync(stage, leader, ".log").await?;
    let follower = stage.follower().await?;
    fails_to_sync(stage, follower, "MARK").await
}

async fn fails_to_sync(stage: &mut Stage, node: u32, file: &'static str) -> Cycle {
    let failed = stage.begin(Fault::FailedSync(node, file)).await?;
    stage.ended(node, failed).await?;
    stage.next_booking().await?;
    stage.end(failed).await?;
    stage.caught_up(node).await
}

async fn damaged(stage: &mut Stage, part: Part) -> Cycle {
    stage.sell(GOING_ON).await?;
    let victim = if stage.cycle.is_multiple_of(2) {
        stage.follower().await?
    } else {
        stage.leader().await?
    };
    if part == Part::Sst {
        // An orderly end flushes the rows: there is a table to damage.
        let restart = stage.begin(Fault::Restart(victim)).await?;
        stage.end(restart).await?;
        stage.caught_up(victim).await?;
        stage.sell(GOING_ON).await?;
    }
    found_out(stage, victim, part).await
}

/// Damages a part of a node, starts it, and sees that it refuses with advice, or works on and mends itself.
async fn found_out(stage: &mut Stage, victim: u32, part: Part) -> Cycle {
    let damage = stage.begin(Fault::Damage(victim, part)).await?;
    let log = stage.nemesis.cluster.process(victim).recipe().log.clone();
    let said_before = std::fs::metadata(&log).map_or(0, |facts| facts.len());
    stage.nemesis.start_in_spite(victim);
    // Refused at once, when what is damaged is read, or never: then what it holds is compared at the end.
    let begun = Instant::now();
    let ended = loop {
        if stage.nemesis.reap().contains(&victim) {
            break true;
        }
        if begun.elapsed() > VERIFYING {
            break false;
        }
        stage.last(Duration::from_millis(20)).await;
    };
    let said = std::fs::read(&log).unwrap_or_default();
    let said = said
        .get(usize::try_from(said_before).unwrap_or(0)..)
        .unwrap_or_default();
    let said = String::from_utf8_lossy(said);
    let place = stage.nemesis.damaged_at(damage).unwrap_or_default();
    // The node says so once its doors are open.
    if !ended || said.contains("rotunda_node::server: started") {
        stage.nemesis.served_in_spite(damage);
    }
    if ended {
        let advice = said
            .lines()
            .find(|line| line.contains("damaged") || line.contains("orrupt"));
        let Some(advice) = advice else {
            return Err(format!(
                "node {victim} ended and did not say that it is damaged ({place}):\n{said}"
            ));
        };
        stage
            .remarks
            .push(format!("{place} flipped: node {victim} said: {}", advice.trim()));
    } else {
        stage.remarks.push(format!(
            "{place} flipped: node {victim} started and went on for {} s; its log and state are compared with the others'",
            VERIFYING.as_secs()
        ));
    }
    stage.nemesis.felt(damage);
    stage.sell(GOING_ON).await?;
    stage.end(damage).await?;
    stage.caught_up(victim).await
}

/// A follower is away until what it lacks is purged, is sent a snapshot, and is damaged right after.
async fn damaged_snapshot(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let victim = stage.follower().await?;
    let shard = stage.shard;
    let before = last_log(stage, victim, shard).await?;
    let away = stage.begin(Fault::Kill(victim)).await?;
    let cluster = &stage.nemesis.cluster;
    // On every replica that is left, for any of them may lead when it comes back. Logs are shortened every half minute,
    // where it is worth a flush.
    wait::within("the logs to be purged", 2 * PATIENCE, async || {
        let replicas = cluster.replicas_of(shard).await;
        let purged = replicas.iter().map(|(_, replica)| replica.purged).min().unwrap_or(0);
        if purged > before {
            Ok(())
        } else {
            Err(format!("up to {purged}, wanted {before}"))
        }
    })
    .await?;
    let log = stage.nemesis.cluster.process(victim).recipe().log.clone();
    let installed = || std::fs::read_to_string(&log).map_or(0, |said| said.matches("installed a snapshot").count());
    let already = installed();
    stage.end(away).await?;
    wait::within("a snapshot to be installed", PATIENCE, async || {
        if installed() > already {
            Ok(())
        } else {
            Err("none".to_owned())
        }
    })
    .await?;
    found_out(stage, victim, Part::Snapshot).await
}

async fn last_log(stage: &Stage, node: u32, shard: u64) -> Result<u64, String> {
    let replicas = stage.nemesis.cluster.replicas_of(shard).await;
    let own = replicas.iter().find(|(id, _)| *id == node);
    own.map(|(_, replica)| replica.last_log)
        .ok_or_else(|| format!("node {node} does not answer"))
}

async fn clock_jump(stage: &mut Stage) -> Cycle {
    for off in [JUMP_MS, -JUMP_MS] {
        stage.sell(GOING_ON).await?;
        let leader = stage.leader().await?;
        let jump = stage.begin(Fault::ClockJump(leader, off)).await?;
        stage.next_booking().await?;
        stage.last(LONG).await;
        stage.sell(GOING_ON).await?;
        stage.end(jump).await?;
    }
    stage.all_caught_up().await
}

async fn router_killed(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let kill = stage.begin(Fault::KillRouter).await?;
    stage.last(Duration::from_millis(500)).await;
    stage.end(kill).await?;
    stage.next_booking().await?;
    stage.sell(GOING_ON).await
}

async fn retry_storm(stage: &mut Stage) -> Cycle {
    stage.sell(GOING_ON).await?;
    let storm = stage.begin(Fault::Storm).await?;
    stage.last(LONG).await;
    let leader = stage.leader().await?;
    let kill = stage.begin(Fault::Kill(leader)).await?;
    stage.next_booking().await?;
    stage.last(LONG).await;
    stage.end(kill).await?;
    stage.end(storm).await?;
    stage.caught_up(leader).await
}
