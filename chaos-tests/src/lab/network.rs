//! Hosts on a switch: a namespace for each node and the router, one for the switch, and a link from the switch to the
//! namespace that the harness runs in. Rules in a host's own table cut, lose, lead astray and narrow what reaches it; the
//! harness's own link is never touched, so it can always look.
//!
//! The switch has a namespace of its own because the host's forwarding policy may drop what is bridged in its.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::tag::{PREFIX, Tag};
use super::tools;

/// 198.18.0.0/15 is set aside for tests of networks (RFC 2544): nobody else's hosts are there.
const FIRST: [u8; 2] = [198, 18];
const HARNESS: u8 = 254;
const ROUTER: u8 = 200;

static MAKING: Mutex<()> = Mutex::new(());
/// Networks that this process has made.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A node's.
    Node(u32),
    /// The router's.
    Router,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Node(id) => write!(f, "node {id}"),
            Host::Router => f.write_str("router"),
        }
    }
}

/// Something that is wrong with the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What comes from one host does not reach the other. The other direction is another rule.
    Drop {
        /// The sender.
        from: Host,
        /// Who does not hear it.
        at: Host,
    },
    /// So many in a hundred packets are lost.
    Lose {
        /// The sender.
        from: Host,
        /// Who does not hear all of it.
        at: Host,
        /// How many.
        percent: u32,
    },
    /// Connections that are opened go another way, to a [`super::proxy::Proxy`]; those that were open are reset.
    Detour {
        /// Who opens connections.
        from: Host,
        /// To what.
        to: SocketAddr,
        /// Where they go instead.
        via: SocketAddr,
    },
    /// A host sends no more than so many kilobits a second.
    Narrow {
        /// Which.
        host: Host,
        /// How many.
        kilobits: u32,
    },
}

impl Rule {
    /// The host whose tables hold it.
    fn holder(&self) -> Host {
        match self {
            Rule::Drop { at, .. } | Rule::Lose { at, .. } => *at,
            Rule::Detour { from, .. } => *from,
            Rule::Narrow { host, .. } => *host,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Network {
    name: String,
    third: u8,
    hosts: Vec<Host>,
    rules: BTreeMap<u64, Vec<Rule>>,
}

impl Network {
    /// Makes a namespace for each host.
    ///
    /// # Errors
    /// Where the machine does not let one, with the command that failed.
    pub fn make(hosts: &[Host]) -> Result<Self, String> {
        // One at a time looks for addresses that are free.
        let _looking = MAKING.lock();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut network = Network {
            name: format!("{PREFIX}{}-{number}", Tag::own()),
            third: free_third()?,
            hosts: Vec::new(),
            rules: BTreeMap::new(),
        };
        // From here on, what was made goes with `network`, however far this comes.
        network.add_switch()?;
        for host in hosts {
            network.hosts.push(*host);
            network.add_host(*host)?;
        }
        Ok(network)
    }

    fn add_switch(&self) -> Result<(), String> {
        let switch = &self.switch();
        ip(&["netns", "add", switch])?;
        ip(&["-n", switch, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", switch, "link", "set", "br0", "up"])?;
        let name = format!("rchaos{}", self.third);
        ip(&[
            "link", "add", &name, "type", "veth", "peer", "name", "harness", "netns", switch,
        ])?;
        ip(&["-n", switch, "link", "set", "harness", "master", "br0", "up"])?;
        ip(&["addr", "add", &format!("{}/24", self.harness()), "dev", &name])?;
        ip(&["link", "set", &name, "up"])
    }

    fn add_host(&self, host: Host) -> Result<(), String> {
        let (space, switch) = (&self.namespace(host), &self.switch());
        let port = &short(host);
        ip(&["netns", "add", space])?;
        ip(&[
            "link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", port, "netns", switch,
        ])?;
        ip(&["-n", switch, "link", "set", port, "master", "br0", "up"])?;
        ip(&[
            "-n",
            space,
            "addr",
            "add",
            &format!("{}/24", self.address(host)),
            "dev",
            "eth0",
        ])?;
        ip(&["-n", space, "link", "set", "eth0", "up"])?;
        ip(&["-n", space, "link", "set", "lo", "up"])?;
        // There from the start, so that connections are followed before the first rule.
        let tables = "add table inet chaos\n\
             add chain inet chaos in { type filter hook input priority 0; policy accept; }\n\
             add chain inet chaos out { type filter hook output priority 0; policy accept; }\n\
             add table ip chaosnat\n\
             add chain ip chaosnat out { type nat hook output priority -100; policy accept; }\n";
        self.nft(host, tables).map(drop)
    }

    /// Where a host is reached.
    #[must_use]
    pub fn address(&self, host: Host) -> IpAddr {
        self.at(match host {
            Host::Node(id) => u8::try_from(id).unwrap_or(u8::MAX),
            Host::Router => ROUTER,
        })
    }

    /// Where the harness is reached from any host.
    #[must_use]
    pub fn harness(&self) -> IpAddr {
        self.at(HARNESS)
    }

    fn at(&self, last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(FIRST[0], FIRST[1], self.third, last))
    }

    /// What to put before a command so that it runs on a host. It keeps its process id.
    #[must_use]
    pub fn entrance(&self, host: Host) -> Vec<String> {
        let space = format!("--net=/run/netns/{}", self.namespace(host));
        vec!["nsenter".to_owned(), space, "--".to_owned()]
    }

    fn namespace(&self, host: Host) -> String {
        format!("{}-{}", self.name, short(host))
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }

    /// Puts rules in force under a number of the caller's.
    ///
    /// # Errors
    /// Where the machine refuses them.
    pub fn apply(&mut self, id: u64, rules: Vec<Rule>) -> Result<(), String> {
        for rule in &rules {
            self.nft(rule.holder(), &format!("add counter inet chaos f{id}\n"))?;
            if let Rule::Narrow { host, kilobits } = rule {
                let rate = format!("{kilobits}kbit");
                self.tc(
                    *host,
                    &[
                        "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", &rate, "burst", "16kb", "latency",
                        "3s",
                    ],
                )?;
            }
        }
        let holders: Vec<Host> = rules.iter().map(Rule::holder).collect();
        self.rules.insert(id, rules);
        holders.into_iter().try_for_each(|host| self.rewrite(host))
    }

    /// Takes rules back; gives the number of packets that met one of them.
    ///
    /// # Errors
    /// Where the machine refuses.
    pub fn lift(&mut self, id: u64) -> Result<u64, String> {
        let mut met = 0;
        let Some(rules) = self.rules.remove(&id) else {
            return Ok(0);
        };
        let mut holders: Vec<Host> = rules.iter().map(Rule::holder).collect();
        holders.sort_unstable();
        holders.dedup();
        for rule in &rules {
            if let Rule::Narrow { host, .. } = rule {
                let told = self.tc(*host, &["-s", "qdisc", "show", "dev", "eth0"])?;
                met += number_after(&told, "overlimits ");
                // Another narrow link of the same host may have taken it off already.
                let _ = self.tc(*host, &["qdisc", "del", "dev", "eth0", "root"]);
            }
        }
        for host in holders {
            let told = self.nft(host, &format!("list counter inet chaos f{id}\n"))?;
            met += number_after(&told, "packets ");
            self.rewrite(host)?;
            self.nft(host, &format!("delete counter inet chaos f{id}\n"))?;
        }
        Ok(met)
    }

    /// Writes a host's chains anew, at once, from what is in force.
    fn rewrite(&self, host: Host) -> Result<(), String> {
        let mut script =
            String::from("flush chain inet chaos in\nflush chain inet chaos out\nflush chain ip chaosnat out\n");
        for (id, rule) in self
            .rules
            .iter()
            .flat_map(|(id, rules)| rules.iter().map(move |rule| (id, rule)))
        {
            if rule.holder() == host {
                // Writing into a string does not fail.
                let _ = script.write_str(&self.rule(*id, rule));
            }
        }
        self.nft(host, &script).map(drop)
    }

    fn rule(&self, id: u64, rule: &Rule) -> String {
        match rule {
            Rule::Drop { from, .. } => {
                format!(
                    "add rule inet chaos in ip saddr {} counter name f{id} drop\n",
                    self.address(*from)
                )
            }
            Rule::Lose { from, percent, .. } => format!(
                "add rule inet chaos in ip saddr {} numgen random mod 100 < {percent} counter name f{id} drop\n",
                self.address(*from)
            ),
            // What the first line leads away never comes to the second.
            Rule::Detour { to, via, .. } => format!(
                "add rule ip chaosnat out ip daddr {ip} tcp dport {port} dnat to {via}\n\
                 add rule inet chaos out ip daddr {ip} tcp dport {port} counter name f{id} reject with tcp reset\n",
                ip = to.ip(),
                port = to.port(),
            ),
            Rule::Narrow { .. } => String::new(),
        }
    }

    fn nft(&self, host: Host, script: &str) -> Result<String, String> {
        let space = format!("--net=/run/netns/{}", self.namespace(host));
        tools::run_with(&["nsenter", &space, "--", "nft", "-f", "-"], script)
            .map_err(|error| format!("{error}\n{script}"))
    }

    fn tc(&self, host: Host, words: &[&str]) -> Result<String, String> {
        let space = format!("--net=/run/netns/{}", self.namespace(host));
        let command: Vec<&str> = ["nsenter", &space, "--", "tc"]
            .into_iter()
            .chain(words.iter().copied())
            .collect();
        tools::run(&command)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &self.hosts {
            let _ = ip(&["netns", "delete", &self.namespace(*host)]);
        }
        // The harness's link goes first: a namespace lives on while a packet in it does, and the name must be free.
        let _ = ip(&["link", "delete", &format!("rchaos{}", self.third)]);
        let _ = ip(&["netns", "delete", &self.switch()]);
    }
}

/// At most 15 characters, as names of links are.
fn short(host: Host) -> String {
    match host {
        Host::Node(id) => format!("n{id}"),
        Host::Router => "router".to_owned(),
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    let command: Vec<&str> = ["ip"].into_iter().chain(words.iter().copied()).collect();
    tools::run(&command).map(drop)
}

/// A third byte of addresses that nobody on this machine has.
fn free_third() -> Result<u8, String> {
    let known = tools::run(&["ip", "-o", "-4", "addr", "show"])?;
    let routes = tools::run(&["ip", "-4", "route", "show"])?;
    (18..250)
        .find(|third| {
            let net = format!("{}.{}.{third}.", FIRST[0], FIRST[1]);
            !known.contains(&net) && !routes.contains(&net)
        })
        .ok_or_else(|| "all networks of 198.18.0.0/16 are taken".to_owned())
}

/// The number that follows a word, summed over all places where it stands.
fn number_after(text: &str, word: &str) -> u64 {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    text.match_indices(word)
        .filter_map(|(at, _)| digits(&text[at + word.len()..]).parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::capabilities::Capabilities;

    fn pings(network: &Network, from: Host, to: Host) -> bool {
        let script = format!("(exec 3<>/dev/tcp/{}/9) 2>/dev/null; true", network.address(to));
        let entrance = network.entrance(from);
        let mut words: Vec<&str> = entrance.iter().map(String::as_str).collect();
        words.extend(["timeout", "1", "bash", "-c", &script]);
        // A refused connection has reached the other host; a lost one runs into the time-out.
        tools::run(&words).is_ok()
    }

    #[test]
    fn a_cut_holds_in_one_direction_until_it_is_lifted() {
        let able = Capabilities::probe();
        if let Err(missing) = &able.network {
            return crate::faults::not_covered("a cut network", missing, missing.could_be);
        }
        let [one, two] = [Host::Node(1), Host::Node(2)];
        let mut network = Network::make(&[one, two, Host::Router]).expect("a network");
        assert!(pings(&network, one, two) && pings(&network, two, Host::Router));
        network
            .apply(7, vec![Rule::Drop { from: one, at: two }])
            .expect("a cut");
        assert!(!pings(&network, one, two));
        assert!(pings(&network, one, Host::Router));
        assert!(network.lift(7).expect("healed") > 0, "nothing met the cut");
        assert!(pings(&network, one, two));
        let narrow = Rule::Narrow {
            host: one,
            kilobits: 64,
        };
        network.apply(8, vec![narrow]).expect("a narrow link");
        network.lift(8).expect("healed");
        let name = network.name.clone();
        drop(network);
        let left = tools::run(&["ip", "netns", "list"]).expect("a list");
        assert!(!left.contains(&name), "{left}");
    }

    #[test]
    fn counters_are_read() {
        let told = "counter f1 {\n packets 12 bytes 700\n}\ncounter f2 { packets 3 bytes 1 }";
        assert_eq!(number_after(told, "packets "), 15);
        assert_eq!(number_after("", "packets "), 0);
    }
}
