//! Debian's wrk as the clients: one thread, each request from the next visitor's address, as ours do.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use super::{Looking, Served, Server, cores};

/// Asks a server; tells why not where wrk is not there or says nothing that can be read.
pub(super) async fn serve(looking: &Looking, server: &Server, folder: &Path) -> Result<Served, String> {
    let script = folder.join("visitors.lua");
    fs::write(&script, visitors(looking.visitors)).map_err(|error| format!("{}: {error}", script.display()))?;
    let url = format!("http://{}{}", server.address, server.path);
    let (meter, begun) = (server.meter(), Instant::now());
    // Its warm-up counts: over this many seconds it weighs little.
    let seconds = (looking.warm_up + looking.span).as_secs().max(1);
    let output = tokio::process::Command::new("wrk")
        .args(["--threads", "1", "--latency", "--timeout", "30s"])
        .args(["--connections", &looking.connections.max(1).to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .arg("--script")
        .arg(&script)
        .arg(&url)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| format!("{error}; `.ci/setup peers` installs it"))?;
    let cores = cores(&meter, begun);
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let figures = Figures::read(&said).ok_or_else(|| format!("it said what cannot be read: {}", said.trim()))?;
    Ok(Served {
        who: server.who.clone(),
        rate: figures.rate,
        answered: figures.requests.saturating_sub(figures.refused),
        failed: figures.refused + figures.broken,
        p50_us: figures.p50_us,
        p99_us: figures.p99_us,
        cores,
    })
}

/// A script that has each request come from the next address, in the eyes of a server that trusts this machine as a proxy.
fn visitors(count: usize) -> String {
    format!(
        "local n = 0\n\
         request = function()\n  \
           n = (n + 1) % {}\n  \
           wrk.headers[\"x-forwarded-for\"] = \"10.\" .. math.floor(n / 65536) .. \".\" .. math.floor(n / 256) % 256 .. \".\" .. n % 256\n  \
           return wrk.format()\n\
         end\n",
        count.max(1)
    )
}

/// What wrk prints.
#[derive(Debug, PartialEq)]
struct Figures {
    rate: f64,
    requests: u64,
    /// Answers that are neither 2xx nor 3xx.
    refused: u64,
    /// Connections that could not be made or broke, and answers that did not come.
    broken: u64,
    p50_us: u64,
    p99_us: u64,
}

impl Figures {
    fn read(said: &str) -> Option<Self> {
        let after = |label: &str| {
            let line = said.lines().find_map(|line| line.trim().strip_prefix(label));
            line.map(str::trim)
        };
        let requests = said.lines().find_map(|line| line.trim().split_once(" requests in "));
        let broken = after("Socket errors:").unwrap_or_default();
        Some(Figures {
            rate: after("Requests/sec:")?.parse().ok()?,
            requests: requests?.0.parse().ok()?,
            refused: after("Non-2xx or 3xx responses:").map_or(Some(0), |count| count.parse().ok())?,
            broken: broken
                .split([' ', ','])
                .filter_map(|word| word.parse::<u64>().ok())
                .sum(),
            p50_us: micros(after("50%")?)?,
            p99_us: micros(after("99%")?)?,
        })
    }
}

/// `812.00us`, `1.25ms`, `3.40s`.
fn micros(text: &str) -> Option<u64> {
    let (number, unit) = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?.parse::<f64>().ok()?, unit)))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time that was printed"
    )]
    Some((number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_read() {
        let said = "Running 5s test @ http://127.0.0.1:8080/x\n  1 threads and 64 connections\n  \
            Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.59ms    2.51ms  41.29ms   94.43%\n  \
            Latency Distribution\n     50%  812.00us\n     75%    1.61ms\n     90%    2.80ms\n     99%   13.02ms\n  \
            259904 requests in 5.02s, 1.10GB read\n  Socket errors: connect 0, read 3, write 0, timeout 2\n  \
            Non-2xx or 3xx responses: 17\nRequests/sec:  51779.31\nTransfer/sec:    224.57MB\n";
        let figures = Figures {
            rate: 51_779.31,
            requests: 259_904,
            refused: 17,
            broken: 5,
            p50_us: 812,
            p99_us: 13_020,
        };
        assert_eq!(Figures::read(said), Some(figures));
        let sound = said.replace("  Non-2xx or 3xx responses: 17\n", "");
        assert_eq!(Figures::read(&sound).map(|figures| figures.refused), Some(0));
        assert_eq!(
            Figures::read("unable to connect to 127.0.0.1:1 Connection refused"),
            None
        );
    }
}
