//! `rotunda health`: one process's `/readyz` or `/livez`, as an exit code. An image without a shell has nothing else to ask
//! with, so it is this that its health check runs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::args::HealthArguments;
use crate::failure::Failure;

/// Shorter than what a health check is given.
const DEADLINE: Duration = Duration::from_secs(2);

/// Runs the command.
pub(crate) async fn run(arguments: HealthArguments) -> Result<(), Failure> {
    let base = base(&arguments.admin)?;
    let url = if arguments.live {
        format!("{base}/livez")
    } else {
        format!("{base}/readyz?verbose")
    };
    let asked = async {
        // Never by way of a proxy: it is this process and no other that is asked.
        let http = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build()?;
        let response = http.get(&url).send().await?;
        let fine = response.status().is_success();
        Ok::<_, reqwest::Error>((fine, response.text().await?))
    };
    match asked.await {
        Ok((true, _)) => {
            println!("ok");
            Ok(())
        }
        Ok((false, text)) => {
            let failure = Failure::failed(format!("{url} says no"));
            let reasons = text.lines().filter(|line| line.starts_with("[-]"));
            Err(reasons
                .fold(failure, |failure, line| failure.detail(line))
                .next("wait where it has just started; else look into its log"))
        }
        Err(error) => Err(Failure::failed(format!("no answer from {url}: {}", cause(&error)))
            .next("check that --admin is what the process listens on, and that it runs")),
    }
}

/// What lies at the bottom of it: "connection refused" rather than "error sending request".
pub(crate) fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The URL of an admin port, given as a URL or as what a server listens on.
pub(crate) fn base(admin: &str) -> Result<String, Failure> {
    if admin.starts_with("http://") {
        return Ok(admin.trim_end_matches('/').to_owned());
    }
    let address: SocketAddr = admin.parse().map_err(|_| {
        Failure::usage(format!("`{admin}` is no address"))
            .next("write --admin 127.0.0.1:7101 or --admin http://HOST:PORT")
    })?;
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(host, address.port())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_a_server_listens_on_is_where_it_is_asked() {
        for (admin, url) in [
            ("0.0.0.0:7101", "http://127.0.0.1:7101"),
            ("[::]:9090", "http://[::1]:9090"),
            ("10.0.0.1:7101", "http://10.0.0.1:7101"),
            ("http://node-1:7101/", "http://node-1:7101"),
        ] {
            assert_eq!(base(admin).unwrap(), url);
        }
        assert!(format!("{:?}", base("node-1").expect_err("no port")).contains("--admin"));
    }
}
