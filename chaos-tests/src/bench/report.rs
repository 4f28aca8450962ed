//! A benchmark as a person reads it, and as a program does.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::peers::{Figure, Missing};
use super::run::{Outcome, Plan, Way, median};
use super::samples::{Counts, Percentiles};

/// A table as all of them look.
#[must_use]
pub fn new_table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// Microseconds as people say them.
fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..100_000 => format!("{}.{:02} ms", micros / 1_000, micros / 10 % 100),
        100_000..10_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

/// A number with its thousands told apart.
#[must_use]
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many, and of what.
fn failed(counts: Counts) -> String {
    match counts.failed {
        0 => "0".to_owned(),
        failed => format!("{failed} ({})", counts.failures),
    }
}

fn percentiles(latency: &Percentiles) -> String {
    format!(
        "{} / {} / {} / {}",
        duration(latency.p50),
        duration(latency.p99),
        duration(latency.p999),
        duration(latency.max)
    )
}

/// A way in, for people.
pub(super) fn way(way: Way) -> &'static str {
    match way {
        Way::Http => "HTTP through the router",
        Way::Grpc => "gRPC to the nodes",
    }
}

/// Several runs of one plan.
#[must_use]
pub fn text(plan: &Plan, outcomes: &[Outcome]) -> String {
    let headline = plan.workload.headline();
    let mut text = String::new();
    let Some(middle) = median(outcomes, headline) else {
        return "nothing was run\n".to_owned();
    };
    let rates: Vec<String> = outcomes
        .iter()
        .map(|outcome| thousands(outcome.rate(headline)))
        .collect();
    let _ = writeln!(
        text,
        "{}, {}, {} clients, {} shards: {} {headline:?} a second (runs: {})",
        plan.workload,
        way(plan.way),
        plan.clients,
        plan.shards,
        thousands(middle.rate(headline)),
        rates.join(", ")
    );
    let mut table = new_table();
    table.set_header([
        "request",
        "a second",
        "done",
        "refused",
        "shed",
        "failed",
        "p50 / p99 / p99.9 / max",
        "corrected",
    ]);
    for (deed, outcome) in &middle.deeds {
        let counts = outcome.counts;
        table.add_row([
            format!("{deed:?}"),
            thousands(outcome.rate),
            counts.done.to_string(),
            counts.refused.to_string(),
            counts.shed.to_string(),
            failed(counts),
            percentiles(&outcome.latency_us),
            outcome.corrected_us.as_ref().map_or_else(String::new, percentiles),
        ]);
    }
    let _ = writeln!(text, "{table}");
    let mut table = new_table();
    table.set_header(["process", "cores", "us for each", "memory"]);
    for used in &middle.cpu {
        table.add_row([
            used.name.clone(),
            format!("{:.2}", used.cores),
            format!("{:.1}", used.us_each),
            format!("{} MiB", used.resident >> 20),
        ]);
    }
    let _ = writeln!(text, "{table}");
    for outcome in outcomes {
        let audit = &outcome.audit;
        let _ = writeln!(
            text,
            "audit: {} acknowledgements in the log, {} purged, {} places acknowledged, {} taken, {} unknown, {} slots sold out: {}",
            audit.in_the_log,
            audit.purged,
            audit.places_acknowledged,
            audit.places_taken,
            audit.places_unknown,
            audit.slots_sold_out,
            if audit.is_sound() { "sound" } else { "NOT SOUND" }
        );
        for finding in &audit.findings {
            let _ = writeln!(text, "  - {finding}");
        }
    }
    text
}

/// The same for programs.
#[must_use]
pub fn as_json(plan: &Plan, outcomes: &[Outcome]) -> Value {
    let headline = plan.workload.headline();
    json!({
        "workload": plan.workload.name(),
        "door": plan.way,
        "clients": plan.clients,
        "streams": plan.streams,
        "shards": plan.shards,
        "rate": plan.rate,
        "headline": headline,
        "median": median(outcomes, headline).map(|outcome| outcome.rate(headline)),
        "sound": outcomes.iter().all(|outcome| outcome.audit.is_sound()),
        "runs": outcomes,
    })
}

/// Rotunda beside its peers.
#[derive(Debug)]
pub struct Comparison {
    /// What the peers reached.
    pub figures: Vec<Figure>,
    /// Who was not measured.
    pub missing: Vec<Missing>,
    /// What Rotunda reached.
    pub own: Vec<(Plan, Outcome)>,
}

/// What an answer of Rotunda's means.
const PROMISE: &str = "synced on a majority of three; idempotent; audited";

impl Comparison {
    /// True where every audit was sound.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.own.iter().all(|(_, outcome)| outcome.audit.is_sound())
    }

    /// How many times as fast the first of Rotunda's figures is, and the best of them.
    fn ratios(&self, rate: f64) -> Vec<f64> {
        let own = self
            .own
            .iter()
            .map(|(plan, outcome)| outcome.rate(plan.workload.headline()));
        own.map(|own| own / rate.max(1e-9)).collect()
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut table = new_table();
        let mut header = vec![
            "who".to_owned(),
            "an answer means".to_owned(),
            "work".to_owned(),
            "at once".to_owned(),
            "a second".to_owned(),
            "p50 / p99".to_owned(),
        ];
        let short = |plan: &Plan| match plan.way {
            Way::Http => format!("{}, HTTP", plan.workload),
            Way::Grpc => format!("{}, gRPC", plan.workload),
        };
        header.extend(self.own.iter().map(|(plan, _)| format!("Rotunda {} is", short(plan))));
        table.set_header(header);
        let mut add = |who: &str, promise: &str, work: String, clients: usize, rate: f64, latency: String| {
            let mut row = vec![
                who.to_owned(),
                promise.to_owned(),
                work,
                clients.to_string(),
                thousands(rate),
                latency,
            ];
            row.extend(self.ratios(rate).iter().map(|ratio| format!("{ratio:.1}x")));
            table.add_row(row);
        };
        for figure in &self.figures {
            let latency = match (figure.p50_us, figure.p99_us) {
                (Some(p50), Some(p99)) => format!("{} / {}", duration(p50), duration(p99)),
                _ => String::new(),
            };
            add(
                &figure.who,
                figure.promise,
                figure.work.clone(),
                figure.clients,
                figure.rate,
                latency,
            );
        }
        for (plan, outcome) in &self.own {
            let deed = plan.workload.headline();
            let latency = outcome.deeds.get(&deed).map_or_else(String::new, |outcome| {
                format!(
                    "{} / {}",
                    duration(outcome.latency_us.p50),
                    duration(outcome.latency_us.p99)
                )
            });
            add(
                "Rotunda, 3 nodes",
                PROMISE,
                short(plan),
                plan.clients,
                outcome.rate(deed),
                latency,
            );
        }
        let mut text = format!("{table}\n");
        for missing in &self.missing {
            let _ = writeln!(text, "NOT MEASURED: {}: {}", missing.who, missing.why);
        }
        for (plan, outcome) in self.own.iter().filter(|(_, outcome)| !outcome.audit.is_sound()) {
            let _ = writeln!(
                text,
                "NOT SOUND: {}: {}",
                short(plan),
                outcome.audit.findings.join("; ")
            );
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let own: Vec<Value> = self
            .own
            .iter()
            .map(|(plan, outcome)| as_json(plan, std::slice::from_ref(outcome)))
            .collect();
        json!({
            "peers": self.figures,
            "not_measured": self.missing,
            "rotunda": own,
            "sound": self.is_sound(),
        })
    }
}
