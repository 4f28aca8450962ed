//! A real router whose settings change under it: SIGHUP reads its quotas anew, and a file that cannot be used changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// It ends with the test.
struct Router {
    process: Child,
    http: SocketAddr,
    admin: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Router {
    /// No node is there, which the head of an answer does not care about.
    fn start(config: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_rotunda-router"))
            .args([
                "--http",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--node",
                "http://127.0.0.1:1",
            ])
            .args(["--log", "info", "--log-format", "json", "--config"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (http, admin) = lines
            .by_ref()
            .find_map(|line| {
                let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
                let address = |name: &str| line[name].as_str()?.parse().ok();
                address("http").zip(address("admin"))
            })
            .expect("it says where it serves");
        let said = Arc::new(Mutex::new(String::new()));
        let hears = Arc::clone(&said);
        std::thread::spawn(move || lines.for_each(|line| hears.lock().unwrap().push_str(&line.unwrap())));
        Self {
            process,
            http,
            admin,
            said,
        }
    }

    fn hang_up(&self) {
        let process = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-HUP", &process])
                .status()
                .unwrap()
                .success()
        );
    }

    /// How many requests the head of an answer speaks of.
    fn quota(&self) -> String {
        let head = get(self.http, "/v1/venues").to_ascii_lowercase();
        let policy = head
            .split("ratelimit-policy: \"burst\";q=")
            .nth(1)
            .expect("there is a policy");
        policy.split(';').next().unwrap().to_owned()
    }

    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn get(at: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn sighup_reads_the_quotas_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("router.toml");
    std::fs::write(&file, "rate_limit_loopback = \"5000/10s\"\n").unwrap();
    let router = Router::start(&file);
    assert_eq!(router.quota(), "5000");

    std::fs::write(&file, "rate_limit_loopback = \"7000/10s\"\n").unwrap();
    router.hang_up();
    router.until("the second quota", |router| router.quota() == "7000");
    assert!(get(router.admin, "/limits").contains("7000/10s"));

    // What cannot be used is said, and changes nothing; a later file is read all the same.
    std::fs::write(&file, "rate_limit_loopback = \"many\"\n").unwrap();
    router.hang_up();
    router.until("a complaint", |router| {
        router.said.lock().unwrap().contains("quotas and log stay as they were")
    });
    assert_eq!(router.quota(), "7000");
    std::fs::write(&file, "rate_limit_loopback = \"9000/10s\"\n").unwrap();
    router.hang_up();
    router.until("the third quota", |router| router.quota() == "9000");
}
