//! Makes a backup: asks the leader of each group for a point that the copy must reach, and reads the rows from a follower that
//! has reached it, so that selling goes on at the leader. What a node sends is checked on the way: a follower whose rows do not
//! give its own state hash is not copied.

use std::time::Duration;

use rotunda_protocol::client::{ClientError, ClusterClient};
use tokio::time::Instant;

use crate::chunk::{Filling, digest, hex};
use crate::error::BackupError;
use crate::manifest::{ChunkRecord, FORMAT, GroupRecord, MANIFEST, META, Manifest};
use crate::place::Place;
use crate::progress::Progress;
use crate::read::Follow;

/// How long the cluster may take to confirm who leads.
const CONFIRM: Duration = Duration::from_secs(20);

/// So many times every replica of a group is asked before it is given up.
const ROUNDS: usize = 3;

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(500);

/// A backup that was made.
#[derive(Debug)]
pub struct Created {
    /// What it is.
    pub manifest: Manifest,
    /// Why the cluster could not be told of it, where it could not: the backup is good, and alerts will say that it is missing.
    pub untold: Option<ClientError>,
}

/// What was copied, and the version and row format of the node that gave it.
struct Copied {
    record: GroupRecord,
    version: String,
    format: u32,
}

/// Makes a backup in `place`.
///
/// # Errors
/// Where the cluster does not answer, no replica of a group gives its rows, or the place does not take them. What is in the
/// place then has no manifest, and is no backup.
pub async fn create(
    client: &ClusterClient,
    place: &Place,
    told: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Created, BackupError> {
    let cluster = |doing: &str| {
        let doing = doing.to_owned();
        move |source| BackupError::Cluster { doing, source }
    };
    client
        .ready(Instant::now() + CONFIRM)
        .await
        .map_err(cluster("asking the nodes for their map"))?;
    let map = client.map();
    let began = jiff::Timestamp::now();
    let id = format!("{}-{}", map.cluster(), began.strftime("%Y%m%dT%H%M%S%3fZ"));
    let mut networks: Vec<String> = map
        .venues()
        .iter()
        .filter_map(|venue| venue.network.as_deref().map(str::to_owned))
        .collect();
    networks.sort();
    networks.dedup();
    // The meta group last: see the crate's head.
    let order: Vec<u64> = map.shards().iter().map(|shard| shard.id).chain([META]).collect();
    let (mut groups, mut progress) = (
        Vec::new(),
        Progress {
            groups: order.len(),
            ..Progress::default()
        },
    );
    let (mut node_version, mut row_format) = (String::new(), 0);
    for group in order {
        let point = client
            .read_point(group, Instant::now() + CONFIRM)
            .await
            .map_err(cluster(&format!("asking the leader of group {group} how far it is")))?;
        let copied = copy(client, place, &id, group, point, &|bytes| {
            told(Progress {
                bytes: progress.bytes + bytes,
                ..progress
            });
        })
        .await?;
        (node_version, row_format) = (copied.version, copied.format);
        progress.bytes += copied.record.bytes;
        progress.groups_done += 1;
        told(progress);
        groups.push(copied.record);
    }
    let finished = jiff::Timestamp::now();
    let manifest = Manifest {
        format: FORMAT,
        id: id.clone(),
        cluster: map.cluster().to_owned(),
        networks,
        began,
        finished,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        node_version,
        row_format,
        groups,
        sha256: String::new(),
    };
    let (manifest, text) = manifest.encode().map_err(|error| BackupError::Manifest {
        id: id.clone(),
        why: error.to_string(),
    })?;
    place.put(&format!("{id}/{MANIFEST}"), text.into()).await?;
    let recorded = client
        .record_backup(
            &id,
            finished.as_millisecond(),
            manifest.bytes(),
            Instant::now() + CONFIRM,
        )
        .await;
    Ok(Created {
        manifest,
        untold: recorded.err(),
    })
}

/// Nodes with a replica of the group that answer, followers first.
async fn candidates(client: &ClusterClient, group: u64) -> Vec<u32> {
    let mut found: Vec<(bool, u32)> = client
        .node_status(Instant::now() + CONFIRM)
        .await
        .into_iter()
        .filter_map(|(node, status)| {
            let status = status.ok()?;
            let replica = status.replicas.iter().find(|replica| replica.shard == group)?;
            matches!(&*replica.role, "leader" | "follower").then_some((replica.role == "leader", node.id))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, node)| node).collect()
}

async fn copy(
    client: &ClusterClient,
    place: &Place,
    id: &str,
    group: u64,
    point: u64,
    told: &(dyn Fn(u64) + Send + Sync),
) -> Result<Copied, BackupError> {
    let mut last = BackupError::Group {
        group,
        node: 0,
        why: "no node answers that has one".to_owned(),
    };
    for round in 0..ROUNDS {
        if round > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        for node in candidates(client, group).await {
            match copy_from(client, place, id, group, point, node, told).await {
                Ok(copied) => return Ok(copied),
                // Another replica has the same rows; the place is the same for all.
                Err(error @ BackupError::Group { .. }) => last = error,
                Err(error) => return Err(error),
            }
        }
    }
    Err(last)
}

async fn copy_from(
    client: &ClusterClient,
    place: &Place,
    id: &str,
    group: u64,
    point: u64,
    node: u32,
    told: &(dyn Fn(u64) + Send + Sync),
) -> Result<Copied, BackupError> {
    let failed = |why: String| BackupError::Group { group, node, why };
    let rows = client.read_rows(node, group, point).await;
    let mut rows = rows.map_err(|error| failed(error.to_string()))?;
    let (mut follow, mut chunks, mut bytes) = (Follow::of(group), Vec::new(), 0);
    let mut filling = Filling::new(group, 0);
    loop {
        let chunk = rows.next().await.map_err(|error| failed(error.to_string()))?;
        if let Some(chunk) = &chunk {
            follow
                .push(chunk, &mut |_, _| {})
                .map_err(|error| failed(error.to_string()))?;
            filling
                .push(chunk)
                .ok_or_else(|| failed("a chunk is too long".to_owned()))?;
        }
        if filling.is_full() || (chunk.is_none() && !filling.is_empty()) {
            let next = u32::try_from(chunks.len() + 1).map_err(|error| failed(error.to_string()))?;
            let object = std::mem::replace(&mut filling, Filling::new(group, next)).finish();
            let name = format!("group-{group}/{:06}", chunks.len());
            let record = ChunkRecord {
                name: name.clone(),
                bytes: object.len() as u64,
                sha256: digest(&object),
            };
            place.put(&format!("{id}/{name}"), object).await?;
            bytes += record.bytes;
            chunks.push(record);
            told(bytes);
        }
        if chunk.is_none() {
            break;
        }
    }
    let hash = follow.finish().map_err(|error| failed(error.to_string()))?;
    if hash != rows.origin.state_hash {
        return Err(failed("its rows do not have the state hash that it named".to_owned()));
    }
    let origin = &rows.origin;
    Ok(Copied {
        record: GroupRecord {
            group,
            index: origin.index,
            term: origin.term,
            leader_replica: origin.leader_replica,
            state_hash: hex(&hash),
            rows: follow.rows(),
            bytes,
            node,
            chunks,
        },
        version: origin.version.clone(),
        format: origin.format,
    })
}
