//! The name of a run, under which its namespaces, mounts and processes are made: the process id of the harness and when
//! that process started, so that whoever finds one knows whether its run still lives.

use std::fmt;
use std::str::FromStr;

/// Every name of something that a run makes begins so.
pub const PREFIX: &str = "rotunda-chaos-";

/// The variable that marks the processes of a run.
pub const VARIABLE: &str = "CHAOS_RUN";

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    pid: u32,
    started: u64,
}

impl Tag {
    /// This process's.
    #[must_use]
    pub fn own() -> Self {
        let pid = std::process::id();
        Tag {
            pid,
            started: started(pid).unwrap_or(0),
        }
    }

    /// True while the harness of that run is there.
    #[must_use]
    pub fn is_alive(self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

/// When a process started, in ticks since the boot: the 22nd field, counted behind the name, which may hold anything.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.started)
    }
}

impl FromStr for Tag {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (pid, started) = text.split_once('-').ok_or(())?;
        Ok(Tag {
            pid: pid.parse().map_err(|_| ())?,
            started: started.parse().map_err(|_| ())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_knows_itself_and_is_not_taken_for_a_later_process_of_its_number() {
        let own = Tag::own();
        assert!(own.is_alive());
        assert_eq!(own.to_string().parse(), Ok(own));
        let earlier = Tag {
            started: own.started - 1,
            ..own
        };
        assert!(!earlier.is_alive());
        assert_eq!("17".parse::<Tag>(), Err(()));
    }
}
