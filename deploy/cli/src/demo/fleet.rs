//! The demo's processes: started, watched, started again where one ends by itself, stopped without leftovers.
//!
//! Two things keep a process from outliving the demo. Each has a pipe from us as its standard input and runs with
//! `--exit-with-parent`, so it ends when the pipe closes, even where the demo was killed with SIGKILL. And each is in a
//! process group of its own, so Ctrl-C reaches the demo alone, which then stops them in order.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::failure::Failure;

/// How long a process may take to end after SIGTERM before it is killed. A paused process never reacts.
const GRACE: Duration = Duration::from_secs(5);
/// Long enough that the failover can be watched.
const RESTART_PAUSE: Duration = Duration::from_secs(3);
/// A process that ended this often within a minute of its start is left dead: something is wrong with it.
const RESTARTS_IN_A_ROW: u32 = 3;
const STEADY: Duration = Duration::from_secs(60);
const TAIL_LINES: usize = 12;

/// Node or router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `rotunda-node`.
    Node,
    /// `rotunda-router`.
    Router,
}

/// How to start one process, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// Counts from 1 within its kind.
    pub(crate) id: u32,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Secrets travel here: everybody on the machine can read a command line.
    pub(crate) environment: Vec<(String, String)>,
    /// The node's gRPC address, or the router's door.
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Whether that is reached with a certificate.
    pub(crate) secured: bool,
    /// The node's data.
    pub(crate) data: Option<PathBuf>,
    pub(crate) log: PathBuf,
}

impl Plan {
    pub(crate) fn name(&self) -> String {
        match self.kind {
            Kind::Node => format!("node {}", self.id),
            Kind::Router => format!("router {}", self.id),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.secured { "https" } else { "http" }, self.address)
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }
}

/// One process of the demo.
pub(crate) struct Member {
    pub(crate) plan: Plan,
    running: Option<Running>,
    /// Times it ended soon after its start, in a row.
    short_lives: u32,
    restart_at: Option<Instant>,
}

struct Running {
    child: Child,
    pid: u32,
    since: Instant,
}

impl Member {
    /// Its process id while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.pid)
    }
}

/// All processes of the demo.
#[derive(Default)]
pub(crate) struct Fleet {
    members: Vec<Member>,
}

/// What a round of watching found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A process ended that nobody asked to.
    Ended(String),
    /// It runs again under another process id.
    Restarted(String),
}

impl Fleet {
    /// Starts a process.
    ///
    /// # Errors
    /// Where the program cannot be run.
    pub(crate) fn start(&mut self, plan: Plan) -> Result<(), Failure> {
        let running = spawn(&plan)?;
        self.members.push(Member {
            plan,
            running: Some(running),
            short_lives: 0,
            restart_at: None,
        });
        Ok(())
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.plan.kind == kind)
    }

    /// During the start no process may end.
    ///
    /// # Errors
    /// Where one has; shows the end of its log.
    pub(crate) fn all_running(&mut self) -> Result<(), Failure> {
        for member in &mut self.members {
            let Some(running) = &mut member.running else { continue };
            if let Ok(Some(status)) = running.child.try_wait() {
                member.running = None;
                let name = member.plan.name();
                let mut failure = Failure::failed(format!("{name} ended while the demo started: {}", describe(status)));
                for line in tail(&member.plan.log) {
                    failure = failure.detail(line);
                }
                return Err(failure.next("mend what it says and run the demo again"));
            }
        }
        Ok(())
    }

    /// One round: notices what ended, starts again what is due. Returns at once.
    pub(crate) fn watch(&mut self, restart: bool) -> Vec<Event> {
        let mut events = Vec::new();
        for member in &mut self.members {
            if let Some(running) = &mut member.running
                && let Ok(Some(status)) = running.child.try_wait()
            {
                member.short_lives = if running.since.elapsed() < STEADY {
                    member.short_lives + 1
                } else {
                    1
                };
                let what = format!(
                    "{} (process {}) ended: {}",
                    member.plan.name(),
                    running.pid,
                    describe(status)
                );
                member.running = None;
                let next = if !restart {
                    "it stays dead (--no-restart)".to_owned()
                } else if member.short_lives > RESTARTS_IN_A_ROW {
                    format!(
                        "that was once too often; it stays dead. Its log: {}",
                        member.plan.log.display()
                    )
                } else {
                    member.restart_at = Some(Instant::now() + RESTART_PAUSE);
                    format!("starting it again in {} s", RESTART_PAUSE.as_secs())
                };
                events.push(Event::Ended(format!("{what}; {next}")));
            }
            if member.restart_at.is_some_and(|at| Instant::now() >= at) {
                member.restart_at = None;
                let name = member.plan.name();
                match spawn(&member.plan) {
                    Ok(running) => {
                        events.push(Event::Restarted(format!("{name} runs again (process {})", running.pid)));
                        member.running = Some(running);
                    }
                    Err(failure) => events.push(Event::Ended(format!("{name} cannot be started again: {failure:?}"))),
                }
            }
        }
        events
    }

    /// Stops everything: routers first, so that no visitor meets a cluster without nodes; then the nodes. Where `gently`,
    /// the nodes are asked; else they are killed at once, for handing leadership over takes its time and data that is
    /// about to be removed needs none of it. `hurry` ends all patience (a second Ctrl-C).
    pub(crate) async fn stop(&mut self, gently: bool, hurry: impl Future<Output = ()>) {
        let deadline = Instant::now() + GRACE;
        let kinds: &[Kind] = if gently {
            &[Kind::Router, Kind::Node]
        } else {
            &[Kind::Router]
        };
        let patience = async {
            for kind in kinds {
                self.terminate(*kind);
                while Instant::now() < deadline && self.any_running(*kind) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::select! {
            () = patience => {}
            () = hurry => {}
        }
        for member in &mut self.members {
            if let Some(mut running) = member.running.take() {
                // SIGKILL ends stopped processes too. `kill` also waits, so none is left as a zombie.
                let _ = running.child.kill().await;
            }
        }
    }

    fn terminate(&self, kind: Kind) {
        for member in self.of_kind(kind) {
            if let Some(running) = &member.running
                && let Ok(pid) = i32::try_from(running.pid)
            {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
        }
    }

    fn any_running(&mut self, kind: Kind) -> bool {
        let mut any = false;
        for member in self.members.iter_mut().filter(|member| member.plan.kind == kind) {
            if let Some(running) = &mut member.running {
                match running.child.try_wait() {
                    Ok(Some(_)) => member.running = None,
                    _ => any = true,
                }
            }
        }
        any
    }
}

fn spawn(plan: &Plan) -> Result<Running, Failure> {
    let cannot = |what: &Path, error: std::io::Error| {
        Failure::failed(format!("cannot start {} from {}: {error}", plan.name(), what.display())).next("make build")
    };
    let log = File::options()
        .create(true)
        .append(true)
        .open(&plan.log)
        .map_err(|error| cannot(&plan.log, error))?;
    let errors = log.try_clone().map_err(|error| cannot(&plan.log, error))?;
    let mut command = Command::new(&plan.program);
    // Settings that the user's shell carries for another cluster are not for this one.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROTUNDA_")) {
        command.env_remove(name);
    }
    let child = command
        .args(&plan.arguments)
        .arg("--exit-with-parent")
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| cannot(&plan.program, error))?;
    let pid = child.id().unwrap_or_default();
    Ok(Running {
        child,
        pid,
        since: Instant::now(),
    })
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.signal(), status.code()) {
        (Some(number), _) => match Signal::try_from(number) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {number}"),
        },
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => status.to_string(),
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(TAIL_LINES))
        .map(|line| (*line).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    fn plan(folder: &Path, script: &str) -> Plan {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        Plan {
            kind: Kind::Node,
            id: 1,
            program: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: Vec::new(),
            address,
            admin: address,
            secured: false,
            data: None,
            log: folder.join("node-1.log"),
        }
    }

    async fn until_ended(fleet: &mut Fleet) -> Vec<Event> {
        loop {
            let events = fleet.watch(true);
            if !events.is_empty() {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_process_that_ends_during_the_start_shows_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut fleet = Fleet::default();
        fleet
            .start(plan(folder.path(), "echo port 7001 is taken >&2; exit 4"))
            .unwrap();
        let failure = loop {
            match fleet.all_running() {
                Ok(()) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(failure) => break failure,
            }
        };
        let text = format!("{failure:?}");
        assert!(
            text.contains("exit code 4") && text.contains("port 7001 is taken"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_killed_process_is_named_with_its_signal_and_will_be_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut fleet = Fleet::default();
        fleet.start(plan(folder.path(), "exec sleep 600")).unwrap();
        let pid = fleet.members()[0].pid().unwrap();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
        let events = until_ended(&mut fleet).await;
        let Event::Ended(text) = &events[0] else {
            panic!("{events:?}")
        };
        assert!(
            text.contains("node 1") && text.contains("SIGKILL") && text.contains("again in 3 s"),
            "{text}"
        );
        let events = until_ended(&mut fleet).await;
        assert!(matches!(&events[0], Event::Restarted(_)), "{events:?}");
        assert_ne!(fleet.members()[0].pid(), Some(pid));
        fleet.stop(true, std::future::ready(())).await;
    }

    #[tokio::test]
    async fn stopping_ends_a_process_that_ignores_sigterm() {
        let folder = tempfile::tempdir().unwrap();
        let mut fleet = Fleet::default();
        fleet
            .start(plan(folder.path(), "trap '' TERM; echo up; while :; do sleep 1; done"))
            .unwrap();
        let pid = Pid::from_raw(i32::try_from(fleet.members()[0].pid().unwrap()).unwrap());
        while !std::fs::read_to_string(folder.path().join("node-1.log"))
            .unwrap()
            .contains("up")
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        fleet.stop(true, std::future::ready(())).await;
        assert!(kill(pid, None).is_err(), "the process is gone");
    }
}
