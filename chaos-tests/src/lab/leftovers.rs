//! What a killed run left behind: found by its name, and taken away when the next run starts. Runs that live are let be.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::tag::{PREFIX, Tag, VARIABLE};
use super::tools;
use super::volume::MOUNTS;

/// Removes what is left of runs that are no more; says what it was.
#[must_use]
pub fn remove() -> Vec<String> {
    let mut removed = Vec::new();
    for pid in orphans() {
        if kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() {
            removed.push(format!("process {pid}"));
        }
    }
    for place in mounts() {
        // Lazily: whoever still stands in it goes later.
        if tools::run(&["umount", "--lazy", &place]).is_ok() {
            removed.push(format!("mount {place}"));
        }
    }
    for tag in dead_of(names_in(Path::new(MOUNTS)).iter().map(String::as_str)) {
        let _ = std::fs::remove_dir_all(Path::new(MOUNTS).join(tag.to_string()));
    }
    let spaces = names_in(Path::new("/run/netns"));
    for space in spaces
        .iter()
        .filter(|name| owner(name).is_some_and(|tag| !tag.is_alive()))
    {
        // The ends of its links, the one in the host's namespace among them, go with it.
        if tools::run(&["ip", "netns", "delete", space]).is_ok() {
            removed.push(format!("namespace {space}"));
        }
    }
    removed
}

/// The run of `rotunda-chaos-PID-START-what`.
fn owner(name: &str) -> Option<Tag> {
    let rest = name.strip_prefix(PREFIX)?;
    let end = rest.match_indices('-').nth(1).map_or(rest.len(), |(at, _)| at);
    rest[..end].parse().ok()
}

fn dead_of<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Tag> {
    names
        .filter_map(|name| name.parse().ok())
        .filter(|tag: &Tag| !tag.is_alive())
        .collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Mount points of dead runs, the innermost first.
fn mounts() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = table.lines().filter_map(|line| line.split_whitespace().nth(1));
    let mut places: Vec<String> = places
        .filter(|place| {
            let below = place.strip_prefix(MOUNTS).and_then(|rest| rest.strip_prefix('/'));
            let tag = below.and_then(|rest| rest.split('/').next()?.parse::<Tag>().ok());
            tag.is_some_and(|tag| !tag.is_alive())
        })
        .map(str::to_owned)
        .collect();
    places.reverse();
    places
}

/// Processes that a dead run started: they carry its name in their environment.
fn orphans() -> Vec<i32> {
    let marked = format!("{VARIABLE}=");
    names_in(Path::new("/proc"))
        .iter()
        .filter_map(|name| name.parse::<i32>().ok())
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mut variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
            let tag = variables.find_map(|variable| variable.strip_prefix(&marked)?.parse::<Tag>().ok());
            tag.is_some_and(|tag| !tag.is_alive())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn names_tell_their_run() {
        let own = Tag::own();
        assert_eq!(owner(&format!("{PREFIX}{own}-n1")), Some(own));
        assert_eq!(owner(&format!("{PREFIX}{own}")), Some(own));
        assert_eq!(owner("somebody-else"), None);
        assert_eq!(
            dead_of(["17-0", &own.to_string(), "x"].into_iter()),
            ["17-0".parse::<Tag>().expect("a tag")]
        );
    }

    #[test]
    fn a_process_of_a_dead_run_is_found_and_one_of_this_run_is_not() {
        let sleeper = |tag: &str| {
            let mut command = Command::new("sleep");
            command.arg("60").env(VARIABLE, tag).stdin(Stdio::null());
            command.spawn().expect("a process")
        };
        // Process 1 was not started at tick 999,999,999,999.
        let (mut dead, mut own) = (sleeper("1-999999999999"), sleeper(&Tag::own().to_string()));
        let found = orphans();
        for child in [&mut dead, &mut own] {
            child.kill().expect("a child");
            child.wait().expect("a child");
        }
        assert!(found.contains(&i32::try_from(dead.id()).expect("an id")), "{found:?}");
        assert!(!found.contains(&i32::try_from(own.id()).expect("an id")), "{found:?}");
    }
}
