//! What every process tells of itself, and what others tell of it.

use crate::metrics;

metrics! {
    /// Of ours.
    METRICS:

    BUILD_INFO = Gauge Count "rotunda_build_info" ["version" "revision"]
        "Always 1; version and revision of the binary are its labels.";
    TRACE_SPANS = Counter Count "rotunda_trace_spans_total" ["outcome"]
        "Spans of traces, by whether they were sent to the collector or lost. Without a collector there are none.";
}

metrics! {
    /// `process_*` comes from the crate metrics-process, `up` from Prometheus, one for each scrape.
    FOREIGN:

    CPU_SECONDS = Counter Seconds "process_cpu_seconds_total" []
        "User and system CPU time spent.";
    OPEN_FDS = Gauge Count "process_open_fds" []
        "Open file descriptors.";
    MAX_FDS = Gauge Count "process_max_fds" []
        "File descriptors that may be open.";
    VIRTUAL_MEMORY_BYTES = Gauge Bytes "process_virtual_memory_bytes" []
        "Virtual memory.";
    RESIDENT_MEMORY_BYTES = Gauge Bytes "process_resident_memory_bytes" []
        "Resident memory.";
    START_TIME_SECONDS = Gauge Seconds "process_start_time_seconds" []
        "When the process started, since 1970.";
    THREADS = Gauge Count "process_threads" []
        "Threads of the operating system.";
    UP = Gauge Count "up" []
        "1 where the last scrape reached the process, else 0.";
}
