//! What the cluster's client library counts; it runs in every router.

use crate::metrics;

metrics! {
    /// All of them.
    METRICS:

    CLIENT_ATTEMPTS = Counter Count "rotunda_client_attempts_total" ["reason"]
        "Attempts at a node, by how each ended.";
    CLIENT_FRAMES = Counter Count "rotunda_client_frames_total" []
        "Frames of commands sent to nodes.";
    CLIENT_FRAME_COMMANDS = Counter Count "rotunda_client_frame_commands_total" []
        "Commands in the frames sent to nodes.";
    CLIENT_STREAMS_OPENED = Counter Count "rotunda_client_streams_opened_total" []
        "Command streams opened to nodes.";
    CLIENT_IN_FLIGHT_COMMANDS = Gauge Count "rotunda_client_in_flight_commands" []
        "Commands that have not been answered yet.";
    CLIENT_MAP_VERSION = Gauge Count "rotunda_client_map_version" []
        "Version of the shard map in use.";
}
