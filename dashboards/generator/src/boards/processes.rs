//! Every process: is it there, what does it run, what does it use.

use rotunda_metrics::{node, process, storage, tls};

use crate::board::{Board, Panel};
use crate::expression::{count, max, min, of, sum};

pub(super) fn board() -> Board {
    let files = format!("{} / {}", of(&process::OPEN_FDS).now(), of(&process::MAX_FDS).now());
    let left = format!("({} - time()) / 86400", of(&tls::CERTIFICATE_NOT_AFTER).now());
    Board::new("processes", "Rotunda: processes", "Nodes and routers as processes on machines.")
        .row(
            "What runs",
            [
                Panel::stat("Processes that answer", "short", "Whose last scrape worked.")
                    .show(sum(&["job"], &of(&process::UP).now()), "{{job}}")
                    .wide(8),
                Panel::lines("Versions", "short", "Processes by version. Two versions side by side are an upgrade under way.")
                    .show(count(&["version", "revision", "job"], &of(&process::BUILD_INFO).now()), "{{job}} {{version}} {{revision}}"),
                Panel::lines("Starts", "short", "Starts of each process in the last 15 minutes. Supervisors start again what ends; look at why it ended.")
                    .show(max(&["job", "instance"], &of(&process::START_TIME_SECONDS).changes("15m")), "{{job}} {{instance}}"),
            ],
        )
        .row(
            "Who they are",
            [
                Panel::lines("Certificates end", "d", "Until each certificate in use is over: the process's own, the cluster's authority's, the door's. Nothing here where there is no TLS.")
                    .show(min(&["job", "instance", "certificate"], &left), "{{job}} {{instance}} {{certificate}}"),
                Panel::lines("Refused connections", "ops", "Connections that were not made because a certificate was refused, by us (called) or by them (calling). A stranger, or a wrong file.")
                    .show(sum(&["job", "instance", "side"], &of(&tls::HANDSHAKES_FAILED).rate()), "{{job}} {{instance}} {{side}}"),
                Panel::lines("New certificates", "short", "Taken up from the files, or refused: then the old ones stay and the log says why.")
                    .show(sum(&["job", "instance", "outcome"], &of(&tls::RENEWALS).increase()), "{{job}} {{instance}} {{outcome}}"),
            ],
        )
        .row(
            "What they use",
            [
                Panel::lines("Processor", "short", "Cores in use, by process.")
                    .show(sum(&["job", "instance"], &of(&process::CPU_SECONDS).rate()), "{{job}} {{instance}}"),
                Panel::lines("Memory", "bytes", "Resident memory of each process, and what the caches, queues and buffers of a node may take of it.")
                    .show(max(&["job", "instance"], &of(&process::RESIDENT_MEMORY_BYTES).now()), "{{job}} {{instance}}")
                    .show(max(&["instance"], &of(&node::MEMORY_BUDGET_BYTES).now()), "--memory of {{instance}}"),
                Panel::stacked("Caches and queues of the nodes", "bytes", "What the memory budget is spent on, over all nodes. Memtables are part of the block cache.")
                    .show(sum(&[], &of(&storage::BLOCK_CACHE_BYTES).now()), "block cache, memtables")
                    .show(sum(&[], &of(&storage::ENTRY_CACHE_BYTES).now()), "entries")
                    .show(sum(&[], &of(&storage::LOG_QUEUE_BYTES).now()), "log queue")
                    .show(sum(&[], &of(&node::COMMANDS_PENDING_BYTES).now()), "pending commands"),
                Panel::lines("File descriptors", "percentunit", "Open ones, as a share of those that may be.")
                    .show(max(&["job", "instance"], &files), "{{job}} {{instance}}")
                    .up_to(1.0),
                Panel::lines("Threads", "short", "Of the operating system.")
                    .show(max(&["job", "instance"], &of(&process::THREADS).now()), "{{job}} {{instance}}"),
                Panel::lines("Virtual memory", "bytes", "Mostly address space that nobody uses; growing without end it is a leak.")
                    .show(max(&["job", "instance"], &of(&process::VIRTUAL_MEMORY_BYTES).now()), "{{job}} {{instance}}"),
                Panel::lines("Connections refused by nodes", "ops", "Closed at once, because as many as the memory budget allows were open: more `--memory`, or fewer routers.")
                    .show(sum(&["instance"], &of(&node::CONNECTIONS_REFUSED).rate()), "{{instance}}"),
                Panel::lines("Spans of traces", "ops", "Sent to the collector, and lost because it did not take them. None where `traces_endpoint` is not set.")
                    .show(sum(&["job", "outcome"], &of(&process::TRACE_SPANS).rate()), "{{job}}: {{outcome}}"),
            ],
        )
}
