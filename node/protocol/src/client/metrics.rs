//! What the client counts. The handles are made once, when the client is: install the recorder before.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

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
    Broken,
    Unreachable,
    Silent,
}

impl Ending {
    const ALL: [(Ending, &str); 10] = [
        (Ending::Answered, "answered"),
        (Ending::NotLeader, "not_leader"),
        (Ending::StaleEpoch, "stale_epoch"),
        (Ending::NotHere, "not_here"),
        (Ending::Overloaded, "overloaded"),
        (Ending::Unknown, "unknown"),
        (Ending::Malformed, "malformed"),
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
        describe_counter!("rotunda_client_attempts_total", "Attempts at a node, by how each ended");
        describe_counter!("rotunda_client_frames_total", "Frames of commands sent to nodes");
        describe_counter!(
            "rotunda_client_frame_commands_total",
            "Commands in the frames sent to nodes"
        );
        describe_counter!("rotunda_client_streams_opened_total", "Command streams opened to nodes");
        describe_gauge!(
            "rotunda_client_in_flight_commands",
            "Commands that have not been answered yet"
        );
        describe_gauge!("rotunda_client_map_version", "Version of the shard map in use");
        Self {
            attempts: Ending::ALL
                .iter()
                .map(|(_, reason)| counter!("rotunda_client_attempts_total", "reason" => *reason))
                .collect(),
            frames: counter!("rotunda_client_frames_total"),
            frame_commands: counter!("rotunda_client_frame_commands_total"),
            streams_opened: counter!("rotunda_client_streams_opened_total"),
            in_flight: gauge!("rotunda_client_in_flight_commands"),
            map_version: gauge!("rotunda_client_map_version"),
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
