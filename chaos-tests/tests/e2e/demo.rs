//! `rotunda demo` as a person uses it: ready, booked by the printed line, a node killed, Ctrl-C, nothing left.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rotunda_chaos::process::{Process, Recipe, exists};
use rotunda_chaos::report::tell;
use rotunda_chaos::visitor::{Request, Visitor};
use rotunda_chaos::{binaries, cluster, wait};
use serde::Deserialize;
use serde_json::Value;

const STOPS_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
struct Ready {
    router: String,
    token: String,
    nodes: Vec<ReadyNode>,
    routers: Vec<ReadyRouter>,
}

#[derive(Debug, Deserialize)]
struct ReadyNode {
    id: u32,
    pid: Option<u32>,
    grpc: String,
    admin: String,
    data: PathBuf,
}

#[derive(Debug, Deserialize)]
struct ReadyRouter {
    pid: Option<u32>,
    http: String,
    admin: String,
}

struct Demo {
    process: Process,
    ready_file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Demo {
    fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready_file = folder.path().join("ready.json");
        let mut arguments = vec![
            "demo".to_owned(),
            "--ready-file".to_owned(),
            ready_file.display().to_string(),
        ];
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let programs = binaries::path("rotunda-node");
        let recipe = Recipe {
            name: "the demo".to_owned(),
            program: binaries::path("rotunda"),
            arguments,
            environment: vec![(
                "ROTUNDA_BIN_DIR".to_owned(),
                programs.parent().unwrap().display().to_string(),
            )],
            log: folder.path().join("demo.log"),
        };
        Demo {
            process: Process::start(recipe),
            ready_file,
            _folder: folder,
        }
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(&self.process.recipe().log).unwrap()
    }

    async fn ready(&mut self) -> Ready {
        wait::until("the demo to be ready", async || {
            assert!(self.process.ended().is_none(), "the demo ended:\n{}", self.printed());
            let text = std::fs::read(&self.ready_file).map_err(|error| error.to_string())?;
            // Renamed into place: whoever sees the file sees all of it.
            Ok(serde_json::from_slice(&text).expect("a whole ready file"))
        })
        .await
    }

    async fn until_printed(&mut self, what: &str) -> String {
        wait::until(&format!("the demo to print {what:?}"), async || {
            let printed = self.printed();
            printed
                .lines()
                .find(|line| line.contains(what))
                .map(str::to_owned)
                .ok_or(printed.clone())
        })
        .await
    }
}

/// Every process and folder that the demo made.
fn left_over(ready: &Ready) -> Vec<String> {
    let nodes = ready.nodes.iter().filter_map(|node| node.pid);
    let pids = nodes.chain(ready.routers.iter().filter_map(|router| router.pid));
    let mut left: Vec<String> = pids
        .filter(|pid| exists(*pid))
        .map(|pid| format!("process {pid}"))
        .collect();
    let data = ready.nodes[0].data.parent().unwrap();
    if data.exists() {
        left.push(data.display().to_string());
    }
    left
}

/// Runs the line as a shell would. Where the machine has no curl, sends the same request by hand.
async fn paste(line: &str) -> Value {
    let curl = Command::new("curl")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if curl {
        let output = Command::new("sh")
            .args(["-c", line])
            .env("NO_PROXY", "*")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{line}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{line}\n{error}: {output:?}"));
    }
    tell("this machine has no curl: the printed line was taken apart and sent without it");
    let words: Vec<&str> = line.split('\'').collect();
    let url = words[0]
        .split_whitespace()
        .find(|word| word.starts_with("http"))
        .unwrap();
    let mut request = cluster::http().post(url);
    for (flag, value) in words.iter().zip(&words[1..]).step_by(2) {
        request = match flag.trim().rsplit(' ').next() {
            Some("-H") => {
                let (name, value) = value.split_once(": ").unwrap();
                request.header(name, value)
            }
            Some("-d") => request.body((*value).to_owned()),
            _ => request,
        };
    }
    request.send().await.unwrap().json().await.unwrap()
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

fn curl_line(printed: &str) -> String {
    printed
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("curl "))
        .expect("a curl line")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_books_survives_a_killed_node_and_leaves_nothing() {
    let _machine = cluster::machine().await;
    let mut demo = Demo::start(&[]);
    let ready = demo.ready().await;
    assert_eq!((ready.nodes.len(), ready.routers.len()), (3, 1));
    assert_eq!(ready.router, ready.routers[0].http);
    assert!(
        ready
            .nodes
            .iter()
            .zip(1..)
            .all(|(node, id)| node.id == id && node.data.is_dir()),
        "{ready:?}"
    );
    demo.until_printed("Ctrl-C").await;

    let booking = paste(&curl_line(&demo.printed())).await;
    assert_eq!(booking["status"], "held", "{booking}");
    let again = paste(&curl_line(&demo.printed())).await;
    assert_eq!(again, booking, "pasted twice it is the same booking");

    let pages = ready
        .nodes
        .iter()
        .map(|node| &node.admin)
        .chain([&ready.routers[0].admin]);
    for page in pages {
        let answer = cluster::http().get(format!("{page}/readyz")).send().await.unwrap();
        assert!(answer.status().is_success(), "{page}: {answer:?}");
    }
    assert!(
        ready
            .nodes
            .iter()
            .all(|node| node.grpc.starts_with("https://127.0.0.1:")),
        "{ready:?}"
    );

    // The line that the demo suggests: kill the leader. The booking stays, and the node comes back.
    let suggested = demo.until_printed("kill -9").await;
    let victim: u32 = suggested.trim().rsplit(' ').next().unwrap().parse().unwrap();
    signal(victim, Signal::SIGKILL);
    let path = format!("/v1/bookings/{}", booking["id"].as_str().unwrap());
    let seen = Visitor::new(&ready.router).settle(&Request::get(path)).await;
    assert_eq!(seen.answer().unwrap().json()["status"], "held", "{seen:?}");
    demo.until_printed("runs again").await;
    let healed = wait::until("the ready file with the new process id", async || {
        let ready: Ready = serde_json::from_slice(&std::fs::read(&demo.ready_file).unwrap()).unwrap();
        let fresh = ready.nodes.iter().all(|node| node.pid.is_some_and(|pid| pid != victim));
        if fresh { Ok(ready) } else { Err(format!("{ready:?}")) }
    })
    .await;

    // Killed once more, and Ctrl-C before it is started again.
    signal(healed.nodes[1].pid.unwrap(), Signal::SIGKILL);
    demo.process.signal(Signal::SIGINT);
    let status = tokio::task::block_in_place(|| demo.process.wait(STOPS_WITHIN));
    assert!(status.success(), "{status}\n{}", demo.printed());
    assert_eq!(left_over(&healed), Vec::<String>::new(), "{}", demo.printed());
    assert!(!demo.ready_file.exists(), "the ready file goes with the demo");
    assert!(!ready.token.is_empty() && demo.printed().contains(&ready.token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_demo_takes_its_processes_along() {
    let _machine = cluster::machine().await;
    let data = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(&["--data", path(data.path()), "--shards", "2"]);
    let ready = demo.ready().await;
    tokio::task::block_in_place(|| demo.process.kill());
    wait::until("no process of the demo", async || {
        let left: Vec<_> = left_over(&ready)
            .into_iter()
            .filter(|left| left.starts_with("process"))
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_ends_by_itself_when_its_time_is_up() {
    let _machine = cluster::machine().await;
    let mut demo = Demo::start(&["--nodes", "1", "--shards", "2", "--for", "1"]);
    let ready = demo.ready().await;
    let status = tokio::task::block_in_place(|| demo.process.wait(STOPS_WITHIN));
    assert!(status.success(), "{status}\n{}", demo.printed());
    assert_eq!(left_over(&ready), Vec::<String>::new(), "{}", demo.printed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_during_the_start_leaves_nothing() {
    let _machine = cluster::machine().await;
    let data = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(&["--data", path(data.path())]);
    wait::until("the first node's data", async || {
        if data.path().join("node-1").exists() {
            Ok(())
        } else {
            Err("not there".to_owned())
        }
    })
    .await;
    demo.process.signal(Signal::SIGTERM);
    let status = tokio::task::block_in_place(|| demo.process.wait(STOPS_WITHIN));
    assert!(status.success(), "{status}\n{}", demo.printed());
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "{}", demo.printed());
    assert!(!demo.ready_file.exists());
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
