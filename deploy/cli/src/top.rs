//! `rotunda top`: what the admin port's page shows, in a terminal, from the same events; or once, for scripts.
//!
//! `feed` hears what the process says and comes back when the connection is lost, `screen` draws it; this module joins them
//! with the keyboard.

mod feed;
mod screen;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use rotunda_overview::state::{STATE_PATH, State};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::screen::{Order, Screen};
use crate::args::{Output, TopArguments};
use crate::failure::Failure;
use crate::health::{base, cause};
use crate::paint;

/// How long the process has to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often the keyboard's thread looks whether it is still wanted.
const KEY_PATIENCE: Duration = Duration::from_millis(100);

/// Keys and events that wait to be looked at; the writers wait where it is full.
const WAITING: usize = 16;

/// Runs the command.
pub(crate) async fn run(arguments: TopArguments) -> Result<(), Failure> {
    let base = base(&arguments.admin)?;
    if arguments.once {
        println!("{}", once(&base, arguments.output).await?);
        return Ok(());
    }
    if !std::io::stdout().is_terminal() {
        return Err(Failure::usage("this is no terminal to draw on").next("rotunda top --once --output json"));
    }
    // Before the screen is taken: whoever mistyped an address should read so, and not look at an empty screen.
    once(&base, Output::Json).await?;
    let terminal = ratatui::try_init().map_err(|error| {
        Failure::failed(format!("the terminal cannot be drawn on: {error}")).next("rotunda top --once")
    })?;
    let drawn = watch(&base, terminal).await;
    ratatui::restore();
    drawn.map_err(|error| {
        Failure::failed(format!("the terminal cannot be drawn on: {error}")).next("rotunda top --once")
    })
}

async fn once(base: &str, output: Output) -> Result<String, Failure> {
    let url = format!("{base}{STATE_PATH}");
    let asked = async {
        let http = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build()?;
        let response = http.get(&url).send().await?;
        Ok::<_, reqwest::Error>((response.status(), response.text().await?))
    };
    let (status, text) = asked.await.map_err(|error| {
        Failure::unreachable(format!("no answer from {url}: {}", cause(&error)))
            .next("check that --admin is the admin address of a router or a node, and that it runs")
    })?;
    let state: Option<State> = serde_json::from_str(&text).ok().filter(|_| status.is_success());
    let state = state.ok_or_else(|| {
        Failure::failed(format!("{url} answers {status}, and not as an admin port does"))
            .next("give the admin address and not the public door: `rotunda status` and the demo say which it is")
    })?;
    Ok(match output {
        Output::Json => text,
        Output::Table => tables(&state),
    })
}

/// The same as on the screen, without the curves.
fn tables(state: &State) -> String {
    let mut kpis = paint::table(["KPI", "now", "of"]);
    for kpi in &state.now.kpis {
        kpis.add_row([&kpi.name, &kpi.text, &kpi.note]);
    }
    let mut shards = paint::table(["shard", "leader", "term", "replicas on", "venues"]);
    for shard in state.now.map.iter().flat_map(|map| &map.shards) {
        let [id, leader, term, replicas, venues] = screen::shard_row(state, shard);
        shards.add_row(vec![
            id.into(),
            paint::good_or_bad(leader, shard.leader.is_some()),
            term.into(),
            replicas.into(),
            venues.into(),
        ]);
    }
    let mut slots = paint::table(["venue", "slot", "holds/s", "share"]);
    for slot in &state.now.hot {
        slots.add_row(screen::slot_row(slot));
    }
    let process = &state.process;
    format!(
        "{} {} {}\n{kpis}\n{shards}\n{slots}",
        process.kind, process.name, process.version
    )
}

async fn watch(base: &str, mut terminal: DefaultTerminal) -> std::io::Result<()> {
    let mut screen = Screen::new(base, paint::colour());
    let (keys, mut pressed) = mpsc::channel(WAITING);
    let (tell, mut heard) = mpsc::channel(WAITING);
    let feed = tokio::spawn(feed::follow(base.to_owned(), tell));
    let done = Arc::new(AtomicBool::new(false));
    let keyboard = std::thread::spawn({
        let done = done.clone();
        move || listen(&keys, &done)
    });
    // So that the age of what is shown goes on while nothing is heard.
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let drawn = loop {
        if let Err(error) = terminal.draw(|frame| screen.draw(frame)) {
            break Err(error);
        }
        tokio::select! {
            key = pressed.recv() => match key {
                Some(Key::Quit) => break Ok(()),
                Some(Key::Pause) => screen.pause(),
                Some(Key::Sort(order)) => screen.sort(order),
                Some(Key::Redraw) => {}
                None => break Err(std::io::Error::other("the keyboard cannot be read any more")),
            },
            Some(what) = heard.recv() => screen.hear(what),
            _ = clock.tick() => {}
        }
    };
    feed.abort();
    done.store(true, Ordering::Relaxed);
    // It looks at that within a moment.
    let _ = tokio::task::spawn_blocking(move || keyboard.join()).await;
    drawn
}

/// What a key means.
#[derive(Clone, Copy)]
enum Key {
    Quit,
    Pause,
    Sort(Order),
    /// The window has another size.
    Redraw,
}

fn listen(keys: &mpsc::Sender<Key>, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let key = match event::poll(KEY_PATIENCE) {
            Ok(false) => continue,
            Ok(true) => event::read().ok().map(|event| meaning(&event)),
            Err(_) => return,
        };
        match key {
            Some(Some(key)) if keys.blocking_send(key).is_err() => return,
            Some(_) => {}
            None => return,
        }
    }
}

fn meaning(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else {
        return matches!(event, Event::Resize(..)).then_some(Key::Redraw);
    };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('p' | ' ') => Some(Key::Pause),
        KeyCode::Char('s') => Some(Key::Sort(Order::Slots)),
        KeyCode::Char('m') => Some(Key::Sort(Order::Shards)),
        _ => None,
    }
}
