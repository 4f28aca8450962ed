//! Asks every node of the map which versions it reads, at the moment: what they said when they started may have been said by
//! another binary, and a raised version does not go back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rotunda_protocol::dial::{Callee, Dial};
use rotunda_protocol::proto::admin::admin_client::AdminClient;
use rotunda_protocol::proto::admin::{NodeBehind, StatusRequest};
use rotunda_protocol::version::Formats;

use super::command::NodeRecord;

/// How long a node may take to answer. One that takes longer counts as one that does not read anything.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer is a few kilobytes at most; HTTP/2 wants no smaller window.
const WINDOW_BYTES: u32 = 65_535;

/// What each node runs; `None` where it did not say. `own` is this node, which need not be asked.
pub async fn ask(
    dial: &Arc<dyn Dial>,
    nodes: &BTreeMap<u32, NodeRecord>,
    own: &NodeRecord,
) -> BTreeMap<u32, Option<String>> {
    let asked = nodes.values().map(|node| async move {
        if node.id == own.id {
            return (node.id, Some(own.version.clone()));
        }
        let status = tokio::time::timeout(PATIENCE, async {
            let line = dial.line(Callee::node(node.id, &node.grpc), WINDOW_BYTES).ok()?;
            let status = AdminClient::new(line).status(StatusRequest {}).await.ok()?;
            Some(status.into_inner()).filter(|status| status.node == node.id)
        });
        let status = status.await.ok().flatten();
        (node.id, status.map(|status| status.version))
    });
    join_all(asked).await.into_iter().collect()
}

/// The version that is to be reached: the one that was named, or the newest that any node reads.
#[must_use]
pub fn target(named: u32, answers: &BTreeMap<u32, Option<String>>) -> u32 {
    let newest = answers.values().flatten().map(|version| Formats::of(version).newest);
    if named == 0 { newest.max().unwrap_or(0) } else { named }
}

/// The nodes that do not read it, by their answer or by what the map says of them.
#[must_use]
pub fn behind(to: u32, nodes: &BTreeMap<u32, NodeRecord>, answers: &BTreeMap<u32, Option<String>>) -> Vec<NodeBehind> {
    let reads = |version: &str| Formats::of(version).reads(to);
    let unable = nodes.values().filter_map(|node| {
        let answer = answers.get(&node.id).cloned().flatten();
        let version = match answer {
            None => String::new(),
            Some(answer) if !reads(&answer) => answer,
            Some(_) if !reads(&node.version) => node.version.clone(),
            Some(_) => return None,
        };
        Some(NodeBehind { node: node.id, version })
    });
    unable.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_is_who_does_not_read_it_says_nothing_or_has_said_another_thing_before() {
        let record = |id: u32, version: &str| {
            let record = NodeRecord {
                id,
                grpc: String::new(),
                admin: String::new(),
                version: version.to_owned(),
            };
            (id, record)
        };
        let new = "0.2.0+formats.3-4";
        let nodes = BTreeMap::from([record(1, new), record(2, new), record(3, new), record(4, "0.1.0")]);
        let answers = BTreeMap::from([
            (1, Some(new.to_owned())),
            (2, Some("0.1.0".to_owned())),
            (3, None),
            (4, Some(new.to_owned())),
        ]);
        assert_eq!(target(0, &answers), 4);
        assert_eq!(target(3, &answers), 3);
        let behind: Vec<(u32, String)> = behind(4, &nodes, &answers)
            .into_iter()
            .map(|behind| (behind.node, behind.version))
            .collect();
        assert_eq!(
            behind,
            [(2, "0.1.0".to_owned()), (3, String::new()), (4, "0.1.0".to_owned())]
        );
    }
}
