//! What `rotunda top` draws: KPIs with their curves on top, then shards, hot slots and what changed; as much of it as fits.

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table};
use rotunda_overview::state::{HotSlot, Shard, State, Tone};

use super::feed::Heard;

/// Seconds of curves that are kept; no terminal is wider.
const KEPT: usize = 900;

/// Fewer columns than this, and shards and slots stand below each other.
const WIDE: u16 = 100;

/// What a key sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Slots,
    Shards,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Screen {
    base: String,
    colour: bool,
    state: Option<State>,
    heard: Instant,
    lost: Option<String>,
    paused: bool,
    /// By name in the place of heat.
    slots_by_name: bool,
    /// Those without a leader, and those far behind, in the place of numbers.
    shards_by_trouble: bool,
}

impl Screen {
    pub(crate) fn new(base: &str, colour: bool) -> Self {
        Self {
            base: base.to_owned(),
            colour,
            state: None,
            heard: Instant::now(),
            lost: None,
            paused: false,
            slots_by_name: false,
            shards_by_trouble: false,
        }
    }

    /// Takes in what was heard. While it is paused only whether the connection is lost.
    pub(crate) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Lost(why) => {
                self.lost = Some(why);
                return;
            }
            Heard::State(state) if !self.paused || self.state.is_none() => self.state = Some(*state),
            Heard::Tick(tick) if !self.paused => {
                if let Some(state) = &mut self.state {
                    state.take(*tick, KEPT);
                }
            }
            Heard::State(_) | Heard::Tick(_) => {}
        }
        self.lost = None;
        self.heard = Instant::now();
    }

    pub(crate) fn pause(&mut self) {
        self.paused = !self.paused;
    }

    pub(crate) fn sort(&mut self, order: Order) {
        let way = match order {
            Order::Slots => &mut self.slots_by_name,
            Order::Shards => &mut self.shards_by_trouble,
        };
        *way = !*way;
    }

    pub(crate) fn draw(&self, frame: &mut Frame) {
        let rows = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(6),
            Constraint::Min(6),
            Constraint::Length(1),
        ]);
        let [top, kpis, rest, bottom] = rows.areas(frame.area());
        frame.render_widget(self.title(), top);
        let keys = "q quit  p pause  s sort slots  m sort shards";
        frame.render_widget(Paragraph::new(keys).style(self.faint()), bottom);
        let Some(state) = &self.state else { return };
        self.draw_kpis(frame, kpis, state);
        let (shards, slots, changes) = places(rest, state);
        self.draw_shards(frame, shards, state);
        self.draw_slots(frame, slots, state);
        self.draw_changes(frame, changes, state);
    }

    fn title(&self) -> Paragraph<'_> {
        let who = match &self.state {
            Some(State { process, .. }) => format!("Rotunda {} {}  ", process.kind, process.name),
            None => "Rotunda  ".to_owned(),
        };
        let age = self.heard.elapsed().as_secs();
        let (text, tone) = match (&self.lost, &self.state) {
            (Some(why), Some(_)) => (
                format!("LOST {}: {why}; shown is what was {age} s ago, trying again", self.base),
                Tone::Bad,
            ),
            (Some(why), None) => (format!("no answer from {}: {why}; trying again", self.base), Tone::Bad),
            (None, None) => (format!("asking {}", self.base), Tone::Warn),
            (None, Some(_)) if self.paused => ("paused".to_owned(), Tone::Warn),
            (None, Some(_)) if age > 3 => (format!("nothing heard for {age} s"), Tone::Warn),
            (None, Some(_)) => ("live".to_owned(), Tone::Good),
        };
        Paragraph::new(Line::from(vec![
            Span::styled(who, Style::new().add_modifier(Modifier::BOLD)),
            Span::styled(text, self.tone(tone)),
        ]))
    }

    /// The four side by side; beneath each the curve that goes with it, which is the panel of the same number.
    fn draw_kpis(&self, frame: &mut Frame, area: Rect, state: &State) {
        let columns = Layout::horizontal(vec![Constraint::Fill(1); state.now.kpis.len().max(1)]).split(area);
        for ((kpi, area), curve) in state.now.kpis.iter().zip(columns.iter()).zip(curves(state)) {
            let block = Block::bordered().title(kpi.name.as_str());
            let inner = block.inner(*area);
            frame.render_widget(block, *area);
            let [value, note, line] =
                Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(1)]).areas(inner);
            let bold = self.tone(kpi.tone).add_modifier(Modifier::BOLD);
            frame.render_widget(Paragraph::new(kpi.text.as_str()).style(bold), value);
            frame.render_widget(Paragraph::new(kpi.note.as_str()).style(self.faint()), note);
            let shown = curve.len().saturating_sub(usize::from(line.width));
            frame.render_widget(
                Sparkline::default().data(&curve[shown..]).style(self.tone(Tone::Good)),
                line,
            );
        }
    }

    fn draw_shards(&self, frame: &mut Frame, area: Rect, state: &State) {
        let mut shards: Vec<&Shard> = state.now.map.iter().flat_map(|map| &map.shards).collect();
        if self.shards_by_trouble {
            let behind = |shard: &Shard| shard.replicas.iter().filter_map(|replica| replica.lag).max();
            shards.sort_by_key(|shard| (shard.leader.is_some(), std::cmp::Reverse(behind(shard))));
        }
        let rows = shards.into_iter().map(|shard| {
            let [id, leader, term, replicas, venues] = shard_row(state, shard);
            let tone = if shard.leader.is_some() { Tone::Good } else { Tone::Bad };
            Row::new([
                Cell::from(id),
                Cell::from(leader).style(self.tone(tone)),
                Cell::from(term),
                Cell::from(replicas),
                Cell::from(venues),
            ])
        });
        let widths = [
            Constraint::Length(5),
            Constraint::Length(7),
            Constraint::Length(5),
            Constraint::Fill(2),
            Constraint::Fill(1),
        ];
        let how = if self.shards_by_trouble {
            "Shards, trouble first"
        } else {
            "Shards"
        };
        let table = self.table(rows, &widths, ["shard", "leader", "term", "replicas on", "venues"]);
        frame.render_widget(table.block(Block::bordered().title(how)), area);
    }

    fn draw_slots(&self, frame: &mut Frame, area: Rect, state: &State) {
        let mut slots: Vec<&HotSlot> = state.now.hot.iter().collect();
        if self.slots_by_name {
            slots.sort_by(|one, other| (&one.venue, &one.slot).cmp(&(&other.venue, &other.slot)));
        }
        let rows = slots.into_iter().map(|slot| Row::new(slot_row(slot)));
        let widths = [
            Constraint::Fill(1),
            Constraint::Fill(2),
            Constraint::Length(8),
            Constraint::Length(7),
        ];
        let how = if self.slots_by_name {
            "Hot slots, by name"
        } else {
            "Hot slots"
        };
        let table = self.table(rows, &widths, ["venue", "slot", "holds/s", "share"]);
        frame.render_widget(table.block(Block::bordered().title(how)), area);
    }

    fn draw_changes(&self, frame: &mut Frame, area: Rect, state: &State) {
        let now = state.times.last().copied().unwrap_or(0);
        let lines = state.now.changes.iter().map(|change| {
            let ago = now.saturating_sub(change.time) / 1_000;
            Line::from(vec![
                Span::styled(format!("{ago:>5} s ago  "), self.faint()),
                Span::styled(change.text.as_str(), self.tone(change.tone)),
            ])
        });
        let lines: Vec<Line> = lines.collect();
        frame.render_widget(
            Paragraph::new(lines).block(Block::bordered().title("What changed")),
            area,
        );
    }

    fn table<'a, const N: usize>(
        &self,
        rows: impl Iterator<Item = Row<'a>>,
        widths: &[Constraint; N],
        names: [&'a str; N],
    ) -> Table<'a> {
        Table::new(rows, widths).header(Row::new(names).style(self.faint()))
    }

    fn tone(&self, tone: Tone) -> Style {
        let colour = match tone {
            _ if !self.colour => return Style::new(),
            Tone::Plain => return Style::new(),
            Tone::Good => Color::Green,
            Tone::Warn => Color::Yellow,
            Tone::Bad => Color::Red,
        };
        Style::new().fg(colour)
    }

    fn faint(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

/// Where shards, slots and changes go.
fn places(area: Rect, state: &State) -> (Rect, Rect, Rect) {
    let lines = |count: usize| Constraint::Max(u16::try_from(count + 3).unwrap_or(u16::MAX));
    if area.width >= WIDE {
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
        let [slots, changes] = Layout::vertical([lines(state.now.hot.len().max(3)), Constraint::Min(4)]).areas(right);
        return (left, slots, changes);
    }
    let shards = state.now.map.as_ref().map_or(1, |map| map.shards.len());
    let parts = Layout::vertical([lines(shards), Constraint::Fill(1), Constraint::Fill(1)]);
    let [shards, slots, changes] = parts.areas(area);
    (shards, slots, changes)
}

/// The first curve of each panel, as whole numbers, in an order that fits the KPIs': what is free of errors has none of its
/// own and goes with the requests that were done.
fn curves(state: &State) -> Vec<Vec<u64>> {
    let first = |wanted: usize| -> Vec<u64> {
        let before: usize = state.panels.iter().take(wanted).map(|panel| panel.curves.len()).sum();
        let values = state.values.get(before).map(Vec::as_slice).unwrap_or_default();
        // A thousand times as much: below one each second there is something to see too.
        values
            .iter()
            .map(|value| (value.unwrap_or(0.0).max(0.0) * 1_000.0) as u64)
            .collect()
    };
    [1, 2, 0, 3].map(first).into()
}

/// Cells of a shard.
pub(crate) fn shard_row(state: &State, shard: &Shard) -> [String; 5] {
    let id = match shard.id {
        0 => "meta".to_owned(),
        id => id.to_string(),
    };
    let leader = shard
        .leader
        .map_or_else(|| "none".to_owned(), |node| format!("node {node}"));
    let gone = |node: u32| {
        let nodes = state.now.map.iter().flat_map(|map| &map.nodes);
        nodes
            .into_iter()
            .any(|known| known.id == node && known.live == Some(false))
    };
    let replicas = shard.replicas.iter().map(|replica| match replica.lag {
        _ if gone(replica.node) => format!("{} gone", replica.node),
        Some(lag) if lag > 0 => format!("{} -{lag}", replica.node),
        _ => replica.node.to_string(),
    });
    let more = shard.venue_count.saturating_sub(shard.venues.len());
    let venues = shard.venues.join(" ");
    let venues = if more > 0 { format!("{venues} +{more}") } else { venues };
    [
        id,
        leader,
        shard.term.to_string(),
        replicas.collect::<Vec<_>>().join(", "),
        venues,
    ]
}

/// Cells of a slot.
pub(crate) fn slot_row(slot: &HotSlot) -> [String; 4] {
    [
        slot.venue.clone(),
        slot.slot.clone(),
        format!("{:.1}", slot.per_second),
        format!("{:.1} %", slot.share * 100.0),
    ]
}

#[cfg(test)]
mod tests;
