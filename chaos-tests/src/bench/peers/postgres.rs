//! PostgreSQL, one node: a conditional update and an insert in one prepared statement, every commit synced.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Uid, User};

use super::{Figure, output, seconds};
use crate::ports;

const PROMISE: &str = "synced on one machine, not replicated";
/// The account that Debian's package makes: the server refuses to run as root.
const ACCOUNT: &str = "postgres";
/// Where Debian keeps the programs of each version.
const LIBRARY: &str = "/usr/lib/postgresql";
const SPREAD: u32 = 1_000;

/// Places of a slot: more than are taken.
const SCHEMA: &str = "
    create table slot (id int primary key, capacity int not null, taken int not null) with (fillfactor = 50);
    insert into slot select id, 2000000000, 0 from generate_series(1, 1000) id;
    create table booking (key uuid primary key, slot int not null, made timestamptz not null default now());";

fn hold(slot: &str) -> String {
    format!(
        "{slot}\nwith place as (update slot set taken = taken + 1 where id = :slot and taken < capacity returning id) \
         insert into booking (key, slot) select gen_random_uuid(), id from place;\n"
    )
}

/// A server in a folder of its own, stopped when it is dropped.
struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: String,
}

impl Server {
    fn start(folder: &Path) -> Result<Self, String> {
        let server = Server {
            programs: programs()?,
            folder: folder.to_owned(),
            port: ports::free().port().to_string(),
        };
        let text = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(text)?;
        if Uid::effective().is_root() {
            let user = User::from_name(ACCOUNT).ok().flatten();
            let user = user.ok_or_else(|| format!("there is no account {ACCOUNT} to run it as"))?;
            chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(text)?;
        }
        let data = server.data();
        output(
            server
                .program("initdb")
                .args(["--auth=trust", "--no-sync", "-U", "bench", "-D", &data]),
        )?;
        // As a shop would set it on this machine; commits are synced, which is the default and the point.
        let settings = [
            "fsync=on",
            "synchronous_commit=on",
            "shared_buffers=512MB",
            "max_wal_size=8GB",
            "checkpoint_timeout=30min",
            "wal_compression=on",
            "max_connections=300",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
        ];
        let settings: String = settings.iter().map(|setting| format!(" -c {setting}")).collect();
        let options = format!("-p {}{settings}", server.port);
        let log = format!("{}/server.log", folder.display());
        output(
            server
                .program("pg_ctl")
                .args(["start", "-w", "-D", &data, "-l", &log, "-o", &options]),
        )?;
        output(
            server
                .client("psql")
                .args(["-q", "-v", "ON_ERROR_STOP=1", "-c", SCHEMA]),
        )?;
        Ok(server)
    }

    fn data(&self) -> String {
        format!("{}/data", self.folder.display())
    }

    /// A program of the server's, as whoever may run it.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        if !Uid::effective().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"])
            .arg(program);
        command.current_dir("/");
        command
    }

    fn client(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-U", "bench", "-d", "postgres"]);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        let _ = output(self.program("pg_ctl").args(["stop", "-m", "immediate", "-D", &data]));
    }
}

/// The newest version's programs.
fn programs() -> Result<PathBuf, String> {
    let versions = fs::read_dir(LIBRARY).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin"))
        .filter(|programs| {
            programs
                .join("initdb")
                .metadata()
                .is_ok_and(|found| found.mode() & 0o111 != 0)
        })
        .filter(|programs| programs.join("pgbench").exists())
        .collect();
    folders.sort();
    let newest = folders.pop();
    newest.ok_or_else(|| "it is not installed: `make bench-peers` does, or `apt-get install postgresql`".to_owned())
}

/// Measures the hot slot and a thousand slots.
pub(super) fn measure(folder: &Path, span: Duration) -> Result<Vec<Figure>, String> {
    let server = Server::start(folder)?;
    let version = output(Command::new(server.programs.join("postgres")).arg("--version"))?;
    let version = version.split_whitespace().nth(2).unwrap_or("?").to_owned();
    let mut figures = Vec::new();
    let hot = ("hot slot", hold("\\set slot 1"));
    let spread = ("1,000 slots", hold(&format!("\\set slot random(1, {SPREAD})")));
    for ((work, script), clients) in [(&hot, 1), (&hot, 8), (&hot, 64), (&spread, 64)] {
        let file = folder.join("script.sql");
        fs::write(&file, script).map_err(|error| error.to_string())?;
        let (count, jobs) = (clients.to_string(), clients.min(2).to_string());
        let mut pgbench = server.client("pgbench");
        pgbench
            .args([
                "-n",
                "-M",
                "prepared",
                "-c",
                &count,
                "-j",
                &jobs,
                "-T",
                &seconds(span),
                "-f",
            ])
            .arg(&file);
        let said = output(&mut pgbench)?;
        figures.push(Figure {
            who: format!("PostgreSQL {version}"),
            promise: PROMISE,
            work: format!("{work}: conditional update and insert in one statement, prepared"),
            clients,
            rate: number_after(&said, "tps = ").ok_or_else(|| format!("pgbench said: {said}"))?,
            p50_us: None,
            p99_us: None,
        });
    }
    Ok(figures)
}

fn number_after(text: &str, mark: &str) -> Option<f64> {
    let (_, rest) = text.split_once(mark)?;
    rest.split_whitespace().next()?.parse().ok()
}
