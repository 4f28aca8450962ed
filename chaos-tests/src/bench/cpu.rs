//! Processor time of processes, from `/proc`: who a booking costs how much.

use std::fs;

/// Kernel and user time of a process so far, in microseconds; `None` where it is gone.
#[must_use]
pub fn used(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, kernel): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    // USER_HZ is 100 on every Linux that Rust's std supports.
    Some((user + kernel) * 10_000)
}

/// Resident memory of a process, in bytes.
#[must_use]
pub fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// Processes, and what each had used when it began.
#[derive(Debug)]
pub struct Meter {
    processes: Vec<(String, u32, u64)>,
}

impl Meter {
    /// Begins to measure.
    #[must_use]
    pub fn of(processes: Vec<(String, u32)>) -> Self {
        let begun = processes.into_iter();
        Meter {
            processes: begun.map(|(name, pid)| (name, pid, used(pid).unwrap_or(0))).collect(),
        }
    }

    /// Microseconds of each since then.
    #[must_use]
    pub fn read(&self) -> Vec<(String, u64)> {
        let since = self.processes.iter();
        since
            .map(|(name, pid, before)| (name.clone(), used(*pid).map_or(0, |now| now.saturating_sub(*before))))
            .collect()
    }
}
