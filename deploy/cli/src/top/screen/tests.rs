//! Screens drawn into memory.

#![allow(clippy::unwrap_used, reason = "tests")]

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use rotunda_overview::state::{Change, Curve, Kpi, Map, Node, Now, Panel, Process, Replica, Tick, Unit};

use super::*;

fn shard(id: u64, leader: Option<u32>, lag: u64) -> Shard {
    let replica = |node| Replica {
        node,
        applied: Some(90),
        lag: Some(lag),
    };
    Shard {
        id,
        leader,
        term: 4,
        replicas: vec![replica(1), replica(2)],
        venues: vec![format!("museum-{id}")],
        venue_count: 3,
    }
}

fn now(leader: Option<u32>, live: bool) -> Now {
    let kpi = |name: &str, text: &str| Kpi {
        name: name.to_owned(),
        text: text.to_owned(),
        note: "of 1,234 requests".to_owned(),
        ..Kpi::default()
    };
    let slot = |venue: &str, per_second| HotSlot {
        venue: venue.to_owned(),
        slot: "general@2027-01-15T10:00+00:00".to_owned(),
        per_second,
        share: 0.25,
    };
    Now {
        kpis: vec![
            kpi("Free of errors", "99.998 %"),
            kpi("Concurrency", "12 %"),
            kpi("Throughput", "812/s"),
            kpi("Error rate", "0.002 %"),
        ],
        map: Some(Map {
            nodes: [1, 2]
                .map(|id| Node {
                    id,
                    live: Some(live || id == 2),
                    ..Node::default()
                })
                .into(),
            shards: vec![shard(0, Some(2), 0), shard(1, Some(2), 7), shard(2, leader, 0)],
        }),
        hot: vec![slot("zoo", 90.0), slot("aquarium", 30.0)],
        changes: vec![Change {
            time: 5_000,
            text: "shard 2: no leader, after node 1".to_owned(),
            tone: Tone::Bad,
        }],
    }
}

fn state() -> State {
    let panel = |title: &str| Panel {
        title: title.to_owned(),
        about: String::new(),
        unit: Unit::PerSecond,
        curves: vec![Curve {
            name: title.to_owned(),
            tone: Tone::Good,
        }],
    };
    State {
        process: Process {
            kind: "router".to_owned(),
            name: "127.0.0.1:8080".to_owned(),
            version: "0.1.0".to_owned(),
        },
        panels: ["Tickets", "Requests", "In flight", "Time to answer"].map(panel).into(),
        times: vec![8_000, 9_000],
        values: vec![vec![Some(1.0), Some(2.0)]; 4],
        now: now(Some(1), true),
    }
}

fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    terminal.backend().to_string()
}

fn screen() -> Screen {
    let mut screen = Screen::new("http://127.0.0.1:9090", false);
    screen.hear(Heard::State(Box::new(state())));
    screen
}

#[test]
fn everything_is_on_a_wide_and_on_a_narrow_screen() {
    for (width, height) in [(140, 40), (80, 40)] {
        let text = drawn(&screen(), width, height);
        for wanted in [
            "Rotunda router 127.0.0.1:8080  live",
            "99.998 %",
            "812/s",
            "meta",
            "1 -7, 2 -7",
            "museum-2 +2",
            "zoo",
            "general@2027-01-15T10:00",
            "4 s ago  shard 2: no leader, after node 1",
            "q quit",
        ] {
            assert!(text.contains(wanted), "{width}x{height} lacks {wanted}:\n{text}");
        }
    }
    // Too small for anything; drawn all the same.
    drawn(&screen(), 12, 3);
}

#[test]
fn a_lost_connection_is_said_and_the_last_figures_stay() {
    let mut screen = screen();
    screen.hear(Heard::Lost("connection refused".to_owned()));
    let text = drawn(&screen, 140, 40);
    assert!(
        text.contains("LOST http://127.0.0.1:9090: connection refused"),
        "{text}"
    );
    assert!(text.contains("99.998 %") && !text.contains("live"), "{text}");
    screen.hear(Heard::State(Box::new(state())));
    assert!(drawn(&screen, 140, 40).contains("live"));

    let mut never = Screen::new("http://127.0.0.1:1", false);
    assert!(drawn(&never, 80, 24).contains("asking http://127.0.0.1:1"));
    never.hear(Heard::Lost("connection refused".to_owned()));
    assert!(drawn(&never, 80, 24).contains("no answer from http://127.0.0.1:1"));
}

#[test]
fn a_killed_leader_is_seen_and_trouble_can_come_first() {
    let mut screen = screen();
    let tick = Tick {
        time: 10_000,
        values: vec![Some(3.0); 4],
        now: now(None, false),
    };
    screen.hear(Heard::Tick(Box::new(tick)));
    let text = drawn(&screen, 140, 40);
    assert!(text.contains("none") && text.contains("1 gone, 2"), "{text}");
    let row = |text: &str, what: &str| text.lines().position(|line| line.contains(what)).unwrap();
    assert!(row(&text, "museum-1") < row(&text, "museum-2"));
    screen.sort(Order::Shards);
    let text = drawn(&screen, 140, 40);
    assert!(
        text.contains("trouble first") && row(&text, "museum-2") < row(&text, "museum-1"),
        "{text}"
    );
    screen.sort(Order::Shards);
    assert!(row(&drawn(&screen, 140, 40), "museum-1") < row(&text, "museum-2") + 3);
}

#[test]
fn slots_are_sorted_by_heat_or_by_name() {
    let mut screen = screen();
    let row = |text: &str, what: &str| text.lines().position(|line| line.contains(what)).unwrap();
    let text = drawn(&screen, 140, 40);
    assert!(row(&text, "zoo") < row(&text, "aquarium"), "{text}");
    screen.sort(Order::Slots);
    let text = drawn(&screen, 140, 40);
    assert!(row(&text, "aquarium") < row(&text, "zoo"), "{text}");
}

#[test]
fn a_pause_keeps_the_figures_and_still_says_what_is_lost() {
    let mut screen = screen();
    screen.pause();
    let tick = Tick {
        time: 10_000,
        values: vec![Some(3.0); 4],
        now: now(None, false),
    };
    screen.hear(Heard::Tick(Box::new(tick)));
    let text = drawn(&screen, 140, 40);
    assert!(text.contains("paused") && !text.contains("gone"), "{text}");
    screen.hear(Heard::Lost("reset".to_owned()));
    assert!(drawn(&screen, 140, 40).contains("LOST"));
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let styles = |colour| {
        let mut screen = Screen::new("http://127.0.0.1:9090", colour);
        screen.hear(Heard::State(Box::new(state())));
        let mut terminal = Terminal::new(TestBackend::new(140, 40)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        buffer.content.iter().any(|cell| cell.fg == Color::Green)
    };
    assert!(styles(true));
    assert!(!styles(false));
}
