//! Debian's nginx, which serves an answer's bytes from a file.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Server;
use crate::bench::peers;
use crate::ports;
use crate::process::{Process, Recipe};

/// How long nginx may take to listen.
const LISTENS: Duration = Duration::from_secs(5);

/// A running one. Ends when dropped.
pub(super) struct Nginx {
    pub(super) server: Server,
    process: Process,
}

impl Nginx {
    /// With as many workers as the router has by default, without a log, and a file that it keeps open.
    pub(super) async fn start(folder: &Path, body: &[u8]) -> Result<Self, String> {
        let folder = folder.join("nginx");
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder.join("served")).map_err(failed)?;
        fs::write(folder.join("served").join("month.json"), body).map_err(failed)?;
        let version = peers::said(std::process::Command::new("nginx").arg("-v"))?;
        let version = version.trim().rsplit(' ').next().unwrap_or("nginx").to_owned();
        let address = ports::free();
        let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let place = folder.display();
        let settings = format!(
            "daemon off;\nworker_processes {workers};\npid {place}/pid;\nerror_log {place}/error.log;\n\
             events {{ worker_connections 16384; }}\n\
             http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 100000000;\n  \
             open_file_cache max=16;\n  types {{ application/json json; }}\n  \
             client_body_temp_path {place}/body;\n  proxy_temp_path {place}/proxy;\n  fastcgi_temp_path {place}/fastcgi;\n  \
             uwsgi_temp_path {place}/uwsgi;\n  scgi_temp_path {place}/scgi;\n  \
             server {{ listen {address} backlog=4096; root {place}/served; }}\n}}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, settings).map_err(failed)?;
        let process = Process::start(Recipe {
            name: "nginx".to_owned(),
            program: "nginx".into(),
            arguments: ["-c", &file.display().to_string(), "-e", &format!("{place}/error.log")]
                .map(str::to_owned)
                .to_vec(),
            environment: Vec::new(),
            log: folder.join("server.log"),
        });
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if begun.elapsed() > LISTENS {
                let said = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
                return Err(format!("it does not listen: {}", said.trim()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let server = Server {
            who: version,
            address,
            path: "/month.json".to_owned(),
            pids: children(process.pid()),
        };
        Ok(Self { server, process })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // By SIGTERM: the first process takes its workers along, which outlive it where it is killed.
        self.process.terminate();
    }
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
