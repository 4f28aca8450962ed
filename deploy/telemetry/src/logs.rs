//! Log lines on standard error: how they look is a setting, how much is logged can be changed while the server runs.
//!
//! A server calls [`start`] once. [`set`] is what the admin port's `/log` calls, [`reset`] what SIGHUP does: back to the
//! settings, as they are read then. Filters are those of `tracing`'s `EnvFilter`, with short names for our own parts:
//! `node=debug` stands for `rotunda_node=debug`.

pub mod door;
mod json;

use std::io::IsTerminal;
use std::sync::OnceLock;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

/// Longest filter that is taken from outside.
pub const MAX_FILTER_BYTES: usize = 4_096;

/// What people call parts of a server, and what `tracing` calls them.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("node", "rotunda_node"),
    ("router", "rotunda_router"),
    ("protocol", "rotunda_protocol"),
    ("storage", "rotunda_raft_storage"),
    ("telemetry", "rotunda_telemetry"),
    ("raft", "openraft"),
];

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("`{other}` is no format of log lines; write text or json")),
        }
    }
}

/// Why a filter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It is not one.
    #[error("`{filter}` is not a log filter ({cause}); write a level or levels of parts, as info or info,node=debug")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        cause: String,
    },
    /// It is longer than [`MAX_FILTER_BYTES`].
    #[error("a log filter of {bytes} bytes is over the limit of {MAX_FILTER_BYTES}; name fewer parts")]
    TooLong {
        /// How long.
        bytes: usize,
    },
    /// This process has not started its log.
    #[error("this process writes no log whose levels could be changed")]
    NotStarted,
    /// It has started one already.
    #[error("this process writes a log already: {0}")]
    Started(String),
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Levels {
    /// The filter in force.
    pub filter: String,
    /// That of the settings, which SIGHUP goes back to.
    pub configured: String,
}

struct Log {
    handle: reload::Handle<EnvFilter, Registry>,
    levels: Mutex<Levels>,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Starts the log of this process.
///
/// # Errors
/// Where the filter is none, or a log was started before.
pub fn start(filter: &str, format: Format) -> Result<(), LogError> {
    let (filter_layer, handle) = reload::Layer::new(parse(filter)?);
    let registry = Registry::default().with(filter_layer);
    let started = match format {
        Format::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let lines = tracing_subscriber::fmt::layer()
                .with_ansi(colours)
                .with_writer(std::io::stderr);
            registry.with(lines.boxed()).try_init()
        }
        Format::Json => registry.with(json::Lines::to(std::io::stderr).boxed()).try_init(),
    };
    started.map_err(|error| LogError::Started(error.to_string()))?;
    let levels = Mutex::new(Levels {
        filter: filter.to_owned(),
        configured: filter.to_owned(),
    });
    LOG.set(Log { handle, levels })
        .map_err(|_| LogError::Started("it was started twice".to_owned()))
}

/// Checks a filter.
///
/// # Errors
/// Where it is none.
pub fn check(filter: &str) -> Result<(), LogError> {
    parse(filter).map(drop)
}

/// What is logged now.
///
/// # Errors
/// Where no log was started.
pub fn show() -> Result<Levels, LogError> {
    Ok(LOG.get().ok_or(LogError::NotStarted)?.levels.lock().clone())
}

/// From now on this is logged, until the process ends or [`reset`].
///
/// # Errors
/// Where the filter is none; what was logged before is then logged on.
pub fn set(filter: &str) -> Result<Levels, LogError> {
    change(filter, |levels| filter.clone_into(&mut levels.filter))
}

/// As the settings say, which may be other ones than at the start.
///
/// # Errors
/// As [`set`].
pub fn reset(configured: &str) -> Result<Levels, LogError> {
    change(configured, |levels| {
        configured.clone_into(&mut levels.filter);
        configured.clone_into(&mut levels.configured);
    })
}

/// As the settings said when they were read last.
///
/// # Errors
/// Where no log was started.
pub fn back_to_settings() -> Result<Levels, LogError> {
    reset(&show()?.configured)
}

fn change(filter: &str, note: impl FnOnce(&mut Levels)) -> Result<Levels, LogError> {
    let log = LOG.get().ok_or(LogError::NotStarted)?;
    let parsed = parse(filter)?;
    // Held throughout, so that what is shown is what is in force.
    let mut levels = log.levels.lock();
    log.handle.reload(parsed).map_err(|error| LogError::Filter {
        filter: filter.to_owned(),
        cause: error.to_string(),
    })?;
    note(&mut levels);
    Ok(levels.clone())
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    if filter.len() > MAX_FILTER_BYTES {
        return Err(LogError::TooLong { bytes: filter.len() });
    }
    let spelt_out: Vec<String> = filter.split(',').map(|part| spelt_out(part.trim())).collect();
    EnvFilter::try_new(spelt_out.join(",")).map_err(|error| LogError::Filter {
        filter: filter.to_owned(),
        cause: error.to_string(),
    })
}

/// `node=debug` as `rotunda_node=debug`.
fn spelt_out(directive: &str) -> String {
    let end = directive.find(['=', ':', '[']).unwrap_or(directive.len());
    let (name, rest) = directive.split_at(end);
    let long = SHORT_NAMES.iter().find(|(short, _)| *short == name);
    // A bare name, without a level, is a target too.
    long.map_or_else(|| directive.to_owned(), |(_, long)| format!("{long}{rest}"))
}

#[cfg(test)]
mod tests;
