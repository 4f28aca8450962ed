//! `rotunda config check`: has a server's own program read a file of settings. So what is said here is what the server
//! would say, and this command knows no setting by itself but those that tell a node's file from a router's.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::args::{ConfigArguments, ConfigCheckArguments, ConfigCommand};
use crate::binaries::Binaries;
use crate::failure::Failure;

/// Settings that only a node has, and that hardly any of its files lacks.
const OF_NODES: [&str; 5] = ["node_id", "cluster", "data", "grpc", "[peers]"];
/// The same of a router.
const OF_ROUTERS: [&str; 6] = [
    "http",
    "node",
    "admin_token_file",
    "rate_limit",
    "max_in_flight",
    "[[token]]",
];

/// Runs the command.
pub(crate) async fn run(arguments: ConfigArguments) -> Result<(), Failure> {
    let ConfigCommand::Check(check) = arguments.command;
    let whose = whose(&check)?;
    let binaries = Binaries::find()?;
    let program = match whose {
        Whose::Node => binaries.node,
        Whose::Router => binaries.router,
    };
    let output = Command::new(&program)
        .arg("--check-config")
        .arg("--config")
        .arg(&check.file)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| {
            Failure::failed(format!("{} cannot be run: {error}", program.display()))
                .next("check that this user may execute it")
        })?;
    if output.status.success() {
        print!("{}", String::from_utf8_lossy(&output.stdout));
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let mut lines = said.lines();
    let first = lines.next().unwrap_or("it ended without a word");
    // The program's name says nothing here: the file is at the head of the line.
    let first = first.split_once(": ").map_or(first, |(_, rest)| rest);
    Err(lines.fold(Failure::failed(first), |failure, line| {
        match line.strip_prefix("Run ") {
            Some(next) => failure.next(next.trim_end_matches('.')),
            None => failure.detail(line.trim_start()),
        }
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Node,
    Router,
}

fn whose(check: &ConfigCheckArguments) -> Result<Whose, Failure> {
    if check.node {
        return Ok(Whose::Node);
    }
    if check.router {
        return Ok(Whose::Router);
    }
    let text = std::fs::read_to_string(&check.file).map_err(|error| unreadable(&check.file, &error))?;
    guess(&text).ok_or_else(|| {
        Failure::usage(format!("{}: a node's settings or a router's?", check.file.display())).next("--node or --router")
    })
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot read {}: {error}", file.display())).next("check the path and whose it is")
}

/// By what stands at the beginning of its lines.
fn guess(text: &str) -> Option<Whose> {
    let count = |settings: &[&str]| {
        let begins = text
            .lines()
            .map(|line| line.split('=').next().unwrap_or_default().trim());
        begins.filter(|begin| settings.contains(begin)).count()
    };
    match count(&OF_NODES).cmp(&count(&OF_ROUTERS)) {
        std::cmp::Ordering::Greater => Some(Whose::Node),
        std::cmp::Ordering::Less => Some(Whose::Router),
        std::cmp::Ordering::Equal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_settings() {
        assert_eq!(guess(include_str!("../../config/node.toml")), Some(Whose::Node));
        assert_eq!(guess(include_str!("../../config/router.toml")), Some(Whose::Router));
        assert_eq!(guess("workers = 4\n"), None);
    }
}
