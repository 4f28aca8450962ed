//! `rotunda node`: lets go of a node that is lost, and lets one in that has nothing. The cluster does it by itself once it is
//! told; this command tells it, and watches until it is done. Broken off and given again, it watches on.

use std::io::IsTerminal as _;
use std::time::Duration;

use comfy_table::Table;
use rotunda_protocol::client::{ClientConfig, ClientError, ClusterClient, NodeStatus, ReplicaStatus};
use rotunda_protocol::dial::{Secured, Tcp};
use rotunda_tls::mutual::Trust;
use serde_json::json;
use tokio::time::Instant;

use crate::args::{NodeAddArguments, NodeRemoveArguments, NodesArguments, Output};
use crate::failure::Failure;
use crate::paint::{good_or_bad, table};

/// How long the nodes may take to answer, and to decide.
const ANSWER: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// The meta group.
const META: u64 = 0;

/// A client of the nodes, once one of them has answered.
pub(crate) async fn connect(nodes: &NodesArguments) -> Result<ClusterClient, Failure> {
    let files = nodes.tls.files().map_err(|missing| {
        Failure::usage(format!("--tls-{}: {missing}", missing.setting)).next("rotunda certs add client makes them")
    })?;
    let dial = match files {
        None => Tcp::shared(),
        Some(files) => Secured::with(Trust::read(files).map_err(|problem| Failure::usage(problem.to_string()))?),
    };
    let client = ClusterClient::connect(ClientConfig {
        seeds: nodes.seeds.clone(),
        dial,
        ..ClientConfig::default()
    });
    client.ready(Instant::now() + ANSWER).await.map_err(|_| {
        Failure::unreachable(format!("no node answers at {}", nodes.seeds.join(", ")))
            .next("give the gRPC address of a node that runs, as --seed http://10.0.0.1:7001, and the certificates of a client where the cluster has some (--tls-ca, --tls-cert, --tls-key)")
    })?;
    Ok(client)
}

fn refused(doing: &str, error: &ClientError) -> Failure {
    match error {
        ClientError::Rejected(why) => Failure::failed(why.clone()),
        _ => Failure::unreachable(format!("{doing}: the meta group has no leader that answers"))
            .next("rotunda status; a majority of the nodes must run"),
    }
}

/// A group's replica on the node that is watched.
struct Line {
    group: u64,
    is_done: bool,
    state: String,
    behind: Option<u64>,
}

impl Line {
    fn name(&self) -> String {
        match self.group {
            META => "meta".to_owned(),
            shard => shard.to_string(),
        }
    }
}

/// The status of each node that answers, by node.
async fn statuses(client: &ClusterClient) -> Vec<NodeStatus> {
    let asked = client.node_status(Instant::now() + ANSWER).await;
    asked.into_iter().filter_map(|(_, status)| status.ok()).collect()
}

/// What the leader of a group says; of two that say that they lead, the later one.
fn leader(statuses: &[NodeStatus], group: u64) -> Option<&ReplicaStatus> {
    let replicas = statuses.iter().flat_map(|status| &status.replicas);
    replicas
        .filter(|replica| replica.shard == group && replica.role == "leader")
        .max_by_key(|replica| replica.term)
}

fn groups(client: &ClusterClient) -> Vec<u64> {
    let map = client.map();
    [META]
        .into_iter()
        .chain(map.shards().iter().map(|shard| shard.id))
        .collect()
}

/// Runs `rotunda node remove`.
pub(crate) async fn remove_node(arguments: NodeRemoveArguments) -> Result<(), Failure> {
    let client = connect(&arguments.nodes).await?;
    let removed = client.remove_node(arguments.id, Instant::now() + ANSWER).await;
    removed.map_err(|error| refused("removing the node", &error))?;
    let id = arguments.id;
    let look = || async {
        let statuses = statuses(&client).await;
        let lines = groups(&client).into_iter().map(|group| {
            let voters = leader(&statuses, group).map(|leader| &leader.voters);
            let is_done = voters.is_some_and(|voters| voters.iter().all(|voter| voter.node != id));
            let state = match (voters, is_done) {
                (None, _) => "no leader",
                (_, true) => "gone",
                (_, false) => "still counted",
            };
            Line {
                group,
                is_done,
                state: state.to_owned(),
                behind: None,
            }
        });
        lines.collect()
    };
    let lines = watch(look, arguments.wait, arguments.output).await?;
    print(arguments.output, id, "removed", &lines);
    if arguments.output == Output::Table {
        println!(
            "Node {id} counts no more. To let it in again: start it on an empty data directory, then rotunda node add {id} --addr URL"
        );
    }
    Ok(())
}

/// Runs `rotunda node add`.
pub(crate) async fn add_node(arguments: NodeAddArguments) -> Result<(), Failure> {
    let client = connect(&arguments.nodes).await?;
    let id = arguments.id;
    let added = client.add_node(id, &arguments.addr, Instant::now() + ANSWER).await;
    added.map_err(|error| refused("adding the node", &error))?;
    let look = || async {
        let statuses = statuses(&client).await;
        let own = statuses.iter().find(|status| status.node == id);
        let map = client.map();
        let belongs = |group: &u64| {
            let shard = map.shard(*group);
            *group == META || shard.is_some_and(|shard| shard.replicas.iter().any(|replica| replica.node == id))
        };
        let lines = groups(&client).into_iter().filter(belongs).map(|group| {
            let replica = own.and_then(|status| status.replicas.iter().find(|replica| replica.shard == group));
            line(group, id, replica, leader(&statuses, group))
        });
        lines.collect()
    };
    let lines = watch(look, arguments.wait, arguments.output).await?;
    print(arguments.output, id, "added", &lines);
    Ok(())
}

/// How a replica stands that is to come.
fn line(group: u64, node: u32, replica: Option<&ReplicaStatus>, leader: Option<&ReplicaStatus>) -> Line {
    let votes = |replica: &ReplicaStatus| {
        leader.is_some_and(|leader| {
            let mut voters = leader.voters.iter().filter(|voter| voter.node == node);
            // One that it had before may still be counted beside it: then it is not done.
            voters.next().is_some_and(|voter| voter.id == replica.replica) && voters.next().is_none()
        })
    };
    let behind = replica
        .zip(leader)
        .map(|(own, leader)| leader.applied.saturating_sub(own.applied));
    let (is_done, state) = match (replica, leader) {
        (None, _) => (false, "waits for the node"),
        (_, None) => (false, "no leader"),
        (Some(replica), _) if votes(replica) => (true, "votes"),
        (Some(replica), _) if replica.role == "learner" => (false, "catches up"),
        (Some(_), _) => (false, "joins"),
    };
    Line {
        group,
        is_done,
        state: state.to_owned(),
        behind,
    }
}

/// Looks until all groups are done, and shows people how far it is.
async fn watch<L, A>(look: L, wait: u64, output: Output) -> Result<Vec<Line>, Failure>
where
    L: Fn() -> A,
    A: Future<Output = Vec<Line>>,
{
    let until = Instant::now() + Duration::from_secs(wait);
    let (mut shown, mut told) = (0, usize::MAX);
    loop {
        let lines = look().await;
        let done = lines.iter().filter(|line| line.is_done).count();
        let is_over = done == lines.len();
        if is_over || output == Output::Json {
            // The last one goes to standard output.
            erase(shown);
            shown = 0;
        } else if std::io::stderr().is_terminal() {
            erase(shown);
            let drawn = draw(&lines).to_string();
            shown = drawn.lines().count();
            eprintln!("{drawn}");
        } else if told != done {
            told = done;
            eprintln!("{done} of {} groups are done", lines.len());
        }
        if is_over {
            return Ok(lines);
        }
        if Instant::now() > until {
            let open = lines.iter().filter(|line| !line.is_done);
            let failure = open.fold(
                Failure::failed(format!("after {wait} s {done} of {} groups are done", lines.len())),
                |failure, line| failure.detail(format!("group {}: {}", line.name(), line.state)),
            );
            return Err(failure.next(
                "look into the node's log for what it waits for; then give the same command again: it goes on where it stood",
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Takes so many lines of a terminal away.
fn erase(lines: usize) {
    if lines > 0 {
        eprint!("\x1b[{lines}A\x1b[J");
    }
}

fn draw(lines: &[Line]) -> Table {
    let mut drawn = table(["group", "state", "entries behind"]);
    for line in lines {
        drawn.add_row(vec![
            comfy_table::Cell::new(line.name()),
            good_or_bad(&line.state, line.is_done),
            comfy_table::Cell::new(line.behind.map_or_else(|| "-".to_owned(), |behind| behind.to_string())),
        ]);
    }
    drawn
}

fn print(output: Output, node: u32, done: &str, lines: &[Line]) {
    match output {
        Output::Table => println!("{}", draw(lines)),
        Output::Json => {
            let groups: Vec<_> = lines
                .iter()
                .map(|line| json!({ "group": line.group, "state": line.state, "behind": line.behind }))
                .collect();
            println!("{}", json!({ "node": node, "done": done, "groups": groups }));
        }
    }
}
