//! The shard map as the meta group keeps it, and the rules by which commands change it.

use std::collections::BTreeMap;

use rotunda_protocol::proto::admin as proto;
use rotunda_protocol::token::TokenOutcome;
use serde::{Deserialize, Serialize};

use super::command::{BackupRecord, MetaCommand, NodeRecord, TokenGrant};
use super::limits::Limits;
use super::members::Members;
use super::networks::Networks;
use super::tokens::Tokens;
use super::version::{ClusterVersion, newest_for_all};

/// Replica ids of the meta group are node ids, so shards' replicas start far above them.
const FIRST_REPLICA: u64 = 1_000;

/// The state of the meta group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaState {
    /// Index of the entry that last changed it.
    pub version: u64,
    /// By id.
    pub nodes: BTreeMap<u32, NodeRecord>,
    /// By id, from 1.
    pub shards: BTreeMap<u64, ShardRecord>,
    /// By venue id.
    pub venues: BTreeMap<String, VenueRecord>,
    /// Next venue number; numbers are never used again.
    pub next_venue: u32,
    /// Next replica id; ids are never used again.
    pub next_replica: u64,
    /// A row of their own: what was founded before there were tokens is still read.
    #[serde(skip)]
    pub tokens: Tokens,
    /// A row of their own, for the same reason.
    #[serde(skip)]
    pub networks: Networks,
    /// And so have these.
    #[serde(skip)]
    pub limits: Limits,
    /// And so has this.
    #[serde(skip)]
    pub cluster_version: ClusterVersion,
    /// The last backup that was complete; in a row of its own as well.
    #[serde(skip)]
    pub backup: BackupRecord,
    /// Who has come and gone since the founding; in a row of its own as well.
    #[serde(skip)]
    pub members: Members,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Something changed.
    pub changed: bool,
    /// Of a token's command.
    pub token: Option<TokenOutcome>,
}

/// A shard's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRecord {
    /// Grows with each change of what the shard owns. A replica that comes or goes leaves it as it is: who calls another one
    /// is told `NotHere`, and what is under way goes on.
    pub epoch: u64,
    /// (replica id, node), the preferred leader first.
    pub replicas: Vec<(u64, u32)>,
}

/// A venue's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenueRecord {
    /// Its number, in ids of bookings.
    pub number: u32,
    /// Its shard.
    pub shard: u64,
}

impl MetaState {
    /// Applies a command.
    pub fn apply(&mut self, index: u64, command: MetaCommand) -> Applied {
        let mut token = None;
        let mut told = |(outcome, changed)| {
            token = Some(outcome);
            changed
        };
        let changed = match command {
            MetaCommand::Bootstrap { nodes, shards } => self.bootstrap(nodes, shards),
            // One that was removed since it asked does not come back so.
            MetaCommand::RegisterNode(record) if !self.members.may_register(record.id) => false,
            MetaCommand::RegisterNode(record) => self.nodes.insert(record.id, record.clone()).as_ref() != Some(&record),
            MetaCommand::AssignVenues { slugs } => self.assign(slugs),
            MetaCommand::CreateToken(grant) => told(self.tokens.create(grant)),
            MetaCommand::RevokeToken { name, by, at } => told(self.tokens.revoke(&name, by, at)),
            MetaCommand::AssignVenuesOf { network, slugs } => {
                self.networks.may_have(&network, &slugs) && self.assign_of(&network, slugs)
            }
            MetaCommand::CreateTokenOf { network, grant } => told(self.create_token_of(&network, grant)),
            MetaCommand::SetLimits { limits, by, at } => self.limits.set(limits, by, at),
            MetaCommand::RaiseVersion { to, by, at } => self.cluster_version.raise(to, by, at, &self.nodes),
            MetaCommand::RecordBackup(record) => {
                let is_newer = record.finished_at > self.backup.finished_at;
                if is_newer {
                    self.backup = record;
                }
                is_newer
            }
            MetaCommand::RemoveNode { node } => self.remove_node(node),
            MetaCommand::AddNode { node, grpc } => self.add_node(node, grpc),
        };
        if changed {
            self.version = index;
        }
        Applied { changed, token }
    }

    fn bootstrap(&mut self, nodes: Vec<(u32, String)>, shards: Vec<Vec<u32>>) -> bool {
        if !self.shards.is_empty() {
            return false;
        }
        for (id, grpc) in nodes {
            // A node may have registered before the founding.
            self.nodes.entry(id).or_insert_with(|| NodeRecord {
                id,
                grpc,
                admin: String::new(),
                version: String::new(),
            });
        }
        self.next_replica = self.next_replica.max(FIRST_REPLICA);
        for (shard, nodes) in (1..).zip(shards) {
            let replicas = nodes
                .into_iter()
                .map(|node| {
                    let id = self.next_replica;
                    self.next_replica += 1;
                    (id, node)
                })
                .collect();
            self.shards.insert(shard, ShardRecord { epoch: 1, replicas });
        }
        true
    }

    fn assign_of(&mut self, network: &str, slugs: Vec<String>) -> bool {
        let mut changed = self.assign(slugs.clone());
        // What found no shard is no venue.
        for slug in slugs.iter().filter(|slug| self.venues.contains_key(*slug)) {
            changed |= self.networks.put_venue(slug, network);
        }
        changed
    }

    fn create_token_of(&mut self, network: &str, grant: TokenGrant) -> (TokenOutcome, bool) {
        let name = grant.name.clone();
        let is_other = self.networks.of_token(&name).is_some_and(|known| known != network);
        match self.tokens.create(grant) {
            // The same token of another network is another token.
            (TokenOutcome::Done, false) if is_other => (TokenOutcome::NameTaken, false),
            (TokenOutcome::Done, true) => {
                self.networks.put_token(&name, network);
                (TokenOutcome::Done, true)
            }
            other => other,
        }
    }

    fn assign(&mut self, slugs: Vec<String>) -> bool {
        let mut changed = false;
        for slug in slugs {
            if self.venues.contains_key(&slug) {
                continue;
            }
            let mut load: BTreeMap<u64, usize> = self.shards.keys().map(|shard| (*shard, 0)).collect();
            for venue in self.venues.values() {
                if let Some(count) = load.get_mut(&venue.shard) {
                    *count += 1;
                }
            }
            // The emptiest shard; the lowest id among equals.
            let Some(shard) = load
                .into_iter()
                .min_by_key(|(shard, count)| (*count, *shard))
                .map(|(shard, _)| shard)
            else {
                return changed;
            };
            self.next_venue += 1;
            self.venues.insert(
                slug,
                VenueRecord {
                    number: self.next_venue,
                    shard,
                },
            );
            changed = true;
        }
        changed
    }

    /// The version that a founded cluster takes by itself: while it holds no venue and no token, and once every founder has
    /// said what it reads.
    #[must_use]
    pub fn version_of_the_new(&self) -> Option<u32> {
        let is_new = self.cluster_version.is_untouched() && self.venues.is_empty() && self.tokens.is_empty();
        let newest = newest_for_all(&self.nodes);
        (is_new && !self.shards.is_empty() && newest > self.cluster_version.number()).then_some(newest)
    }

    /// As nodes and routers get it.
    #[must_use]
    pub fn to_proto(&self, cluster: &str) -> proto::ShardMap {
        proto::ShardMap {
            version: self.version,
            cluster: cluster.to_owned(),
            nodes: self
                .nodes
                .values()
                .map(|node| proto::Node {
                    id: node.id,
                    grpc: node.grpc.clone(),
                    admin: node.admin.clone(),
                    version: node.version.clone(),
                })
                .collect(),
            shards: self
                .shards
                .iter()
                .map(|(id, shard)| proto::Shard {
                    id: *id,
                    epoch: shard.epoch,
                    replicas: shard
                        .replicas
                        .iter()
                        .map(|(id, node)| proto::Replica { id: *id, node: *node })
                        .collect(),
                })
                .collect(),
            venues: self
                .venues
                .iter()
                .map(|(slug, venue)| proto::Venue {
                    number: venue.number,
                    slug: slug.clone(),
                    shard: venue.shard,
                    network: self.networks.of_venue(slug).unwrap_or_default().to_owned(),
                })
                .collect(),
            tokens: self.tokens.to_proto(&self.networks),
            limits: self.limits.to_proto(),
            cluster_version: self.cluster_version.to_proto(),
        }
    }
}

/// Spreads `shards` over `nodes`: replicas of shard `i` go to the nodes from `i` on, so preferred leaders take turns.
#[must_use]
pub fn spread(nodes: &[u32], shards: u64, replication: usize) -> Vec<Vec<u32>> {
    let replication = replication.min(nodes.len());
    (0..shards)
        .map(|shard| {
            let first = usize::try_from(shard).unwrap_or(0);
            (0..replication)
                .map(|replica| nodes[(first + replica) % nodes.len()])
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn founded(shards: u64) -> MetaState {
        let mut state = MetaState::default();
        let nodes = vec![(1, "a".into()), (2, "b".into()), (3, "c".into())];
        let founding = MetaCommand::Bootstrap {
            nodes,
            shards: spread(&[1, 2, 3], shards, 3),
        };
        assert!(state.apply(1, founding).changed);
        state
    }

    #[test]
    fn founding_spreads_leaders_and_gives_every_replica_its_own_id() {
        let state = founded(8);
        let firsts: Vec<u32> = state.shards.values().map(|shard| shard.replicas[0].1).collect();
        assert_eq!(firsts, [1, 2, 3, 1, 2, 3, 1, 2]);
        let mut ids: Vec<u64> = state
            .shards
            .values()
            .flat_map(|s| s.replicas.iter().map(|r| r.0))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 24);
    }

    #[test]
    fn founding_twice_changes_nothing() {
        let mut state = founded(2);
        let before = state.clone();
        assert!(
            !state
                .apply(
                    2,
                    MetaCommand::Bootstrap {
                        nodes: vec![(9, "x".into())],
                        shards: vec![vec![9]]
                    }
                )
                .changed
        );
        assert_eq!(state, before);
    }

    #[test]
    fn venues_go_to_the_emptiest_shard_and_keep_their_number() {
        let mut state = founded(2);
        assert!(
            state
                .apply(
                    2,
                    MetaCommand::AssignVenues {
                        slugs: vec!["a".into(), "b".into(), "c".into()]
                    }
                )
                .changed
        );
        let shards: Vec<u64> = state.venues.values().map(|venue| venue.shard).collect();
        assert_eq!(shards, [1, 2, 1]);
        let before = state.clone();
        assert!(
            !state
                .apply(
                    3,
                    MetaCommand::AssignVenues {
                        slugs: vec!["b".into()]
                    }
                )
                .changed
        );
        assert_eq!(state, before);
    }

    fn assign_of(network: &str, slugs: &[&str]) -> MetaCommand {
        MetaCommand::AssignVenuesOf {
            network: network.to_owned(),
            slugs: slugs.iter().map(|slug| (*slug).to_owned()).collect(),
        }
    }

    #[test]
    fn a_venue_stays_with_its_network() {
        let mut state = founded(2);
        assert!(state.apply(2, assign_of("north", &["a", "b"])).changed);
        let before = state.clone();
        assert!(
            !state.apply(3, assign_of("south", &["c", "a"])).changed,
            "all or nothing"
        );
        assert!(!state.apply(4, assign_of("north", &["b"])).changed);
        assert_eq!(state, before);
        assert!(state.apply(5, assign_of("south", &["c"])).changed);
        let shown = state.to_proto("test");
        let networks: Vec<(&str, &str)> = shown
            .venues
            .iter()
            .map(|v| (v.slug.as_str(), v.network.as_str()))
            .collect();
        assert_eq!(networks, [("a", "north"), ("b", "north"), ("c", "south")]);
    }

    #[test]
    fn a_venue_of_before_networks_joins_the_first_that_imports_it() {
        let mut state = founded(2);
        let slugs = vec!["a".to_owned()];
        assert!(state.apply(2, MetaCommand::AssignVenues { slugs }).changed);
        assert_eq!(state.to_proto("test").venues[0].network, "");
        let place = state.venues["a"].clone();
        assert!(state.apply(3, assign_of("north", &["a"])).changed);
        assert_eq!(
            (state.networks.of_venue("a"), &state.venues["a"]),
            (Some("north"), &place)
        );
    }

    #[test]
    fn a_token_of_a_network_is_shown_with_it_for_ever() {
        let mut state = founded(1);
        let create = |network: &str| MetaCommand::CreateTokenOf {
            network: network.to_owned(),
            grant: TokenGrant {
                name: "gate-1".to_owned(),
                role: 3,
                venues: Vec::new(),
                digest: [7; 32],
                by: "admin".to_owned(),
                at: 1,
            },
        };
        let network = |state: &MetaState| state.to_proto("test").tokens[0].network.clone();
        assert_eq!(state.apply(2, create("north")).token, Some(TokenOutcome::Done));
        assert_eq!(
            state.apply(3, create("north")),
            Applied {
                changed: false,
                token: Some(TokenOutcome::Done)
            }
        );
        assert_eq!(state.apply(4, create("south")).token, Some(TokenOutcome::NameTaken));
        assert_eq!(network(&state), "north");
        let (name, by) = ("gate-1".to_owned(), "admin".to_owned());
        assert!(state.apply(5, MetaCommand::RevokeToken { name, by, at: 2 }).changed);
        assert_eq!(network(&state), "north");
    }

    /// Of this layout, as the first version wrote it.
    #[test]
    fn commands_of_before_are_still_read() {
        let assign = [1, 2, 1, 1, b'a'];
        let slugs = vec!["a".to_owned()];
        assert_eq!(
            MetaCommand::decode(&assign).unwrap(),
            MetaCommand::AssignVenues { slugs }
        );
        let revoke = [1, 4, 1, b'g', 1, b'b', 2];
        let (name, by) = ("g".to_owned(), "b".to_owned());
        let newer = [
            (5, assign_of("n", &["a"])),
            (
                7,
                MetaCommand::SetLimits {
                    limits: Vec::new(),
                    by: by.clone(),
                    at: 1,
                },
            ),
        ];
        for (number, command) in newer {
            assert_eq!(command.encode().unwrap()[1], number);
        }
        assert_eq!(
            MetaCommand::decode(&revoke).unwrap(),
            MetaCommand::RevokeToken { name, by, at: 1 }
        );
    }

    #[test]
    fn a_command_comes_back_as_it_went_and_garbage_is_refused() {
        let command = MetaCommand::AssignVenues {
            slugs: vec!["a".into()],
        };
        assert_eq!(MetaCommand::decode(&command.encode().unwrap()).unwrap(), command);
        assert!(MetaCommand::decode(&[]).is_err());
        assert!(MetaCommand::decode(&[7, 0]).is_err());
        assert!(MetaCommand::decode(&[1, 200, 1]).is_err());
    }
}
