//! A node whose data directory is empty takes part in nothing before it knows why it is empty. Either the cluster is being
//! founded, and every founder is as blank; or the node was added and has never served; or its disk is lost: then it has
//! promised things that it does not know of any more, and a vote of it could undo what was acknowledged. In the last case it
//! waits, and says what to do: `rotunda node remove`, then `rotunda node add`, which give it replica ids that have promised
//! nothing.
//!
//! What is not known is never guessed: while a founder does not answer, a blank node waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rotunda_protocol::dial::{Callee, Dial};
use rotunda_protocol::proto::admin::joining_client::JoiningClient;
use rotunda_protocol::proto::admin::{StandingReply, StandingRequest};
use tokio::time::Instant;

/// Between two rounds of questions.
const ROUND: Duration = Duration::from_millis(100);

/// How long one node may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the log says what is waited for.
const REMIND: Duration = Duration::from_secs(15);

/// The answer is a few bytes; HTTP/2 wants no smaller window.
const WINDOW_BYTES: u32 = 65_535;

/// What a blank node may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take part, with this replica of the meta group.
    Join(u64),
    /// Nothing yet, for this reason.
    Wait(String),
}

/// Who asks, and whom.
pub struct Blank {
    /// Its cluster.
    pub cluster: String,
    /// Its id.
    pub node: u32,
    /// The founders' addresses, its own among them where it is one; of a node that joins later, those that it is told.
    pub peers: BTreeMap<u32, String>,
    /// How they are reached.
    pub dial: Arc<dyn Dial>,
}

impl Blank {
    /// Waits until this node may take part; gives the id of its replica of the meta group.
    pub async fn admitted(&self) -> u64 {
        let mut told: Option<(String, Instant)> = None;
        loop {
            match judge(self.node, &self.ask().await) {
                Verdict::Join(replica) => return replica,
                Verdict::Wait(why) => {
                    let is_news = told
                        .as_ref()
                        .is_none_or(|(before, at)| *before != why || at.elapsed() > REMIND);
                    if is_news {
                        tracing::warn!(
                            node = self.node,
                            "the data directory is empty, and this node waits: {why}"
                        );
                        told = Some((why, Instant::now()));
                    }
                }
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    async fn ask(&self) -> BTreeMap<u32, Option<StandingReply>> {
        let others = self.peers.iter().filter(|(id, _)| **id != self.node);
        let asked = others.map(|(id, address)| async move {
            let question = StandingRequest {
                cluster: self.cluster.clone(),
                node: self.node,
            };
            let answer = async {
                let mut client = JoiningClient::new(self.dial.line(Callee::node(*id, address), WINDOW_BYTES).ok()?);
                match client.standing(question).await {
                    Ok(reply) => Some(reply.into_inner()),
                    // Of another cluster, or too old to know the question: as good as silent.
                    Err(status) => {
                        tracing::debug!(peer = id, %status, "a peer does not say how this node stands");
                        None
                    }
                }
            };
            (*id, tokio::time::timeout(ANSWER_TIMEOUT, answer).await.ok().flatten())
        });
        join_all(asked).await.into_iter().collect()
    }
}

/// What the answers of the other nodes come to.
#[must_use]
pub fn judge(node: u32, answers: &BTreeMap<u32, Option<StandingReply>>) -> Verdict {
    if let Some(known) = answers.values().flatten().find(|reply| reply.is_founded) {
        return match known.meta_replica {
            0 => Verdict::Wait(format!(
                "it is no member of the cluster: run `rotunda node add {node} --addr URL`"
            )),
            _ if known.has_been_here => Verdict::Wait(format!(
                "the cluster has known this node with data, which is gone. A blank vote could undo what was acknowledged: \
                 stop this node, run `rotunda node remove {node}`, start it again and run `rotunda node add {node} --addr URL`"
            )),
            replica => Verdict::Join(replica),
        };
    }
    let list = |is: fn(&Option<StandingReply>) -> bool| -> String {
        let ids: Vec<String> = answers
            .iter()
            .filter(|(_, reply)| is(reply))
            .map(|(id, _)| id.to_string())
            .collect();
        ids.join(", ")
    };
    if answers.values().flatten().any(|reply| !reply.is_unfounded) {
        return Verdict::Wait(format!(
            "there is a cluster (node {} knows of it), and no node that leads its meta group answers",
            list(|reply| reply.as_ref().is_some_and(|reply| !reply.is_unfounded))
        ));
    }
    let silent = list(Option::is_none);
    if silent.is_empty() {
        // All founders are here, and none knows of a cluster.
        return Verdict::Join(u64::from(node));
    }
    Verdict::Wait(format!(
        "of its peers node {silent} does not answer, and only together they can tell a founding from a lost disk"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfounded() -> Option<StandingReply> {
        Some(StandingReply {
            is_unfounded: true,
            ..StandingReply::default()
        })
    }

    fn founded(has_been_here: bool, meta_replica: u64) -> Option<StandingReply> {
        Some(StandingReply {
            is_founded: true,
            is_unfounded: false,
            has_been_here,
            meta_replica,
        })
    }

    /// Has a log with commands, and does not lead.
    fn unsure(has_been_here: bool, meta_replica: u64) -> Option<StandingReply> {
        Some(StandingReply {
            has_been_here,
            meta_replica,
            ..StandingReply::default()
        })
    }

    fn of(answers: [Option<StandingReply>; 2]) -> Verdict {
        judge(3, &[1, 2].into_iter().zip(answers).collect())
    }

    fn waits(verdict: &Verdict, word: &str) -> bool {
        matches!(verdict, Verdict::Wait(why) if why.contains(word))
    }

    #[test]
    fn a_founding_takes_all_founders() {
        assert_eq!(of([unfounded(), unfounded()]), Verdict::Join(3));
        assert!(waits(&of([unfounded(), None]), "node 2"));
        assert_eq!(judge(1, &BTreeMap::new()), Verdict::Join(1), "a lone node founds");
    }

    #[test]
    fn a_founder_that_comes_late_joins() {
        assert_eq!(of([founded(false, 3), None]), Verdict::Join(3));
        assert_eq!(of([founded(false, 3), unfounded()]), Verdict::Join(3));
    }

    #[test]
    fn a_lost_disk_takes_part_in_nothing_until_the_node_is_added_anew() {
        assert!(waits(&of([founded(true, 3), None]), "rotunda node remove 3"));
        assert!(waits(&of([founded(false, 0), None]), "node add"));
        assert_eq!(of([founded(false, 1024), None]), Verdict::Join(1024));
        // One lags, and has not heard yet that the node was here, or was removed and added.
        assert!(waits(&of([founded(true, 3), unsure(false, 3)]), "node remove"));
        assert_eq!(of([founded(false, 1024), unsure(true, 3)]), Verdict::Join(1024));
    }

    #[test]
    fn what_no_leader_confirms_lets_nobody_in() {
        assert!(waits(&of([unsure(false, 3), unsure(false, 3)]), "node 1, 2 knows"));
        assert!(waits(&of([unsure(false, 0), unfounded()]), "node 1 knows"));
        assert!(waits(&of([unsure(true, 3), None]), "leads"));
    }
}
