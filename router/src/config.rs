//! Settings of the router: flags, then `ROTUNDA_*` variables, then a TOML file, then defaults.
//!
//! `main` calls [`Config::load`]; tests build a [`Config`] by hand from [`Config::default`]. Each setting has one name,
//! spelled `--max-in-flight` as a flag, `ROTUNDA_MAX_IN_FLIGHT` as a variable and `max_in_flight` in the file. A key that
//! the file spells wrongly is refused; a variable that is not ours (`ROTUNDA_BIN_DIR` is the command line's) is passed over.

mod certificates;
mod flags;
mod span;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser as _;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use rotunda_service::settings_file::{self, Mistake};
use rotunda_telemetry::logs::{self, Format as LogFormat};
use rotunda_telemetry::traces::{self, TraceError};
use rotunda_tls::files::TlsSettings;
use serde::{Deserialize, Deserializer, Serialize};

use crate::auth::{Cidr, TokenSetting, Tokens};
use crate::claim_keys::{ClaimKeySetting, MAX_CLAIM_KEYS};
use crate::rate_limit::{self, LimitSetting, Quota, VenueLimitSetting};

use flags::{Flags, VARIABLES};

pub use certificates::HttpsSettings;
pub use span::Span;

/// Most threads: far beyond any machine, and below where starting them fails.
const MAX_WORKERS: usize = 1_024;

/// Most requests and most connections: more than any machine has sockets for.
const MAX_COUNT: usize = 1_000_000;

/// Every setting, with its value worked out.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where visitors' requests come in.
    pub http: SocketAddr,
    /// Where visitors' requests come in under TLS, and with what certificate.
    pub https: HttpsSettings,
    /// Where `/livez`, `/readyz`, `/metrics` and the page for people are answered. Not for the public.
    pub admin: SocketAddr,
    /// Certificates for the nodes, which then are https://.
    pub tls: TlsSettings,
    /// gRPC addresses of nodes to learn the shard map from.
    #[serde(deserialize_with = "list")]
    pub node: Vec<String>,
    /// Secrets that open `/v1/admin`.
    #[serde(deserialize_with = "list")]
    pub admin_token: Vec<String>,
    /// A file whose lines are admin tokens: keeps them out of the process list.
    pub admin_token_file: Option<PathBuf>,
    /// Named tokens (file only).
    pub token: Vec<TokenSetting>,
    /// Whose claims of membership are believed (file only).
    pub claim_key: Vec<ClaimKeySetting>,
    /// Peers whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "list")]
    pub trusted_proxy: Vec<Cidr>,
    /// Quota of a caller without a token, by address.
    pub rate_limit: Quota,
    /// Quota of each token.
    pub rate_limit_token: Quota,
    /// Quota of callers on this machine.
    pub rate_limit_loopback: Quota,
    /// Quota of all callers together at each venue.
    pub rate_limit_venue: Quota,
    /// Quotas of roles and classes of routes, in place of those above (file only).
    pub limit: Vec<LimitSetting>,
    /// Quotas of single venues, in place of `rate_limit_venue` (file only).
    pub venue_limit: Vec<VenueLimitSetting>,
    /// Requests worked on at once; the next one is refused with 503.
    pub max_in_flight: usize,
    /// Open connections; the next one is told 503 and closed.
    pub max_connections: usize,
    /// Open connections of one client address that is no trusted proxy; the next one is told 503 and closed.
    pub max_connections_per_address: usize,
    /// The same of this machine, where proxies and tests are.
    pub max_connections_loopback: usize,
    /// Venues whose change streams are followed at once, because somebody looks at them; availability of others is asked
    /// for at each look.
    pub live_venues: usize,
    /// Event streams of availability open at once; the next one is refused with 503.
    pub live_streams: usize,
    /// Of these, open to one caller; the next one is refused with 429.
    pub live_streams_per_caller: usize,
    /// How long a request may take, the router's retries included.
    pub request_deadline: Span,
    /// How long a catalogue import may take.
    pub import_deadline: Span,
    /// How long a client may take to send a request's head, and how long it may take nothing of an answer.
    pub header_timeout: Span,
    /// On SIGTERM: how long `/readyz` says 503 before the port closes, so that balancers look away first.
    pub drain_delay: Span,
    /// On SIGTERM: how long requests in flight may take to finish.
    pub drain_timeout: Span,
    /// Threads that serve requests. Nodes on the same machine want the others.
    pub workers: usize,
    /// What is logged, as `info` or `rotunda_router=debug,info`.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// A collector that traces are sent to, by OTLP over gRPC. None are made where there is none.
    pub traces_endpoint: Option<String>,
    /// The share of traces kept that no caller has decided about.
    pub traces_ratio: f64,
    /// How often every shard is probed; not at all where it is nothing.
    pub probe_interval: Span,
    /// How long a probe of a shard may take.
    pub probe_timeout: Span,
    /// Drain and stop when standard input ends.
    pub exit_with_parent: bool,
    /// Say whether the settings can be used, and stop (flag only).
    #[serde(skip)]
    pub check_config: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            https: HttpsSettings::default(),
            admin: SocketAddr::from(([127, 0, 0, 1], 9090)),
            tls: TlsSettings::default(),
            node: vec!["http://127.0.0.1:7001".to_owned()],
            admin_token: Vec::new(),
            admin_token_file: None,
            token: Vec::new(),
            claim_key: Vec::new(),
            trusted_proxy: Vec::new(),
            rate_limit: Quota::per(20, Duration::from_secs(2)),
            rate_limit_token: Quota::per(100_000, Duration::from_secs(10)),
            rate_limit_loopback: Quota::per(1_000_000, Duration::from_secs(10)),
            rate_limit_venue: Quota::off(),
            limit: Vec::new(),
            venue_limit: Vec::new(),
            max_in_flight: 4_096,
            max_connections: 10_000,
            max_connections_per_address: 256,
            max_connections_loopback: MAX_COUNT,
            live_venues: 256,
            live_streams: 8_000,
            live_streams_per_caller: 64,
            request_deadline: Span(Duration::from_secs(10)),
            import_deadline: Span(Duration::from_secs(120)),
            header_timeout: Span(Duration::from_secs(10)),
            drain_delay: Span(Duration::ZERO),
            drain_timeout: Span(Duration::from_secs(15)),
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            traces_endpoint: None,
            traces_ratio: 0.01,
            probe_interval: Span(Duration::from_secs(5)),
            probe_timeout: Span(Duration::from_secs(3)),
            exit_with_parent: false,
            check_config: false,
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is wrong or a key is not known.
    #[error("a setting cannot be used: {0}. `rotunda-router --help` lists them all")]
    Setting(String),
    /// The file is wrong, and on which line.
    // Boxed, and no source: it is in the message already, and whoever prints the chain of sources would say it twice.
    #[error("{0}\nRun `rotunda-router --help` for all settings.")]
    Mistake(Box<str>),
    /// The file is not there.
    #[error("cannot read {path}: {cause}. Check the path given to {given_by}")]
    File {
        /// Which file.
        path: PathBuf,
        /// The flag or variable that named it.
        given_by: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl Config {
    /// Settings of this process. Prints help or a usage error and exits where the arguments ask for it.
    ///
    /// # Errors
    /// Where a value cannot be used or a file cannot be read.
    pub fn load() -> Result<Self, ConfigError> {
        Self::from_flags(Flags::parse())
    }

    /// Settings from these arguments (the first is the program's name), the environment and the file they name.
    ///
    /// # Errors
    /// As [`Config::load`]; a usage error is a [`ConfigError::Setting`].
    pub fn from_arguments<I, A>(arguments: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item = A>,
        A: Into<std::ffi::OsString> + Clone,
    {
        Self::from_flags(Flags::try_parse_from(arguments).map_err(|error| ConfigError::Setting(error.to_string()))?)
    }

    fn from_flags(flags: Flags) -> Result<Self, ConfigError> {
        let file = match &flags.config {
            Some(path) => Some((path.clone(), "--config")),
            None => std::env::var_os("ROTUNDA_CONFIG").map(|path| (PathBuf::from(path), "ROTUNDA_CONFIG")),
        };
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        let check_config = flags.check_config;
        let mut text = None;
        if let Some((path, given_by)) = file {
            let read = read(&path, given_by)?;
            // By itself first, for the line of what is wrong; figment would name the key alone.
            settings_file::read::<Config>(&path, &read).map_err(mistake)?;
            figment = figment.merge(Toml::string(&read));
            text = Some((path, read));
        }
        if let Ok(tokens) = std::env::var("ROTUNDA_ADMIN_TOKEN") {
            figment = figment.merge(Serialized::default("admin_token", tokens));
        }
        let figment = figment
            .merge(Env::prefixed("ROTUNDA_").only(VARIABLES))
            .merge(Serialized::defaults(flags));
        let mut config: Config = figment
            .extract()
            .map_err(|error| ConfigError::Setting(error.to_string()))?;
        config.check_config = check_config;
        // Only where it is the file's value that counts, and not one laid over it.
        let on_its_line = |key: &str, problem: &str| match &text {
            Some((path, text)) if from_file(&figment, key) => Some(mistake(Mistake::at_key(path, text, key, problem))),
            _ => None,
        };
        if let Some(path) = &config.admin_token_file {
            let tokens = read(path, "admin_token_file")
                .map_err(|error| on_its_line("admin_token_file", &error.to_string()).unwrap_or(error))?;
            config.admin_token.extend(
                tokens
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned),
            );
        }
        match config.check() {
            Ok(()) => Ok(config),
            Err(Wrong { key, problem }) => Err(on_its_line(&key, &problem).unwrap_or(ConfigError::Setting(problem))),
        }
    }

    fn check(&self) -> Result<(), Wrong> {
        if self.node.is_empty() {
            return wrong("node", "no node is named; give at least one --node http://host:port");
        }
        let secured = certificates::check(&self.tls, &self.https)?;
        let scheme = if secured { "https" } else { "http" };
        let is_wrong = |node: &&String| !node.starts_with(&format!("{scheme}://"));
        if let Some(bad) = self.node.iter().find(is_wrong) {
            let problem = match bad.split_once("://") {
                None => format!("--node {bad} has no scheme; write {scheme}://{bad}"),
                Some((_, bare)) if secured => {
                    format!("--node {bad}: with [tls] nodes are called under https; write https://{bare}")
                }
                Some((_, bare)) => format!(
                    "--node {bad}: without [tls] nodes are called under http; write http://{bare}, or give this router a certificate"
                ),
            };
            return wrong("node", problem);
        }
        if !(1..=MAX_WORKERS).contains(&self.workers) {
            return wrong("workers", format!("workers must be 1 to {MAX_WORKERS}"));
        }
        for (key, count, least) in [
            ("max_in_flight", self.max_in_flight, 1),
            ("max_connections", self.max_connections, 1),
            ("max_connections_per_address", self.max_connections_per_address, 1),
            ("max_connections_loopback", self.max_connections_loopback, 1),
            ("live_venues", self.live_venues, 0),
            ("live_streams", self.live_streams, 0),
            ("live_streams_per_caller", self.live_streams_per_caller, 0),
        ] {
            if !(least..=MAX_COUNT).contains(&count) {
                return wrong(key, format!("{key} must be {least} to {MAX_COUNT}"));
            }
        }
        rate_limit::check(&self.limit, &self.venue_limit).map_err(|(key, problem)| Wrong { key, problem })?;
        if self.claim_key.len() > MAX_CLAIM_KEYS {
            return wrong(
                &format!("claim_key[{MAX_CLAIM_KEYS}]"),
                format!(
                    "at most {MAX_CLAIM_KEYS} keys of claims can be configured; take those out that nobody signs with any more"
                ),
            );
        }
        if let Err(error) = Tokens::new(self) {
            let named = |name| self.token.iter().rposition(|token| Some(token.name.as_str()) == name);
            let key = named(error.token()).map_or("admin_token".to_owned(), |index| format!("token[{index}]"));
            return wrong(&key, error.to_string());
        }
        for (key, span) in [
            ("request_deadline", self.request_deadline),
            ("import_deadline", self.import_deadline),
            ("header_timeout", self.header_timeout),
            ("probe_timeout", self.probe_timeout),
        ] {
            if span.0.is_zero() {
                return wrong(key, format!("{key} must be longer than nothing, as 10s"));
            }
        }
        logs::check(&self.log).or_else(|error| wrong("log", error.to_string()))?;
        if let Some(endpoint) = &self.traces_endpoint {
            traces::check(endpoint, self.traces_ratio).or_else(|error| {
                let key = match error {
                    TraceError::Ratio(_) => "traces_ratio",
                    _ => "traces_endpoint",
                };
                wrong(key, error.to_string())
            })?;
        }
        Ok(())
    }
}

/// A setting that cannot be used: where it stands in a file (`limit[1]` is the second `[[limit]]`), and what to do.
struct Wrong {
    key: String,
    problem: String,
}

fn wrong(key: &str, problem: impl Into<String>) -> Result<(), Wrong> {
    Err(Wrong {
        key: key.to_owned(),
        problem: problem.into(),
    })
}

fn mistake(mistake: Mistake) -> ConfigError {
    ConfigError::Mistake(mistake.to_string().into())
}

/// Whether the value of `key` that counts is the file's.
fn from_file(figment: &Figment, key: &str) -> bool {
    let name = key.split('[').next().unwrap_or_default();
    figment
        .find_metadata(name)
        .is_some_and(|source| source.name.starts_with("TOML"))
}

fn read(path: &Path, given_by: &'static str) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|cause| ConfigError::File {
        path: path.to_owned(),
        given_by,
        cause,
    })
}

/// A TOML array, or (from a variable) one string with commas.
fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of strings, as [\"a\", \"b\"]")]
    enum OneOrMany {
        Many(Vec<String>),
        One(String),
    }
    let texts = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::Many(texts) => texts,
        OneOrMany::One(text) => text
            .split(',')
            .map(|part| part.trim().to_owned())
            .filter(|p| !p.is_empty())
            .collect(),
    };
    texts
        .iter()
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::io::Write;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(
            file,
            "max_in_flight = 7\nrequest_deadline = \"3s\"\ntrusted_proxy = [\"10.0.0.0/8\"]"
        )
        .unwrap();
        let path = file.path().to_str().unwrap();
        let config =
            Config::from_arguments(["rotunda-router", "--config", path, "--request-deadline", "1500ms"]).unwrap();
        assert_eq!(config.max_in_flight, 7);
        assert_eq!(config.request_deadline.0, Duration::from_millis(1500));
        assert_eq!(config.trusted_proxy, vec!["10.0.0.0/8".parse::<Cidr>().unwrap()]);
        assert_eq!(config.max_connections, Config::default().max_connections);
    }

    #[test]
    fn a_misspelt_key_in_the_file_is_refused_by_name() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "max_inflight = 7").unwrap();
        let error = Config::from_arguments(["rotunda-router", "--config", file.path().to_str().unwrap()]).unwrap_err();
        assert!(error.to_string().contains("max_inflight"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named_with_the_flag_that_gave_it() {
        let error = Config::from_arguments(["rotunda-router", "--config", "/nowhere/router.toml"]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("/nowhere/router.toml") && text.contains("--config"),
            "{text}"
        );
    }

    #[test]
    fn admin_tokens_come_from_a_file_a_line_each() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "first-token\n\n  second-token  ").unwrap();
        let path = file.path().to_str().unwrap();
        let config = Config::from_arguments(["rotunda-router", "--admin-token-file", path]).unwrap();
        assert_eq!(config.admin_token, ["first-token", "second-token"]);
    }

    #[test]
    fn a_node_without_scheme_is_refused_with_the_mended_form() {
        let error = Config::from_arguments(["rotunda-router", "--node", "127.0.0.1:7001"]).unwrap_err();
        assert!(error.to_string().contains("http://127.0.0.1:7001"), "{error}");
    }

    #[test]
    fn counts_that_no_machine_has_are_refused_by_name() {
        for (flag, count) in [
            ("--workers", "0"),
            ("--workers", "1000000"),
            ("--max-in-flight", "0"),
            ("--max-connections", "18446744073709551615"),
        ] {
            let error = Config::from_arguments(["rotunda-router", flag, count]).unwrap_err();
            let name = flag.trim_start_matches('-').replace('-', "_");
            assert!(error.to_string().contains(&name), "{error}");
        }
    }

    #[test]
    fn spans_are_read_as_people_write_them() {
        assert_eq!("250ms".parse::<Span>().unwrap().0, Duration::from_millis(250));
        assert_eq!("2m".parse::<Span>().unwrap().0, Duration::from_secs(120));
        for wrong in ["", "10", "s", "-1s", "1h", "99999999999999999999s", "999999999m"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_of_claims_come_from_the_file_and_a_wrong_one_is_refused() {
        let load = |public: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            writeln!(file, "[[claim_key]]\nname = \"members\"\npublic = \"{public}\"").unwrap();
            Config::from_arguments(["rotunda-router", "--config", file.path().to_str().unwrap()])
        };
        // The public key of RFC 8032's first example.
        let config = load("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        assert_eq!(config.claim_key[0].name, "members");
        let error = load("d75a98").unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits"), "{error}");
    }

    #[test]
    fn the_sample_that_operators_copy_is_one_that_we_take() {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/config/router.toml");
        let mut tokens = tempfile::NamedTempFile::new().unwrap();
        writeln!(tokens, "an-admin-token").unwrap();
        let arguments = [
            "rotunda-router",
            "--config",
            sample,
            "--admin-token-file",
            tokens.path().to_str().unwrap(),
        ];
        let config = Config::from_arguments(arguments).unwrap();
        assert_eq!(config.node.len(), 3);
        assert_eq!(config.token[0].name, "web-shop");
    }

    #[test]
    fn the_sample_names_every_setting() {
        let sample = include_str!("../../deploy/config/router.toml");
        let settings = figment::value::Value::serialize(Config::default()).unwrap();
        let names = settings.as_dict().unwrap().keys();
        // What a launcher asks for, not a file.
        for name in names.filter(|name| *name != "exit_with_parent") {
            assert!(sample.contains(name.as_str()), "{name} is not in router.toml");
        }
    }
}
