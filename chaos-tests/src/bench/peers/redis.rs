//! Redis, one node: a Lua script that checks, takes and notes, with every write in an append-only file that is synced before
//! it is answered (`appendfsync always`).

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Figure, output};
use crate::ports;
use crate::process::{Process, Recipe};

const PROMISE: &str = "synced on one machine, not replicated";
const HOLD: &str = "if redis.call('DECR', KEYS[1]) < 0 then redis.call('INCR', KEYS[1]) return 0 end \
                    redis.call('SET', KEYS[2], KEYS[1]) return 1";
/// Requests of the first try, from which the length of the real one is worked out.
const TRY: u64 = 20_000;

fn benchmark(port: &str, sha: &str, requests: u64, clients: usize, pipeline: usize) -> Result<String, String> {
    let (requests, clients, pipeline) = (requests.to_string(), clients.to_string(), pipeline.to_string());
    output(Command::new("redis-benchmark").args([
        "-p",
        port,
        "--csv",
        "-n",
        &requests,
        "-c",
        &clients,
        "-P",
        &pipeline,
        "-r",
        "1000000000000",
        "EVALSHA",
        sha,
        "2",
        "places",
        "booking:__rand_int__",
    ]))
}

/// The columns of the one line of figures: requests a second, then latencies in milliseconds: average, least, p50, p95, p99, most.
fn columns(csv: &str) -> Result<Vec<f64>, String> {
    let line = csv.lines().last().unwrap_or_default();
    let columns = line
        .rsplit("\",\"")
        .map(|column| column.trim_matches('"').parse::<f64>().ok());
    let mut columns: Vec<f64> = columns.map_while(|column| column).collect();
    columns.reverse();
    if columns.len() >= 7 {
        Ok(columns)
    } else {
        Err(format!("redis-benchmark said: {csv}"))
    }
}

/// Measures the hot slot.
pub(super) fn measure(folder: &Path, span: Duration) -> Result<Vec<Figure>, String> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let said = output(Command::new("redis-server").arg("--version"))?;
    let version = said
        .split("v=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or("?")
        .to_owned();
    let port = ports::free().port().to_string();
    let place = folder.display().to_string();
    let arguments = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--dir",
        &place,
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--save",
        "",
        "--auto-aof-rewrite-percentage",
        "0",
    ];
    let _server = Process::start(Recipe {
        name: "redis-server".to_owned(),
        program: "redis-server".into(),
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: Vec::new(),
        log: folder.join("server.log"),
    });
    let cli = |words: &[&str]| output(Command::new("redis-cli").args(["-p", &port]).args(words));
    for _ in 0..100 {
        if cli(&["ping"]).is_ok_and(|said| said.trim() == "PONG") {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    cli(&["set", "places", "2000000000"])?;
    let sha = cli(&["script", "load", HOLD])?;
    let sha = sha.trim();
    let mut figures = Vec::new();
    for (clients, pipeline) in [(1, 1), (64, 1), (256, 1), (32, 64)] {
        let first = columns(&benchmark(&port, sha, TRY, clients, pipeline)?)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of requests"
        )]
        let requests = (first[0] * span.as_secs_f64()) as u64;
        let found = columns(&benchmark(&port, sha, requests.max(TRY), clients, pipeline)?)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds")]
        let micros = |milliseconds: f64| Some((milliseconds * 1_000.0) as u64);
        figures.push(Figure {
            who: format!("Redis {version}"),
            promise: PROMISE,
            work: match pipeline {
                1 => "hot slot: Lua, append-only file always synced".to_owned(),
                pipeline => format!("hot slot: the same, {pipeline} in a pipeline of each client"),
            },
            clients: clients * pipeline,
            rate: found[0],
            p50_us: micros(found[3]),
            p99_us: micros(found[5]),
        });
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_figures_is_read_from_its_end() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
                   \"EVALSHA, 2 places \",\"91345.60\",\"2.1\",\"0.4\",\"2.0\",\"3.0\",\"4.5\",\"9.9\"\n";
        assert_eq!(columns(csv), Ok(vec![91_345.60, 2.1, 0.4, 2.0, 3.0, 4.5, 9.9]));
        assert!(columns("Could not connect").is_err());
    }
}
