//! The cluster's version as the meta group keeps it: in a row of its own, which is not there before the version is first
//! raised, and by whom and when it was. See [`rotunda_protocol::version`].

use std::collections::BTreeMap;

use rotunda_protocol::version::{BEFORE, Behind, Formats, release};
use serde::{Deserialize, Serialize};

use super::command::NodeRecord;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterVersion {
    /// Number, who raised it, and the proposer's time of day in milliseconds since 1970; `None` before anybody has.
    raised: Option<(u32, String, i64)>,
}

impl ClusterVersion {
    /// True before it is first raised.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.raised.is_none()
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.raised.as_ref().map_or(BEFORE, |(number, ..)| *number)
    }

    /// As it travels with the map.
    #[must_use]
    pub fn to_proto(&self) -> u32 {
        self.raised.as_ref().map_or(0, |(number, ..)| *number)
    }

    /// Raises it, where that is up and every node reads it; true where that changed anything.
    pub(super) fn raise(&mut self, to: u32, by: String, at: i64, nodes: &BTreeMap<u32, NodeRecord>) -> bool {
        if to <= self.number() || !behind(nodes, to).is_empty() {
            return false;
        }
        self.raised = Some((to, by, at));
        true
    }
}

/// The nodes that do not read a version, as they made themselves known.
#[must_use]
pub fn behind(nodes: &BTreeMap<u32, NodeRecord>, version: u32) -> Vec<Behind> {
    let unable = nodes.values().filter(|node| !Formats::of(&node.version).reads(version));
    unable.map(|node| known(node.id, &node.version)).collect()
}

/// What a node runs, by the version that it told; nothing where it told none.
#[must_use]
pub fn known(node: u32, version: &str) -> Behind {
    let told = !version.is_empty();
    Behind {
        node,
        runs: told.then(|| (release(version).to_owned(), Formats::of(version))),
    }
}

/// The newest version that all of them read; that of before where there is a node that tells none.
#[must_use]
pub fn newest_for_all(nodes: &BTreeMap<u32, NodeRecord>) -> u32 {
    let newest = nodes.values().map(|node| Formats::of(&node.version).newest);
    newest.min().unwrap_or(BEFORE)
}

/// Why something of a newer version is refused, and what to do about it.
#[must_use]
pub fn not_yet(what: &str, needs: u32, cluster: u32, nodes: &BTreeMap<u32, NodeRecord>) -> String {
    let behind = behind(nodes, needs);
    if behind.is_empty() {
        return format!(
            "{what} needs cluster version {needs}, and this cluster is at {cluster}. Every node can read it: \
             `rotunda cluster version finalize` raises it, after which no node goes back"
        );
    }
    format!(
        "{what} needs cluster version {needs}, and this cluster is at {cluster}: {}. Upgrade what is behind, then \
         `rotunda cluster version finalize`",
        list(&behind)
    )
}

/// For people.
#[must_use]
pub fn list(behind: &[Behind]) -> String {
    behind.iter().map(Behind::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(versions: &[&str]) -> BTreeMap<u32, NodeRecord> {
        let records = (1..).zip(versions).map(|(id, version)| {
            let record = NodeRecord {
                id,
                grpc: String::new(),
                admin: String::new(),
                version: (*version).to_owned(),
            };
            (id, record)
        });
        records.collect()
    }

    #[test]
    fn it_goes_up_once_every_node_reads_it_and_never_back() {
        let mut version = ClusterVersion::default();
        let mixed = nodes(&["0.2.0+formats.3-5", "0.1.0", ""]);
        assert!(!version.raise(4, "admin".into(), 1, &mixed));
        assert!(version.is_untouched());
        assert_eq!((version.number(), version.to_proto()), (BEFORE, 0));
        let told = list(&behind(&mixed, 4));
        assert_eq!(
            told,
            "node 2 runs 0.1.0, which reads 3; node 3 does not say what it runs"
        );
        assert_eq!(newest_for_all(&mixed), BEFORE);

        let all = nodes(&["0.2.0+formats.3-5", "0.1.1+formats.3-4"]);
        assert_eq!(newest_for_all(&all), 4);
        assert!(!version.raise(5, "admin".into(), 2, &all));
        assert!(version.raise(4, "admin".into(), 3, &all));
        assert_eq!((version.number(), version.to_proto()), (4, 4));
        assert!(!version.raise(4, "anna".into(), 4, &all), "the same again");
        assert!(!version.raise(3, "anna".into(), 5, &all), "back");
        assert_eq!(version.raised, Some((4, "admin".into(), 3)));
    }

    #[test]
    fn a_refusal_names_the_nodes_or_the_command_that_is_missing() {
        let mixed = not_yet("this", 4, 3, &nodes(&["0.2.0+formats.3-4", "0.1.0"]));
        assert!(
            mixed.contains("node 2 runs 0.1.0") && !mixed.contains("node 1"),
            "{mixed}"
        );
        let all = not_yet("this", 4, 3, &nodes(&["0.2.0+formats.3-4"]));
        assert!(
            all.contains("Every node can read it") && all.contains("finalize"),
            "{all}"
        );
    }
}
