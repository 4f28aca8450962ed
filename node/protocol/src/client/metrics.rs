//! What the client counts. The handles are made once, when the client is: install the recorder before.

use metrics::{Counter, Gauge, counter, gauge};
use rotunda_metrics::client as names;

/// How one attempt at one node ended. The text is the label `reason` of `rotunda_client_attempts_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Ending {
    Answered,
    NotLeader,
    StaleEpoch,
    NotHere,
    Overloaded,
    Unknown,
    Malformed,
    NotYet,
    Broken,
    Unreachable,
    Silent,
}

impl Ending {
    const ALL: [(Ending, &str); 11] = [
        (Ending::Answered, "answered"),
        (Ending::NotLeader, "not_leader"),
        (Ending::StaleEpoch, "stale_epoch"),
        (Ending::NotHere, "not_here"),
        (Ending::Overloaded, "overloaded"),
        (Ending::Unknown, "unknown"),
        (Ending::Malformed, "malformed"),
        (Ending::NotYet, "not_yet"),
        (Ending::Broken, "broken"),
        (Ending::Unreachable, "unreachable"),
        (Ending::Silent, "silent"),
    ];
}

#[derive(Debug)]
pub(crate) struct Metrics {
    attempts: Vec<Counter>,
    pub(crate) frames: Counter,
    pub(crate) frame_commands: Counter,
    pub(crate) streams_opened: Counter,
    pub(crate) in_flight: Gauge,
    pub(crate) map_version: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        rotunda_metrics::describe!(names::METRICS);
        Self {
            attempts: Ending::ALL
                .iter()
                .map(|(_, reason)| counter!(names::CLIENT_ATTEMPTS.name, "reason" => *reason))
                .collect(),
            frames: counter!(names::CLIENT_FRAMES.name),
            frame_commands: counter!(names::CLIENT_FRAME_COMMANDS.name),
            streams_opened: counter!(names::CLIENT_STREAMS_OPENED.name),
            in_flight: gauge!(names::CLIENT_IN_FLIGHT_COMMANDS.name),
            map_version: gauge!(names::CLIENT_MAP_VERSION.name),
        }
    }

    pub(crate) fn attempt(&self, ending: Ending) {
        self.attempts[ending as usize].increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::Ending;

    #[test]
    fn each_ending_finds_its_own_counter() {
        for (position, (ending, _)) in Ending::ALL.iter().enumerate() {
            assert_eq!(*ending as usize, position);
        }
    }
}
