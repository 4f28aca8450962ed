//! The servers under a supervisor that speaks `sd_notify`, played by the test: they say when they serve, show life while
//! they run and say when they stop; a node that is paused shows none.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use rotunda_chaos::process::{Process, Recipe};
use rotunda_chaos::{binaries, ports, wait};

/// So long without a sign of life and systemd would end the process; it shows one twice as often.
const WATCHDOG: Duration = Duration::from_millis(400);
/// Longer than anything here takes; what does not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The socket that a supervised process reports to.
struct Supervisor(UnixDatagram);

impl Supervisor {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Supervisor(socket)
    }

    /// The next notice.
    fn hears(&self) -> String {
        let mut notice = [0; 512];
        let length = self.0.recv(&mut notice).expect("a notice in time");
        String::from_utf8_lossy(&notice[..length]).trim().to_owned()
    }

    /// Waits for `notice` and passes over signs of life.
    fn waits_for(&self, notice: &str) {
        loop {
            let heard = self.hears();
            if heard == notice {
                return;
            }
            assert_eq!(heard, "WATCHDOG=1", "while waiting for {notice}");
        }
    }

    fn has_heard_nothing(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let heard = self.0.recv(&mut [0; 512]);
        self.0.set_nonblocking(false).unwrap();
        heard.is_err()
    }
}

fn supervised(folder: &Path, name: &str, arguments: &[&str]) -> (Supervisor, Process) {
    let socket = folder.join(format!("{name}.notify"));
    let supervisor = Supervisor::at(&socket);
    let process = Process::start(Recipe {
        name: name.to_owned(),
        program: binaries::path(name),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        environment: vec![
            ("NOTIFY_SOCKET".to_owned(), socket.display().to_string()),
            ("WATCHDOG_USEC".to_owned(), WATCHDOG.as_micros().to_string()),
        ],
        log: folder.join(format!("{name}.log")),
    });
    (supervisor, process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_says_that_it_serves_lives_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (grpc, admin) = (ports::free().to_string(), ports::free().to_string());
    let (peer, data) = (format!("1=http://{grpc}"), folder.path().join("data"));
    let arguments = [
        ["--node-id", "1"],
        ["--cluster", "supervised"],
        ["--replication", "1"],
        ["--shards", "1"],
        ["--peer", &peer],
        ["--data", data.to_str().unwrap()],
        ["--grpc", &grpc],
        ["--admin", &admin],
    ];
    let (supervisor, mut node) = supervised(folder.path(), "rotunda-node", &arguments.concat());

    supervisor.waits_for("READY=1");
    // Somebody listens, at once. A node without data says so while it waits to be let in, and hands its ports over when it is: a
    // question of just then may be cut off.
    let listens = tokio::net::TcpStream::connect(&admin).await;
    assert!(listens.is_ok(), "READY=1 was said before anything was served");
    wait::until("the node to say that it lives", async || {
        let live = reqwest::get(format!("http://{admin}/livez")).await;
        let live = live.map_err(|error| error.to_string())?;
        live.status()
            .is_success()
            .then_some(())
            .ok_or_else(|| live.status().to_string())
    })
    .await;
    supervisor.waits_for("WATCHDOG=1");
    supervisor.waits_for("WATCHDOG=1");

    // What was said before the pause is read; after that nothing can come.
    node.pause();
    while !supervisor.has_heard_nothing() {}
    tokio::time::sleep(WATCHDOG * 2).await;
    assert!(supervisor.has_heard_nothing(), "a node that does not turn showed life");
    node.resume();
    supervisor.waits_for("WATCHDOG=1");

    node.signal_to_end();
    supervisor.waits_for("STOPPING=1");
    // Nobody reads from here on, and a full socket must not hold it up.
    assert!(node.wait(PATIENCE).success(), "{}", node.tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_says_that_it_serves_lives_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (http, admin, nobody) = (
        ports::free().to_string(),
        ports::free().to_string(),
        format!("http://{}", ports::free()),
    );
    // It serves before any node answers: units of routers and nodes start in any order.
    let arguments = [["--http", &http], ["--admin", &admin], ["--node", &nobody]];
    let (supervisor, mut router) = supervised(folder.path(), "rotunda-router", &arguments.concat());

    supervisor.waits_for("READY=1");
    let live = reqwest::get(format!("http://{http}/livez")).await.unwrap();
    assert!(
        live.status().is_success(),
        "READY=1 was said before anything was served"
    );
    supervisor.waits_for("WATCHDOG=1");
    supervisor.waits_for("WATCHDOG=1");

    router.signal_to_end();
    supervisor.waits_for("STOPPING=1");
    assert!(router.wait(PATIENCE).success(), "{}", router.tail());
}
