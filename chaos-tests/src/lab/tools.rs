//! Other programs of the machine (`ip`, `nft`, `mount`), run to their end.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs a program; gives what it printed.
///
/// # Errors
/// Where it cannot be run or fails: the command and what it said.
pub fn run(words: &[&str]) -> Result<String, String> {
    run_with(words, "")
}

/// As [`run`], with something on its standard input.
///
/// # Errors
/// As [`run`].
pub fn run_with(words: &[&str], input: &str) -> Result<String, String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("no command".to_owned());
    };
    let failed = |said: &str| format!("`{}`: {}", words.join(" "), said.trim());
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who stops reading says why below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(&error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(&String::from_utf8_lossy(&output.stderr)))
    }
}

/// True where a program is found on the path.
#[must_use]
pub fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
