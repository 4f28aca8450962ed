//! Which metrics make which curve and which KPI, for a router and for a node.
//!
//! A node sees no visitors: what a router says in requests and tickets, a node says in entries and commands. Both answer the
//! same four questions.

use rotunda_metrics::{Metric, node, router, storage};

use crate::history::History;
use crate::scrape::{Between, Scrape};
use crate::state::{Curve, Kpi, Panel, Tone, Unit};

/// Outcomes that are answers like any other, though not what was hoped for.
const REFUSED: &[&str] = &["sold_out", "conflict", "client_error", "quota"];

/// Over how many seconds the throughput is taken,
const THROUGHPUT_SECONDS: usize = 10;
/// and the error rate,
const ERROR_SECONDS: usize = 60;
/// and what is free of errors: all that is kept.
const UPTIME_SECONDS: usize = crate::history::KEPT;

/// What had been counted at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    /// Requests, or entries.
    pub(crate) asked: f64,
    /// Those that ended in an error of ours.
    pub(crate) errors: f64,
    /// Those refused because too much was going on.
    pub(crate) shed: f64,
    /// Tickets, or commands.
    pub(crate) done: f64,
}

impl Totals {
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            asked: self.asked - before.asked,
            errors: self.errors - before.errors,
            shed: self.shed - before.shed,
            done: self.done - before.done,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Plan {
    pub(crate) panels: Vec<Panel>,
    /// One for each curve.
    pub(crate) take: Vec<fn(&Between) -> Option<f64>>,
    pub(crate) wanted: &'static [&'static Metric],
    pub(crate) totals: fn(&Scrape) -> Totals,
    /// How much is taken of how much, and what that is.
    concurrency: fn(&Scrape) -> (f64, f64),
    words: Words,
}

/// What the KPIs are called where they differ.
#[derive(Clone, Copy, Debug)]
struct Words {
    asked: &'static str,
    done: &'static str,
    taken: fn(f64, f64) -> String,
}

impl Plan {
    /// What a router shows.
    #[must_use]
    pub fn router() -> Self {
        let mut plan = Self {
            panels: Vec::new(),
            take: Vec::new(),
            wanted: &[
                &router::HTTP_REQUESTS,
                &router::HTTP_REQUEST_SECONDS,
                &router::INFLIGHT_REQUESTS,
                &router::CONCURRENCY_LIMIT,
                &router::SHED,
                &router::TICKETS_ISSUED,
            ],
            totals: |page| Totals {
                asked: page.total(&router::HTTP_REQUESTS) + turned_away(page),
                errors: outcomes(page, &["error"]),
                shed: outcomes(page, &["shed"]) + turned_away(page),
                done: page.total(&router::TICKETS_ISSUED),
            },
            concurrency: |page| {
                (
                    page.total(&router::INFLIGHT_REQUESTS),
                    page.total(&router::CONCURRENCY_LIMIT),
                )
            },
            words: Words {
                asked: "requests",
                done: "tickets",
                taken: |taken, limit| format!("{} of {} requests in flight", count(taken), count(limit)),
            },
        };
        let panel = plan.panel(
            "Tickets",
            "Tickets of confirmed bookings, each second.",
            Unit::PerSecond,
        );
        panel.curve("tickets", Tone::Good, |page| {
            Some(page.rate(|page| page.total(&router::TICKETS_ISSUED)))
        });
        let panel = plan.panel(
            "Requests",
            "Requests by how they were answered, each second.",
            Unit::PerSecond,
        );
        panel
            .curve("done", Tone::Good, |page| {
                Some(page.rate(|page| outcomes(page, &["ok"])))
            })
            .curve("sold out or refused", Tone::Plain, |page| {
                Some(page.rate(|page| outcomes(page, REFUSED)))
            })
            .curve("shed", Tone::Warn, |page| {
                Some(page.rate(|page| outcomes(page, &["shed"]) + turned_away(page)))
            })
            .curve("our errors", Tone::Bad, |page| {
                Some(page.rate(|page| outcomes(page, &["error"])))
            });
        let panel = plan.panel(
            "In flight",
            "Requests being worked on, and how many may be.",
            Unit::Count,
        );
        panel
            .curve("in flight", Tone::Good, |page| gauge(page, &router::INFLIGHT_REQUESTS))
            .curve("limit", Tone::Warn, |page| gauge(page, &router::CONCURRENCY_LIMIT));
        let panel = plan.panel(
            "Time to answer",
            "From a request's head to its answer, over all routes.",
            Unit::Milliseconds,
        );
        panel
            .curve("half within", Tone::Good, |page| {
                milliseconds(page, &router::HTTP_REQUEST_SECONDS, 0.5)
            })
            .curve("99 % within", Tone::Warn, |page| {
                milliseconds(page, &router::HTTP_REQUEST_SECONDS, 0.99)
            });
        plan
    }

    /// What a node shows.
    #[must_use]
    pub fn node() -> Self {
        let mut plan = Self {
            panels: Vec::new(),
            take: Vec::new(),
            wanted: &[
                &node::RAFT_BATCH_COMMANDS,
                &node::RAFT_PROPOSALS_FAILED,
                &node::HOLDS_EXPIRED,
                &node::COMMANDS_PENDING_BYTES,
                &node::COMMANDS_PENDING_LIMIT_BYTES,
                &storage::FSYNC_SECONDS,
                &storage::APPLY_SECONDS,
            ],
            totals: |page| Totals {
                asked: page.sum_and_count(&node::RAFT_BATCH_COMMANDS).1,
                errors: page.total(&node::RAFT_PROPOSALS_FAILED),
                shed: 0.0,
                done: page.sum_and_count(&node::RAFT_BATCH_COMMANDS).0,
            },
            concurrency: |page| {
                let limit = page.total(&node::COMMANDS_PENDING_LIMIT_BYTES);
                (page.total(&node::COMMANDS_PENDING_BYTES), limit)
            },
            words: Words {
                asked: "entries proposed here",
                done: "commands",
                taken: |taken, limit| format!("{} of {} for commands without an answer", bytes(taken), bytes(limit)),
            },
        };
        let panel = plan.panel(
            "Commands",
            "Commands proposed by shards that this node leads, and entries they went into.",
            Unit::PerSecond,
        );
        panel
            .curve("commands", Tone::Good, |page| {
                Some(page.rate(|page| page.sum_and_count(&node::RAFT_BATCH_COMMANDS).0))
            })
            .curve("entries", Tone::Plain, |page| {
                Some(page.rate(|page| page.sum_and_count(&node::RAFT_BATCH_COMMANDS).1))
            });
        let panel = plan.panel(
            "What went wrong",
            "Entries whose fate nobody could be told, and holds that ran out.",
            Unit::PerSecond,
        );
        panel
            .curve("fate unknown", Tone::Bad, |page| {
                Some(page.rate(|page| page.total(&node::RAFT_PROPOSALS_FAILED)))
            })
            .curve("holds that ran out", Tone::Plain, |page| {
                Some(page.rate(|page| page.total(&node::HOLDS_EXPIRED)))
            });
        let panel = plan.panel(
            "Pending",
            "Memory taken by commands without an answer, and how much may be.",
            Unit::Bytes,
        );
        panel
            .curve("pending", Tone::Good, |page| gauge(page, &node::COMMANDS_PENDING_BYTES))
            .curve("limit", Tone::Warn, |page| {
                gauge(page, &node::COMMANDS_PENDING_LIMIT_BYTES)
            });
        let panel = plan.panel(
            "Disk and rules",
            "Time to sync a batch of the log, and to apply an entry.",
            Unit::Milliseconds,
        );
        panel
            .curve("half synced within", Tone::Good, |page| {
                milliseconds(page, &storage::FSYNC_SECONDS, 0.5)
            })
            .curve("99 % synced within", Tone::Warn, |page| {
                milliseconds(page, &storage::FSYNC_SECONDS, 0.99)
            })
            .curve("99 % applied within", Tone::Plain, |page| {
                milliseconds(page, &storage::APPLY_SECONDS, 0.99)
            });
        plan
    }

    fn panel(&mut self, title: &str, about: &str, unit: Unit) -> Curves<'_> {
        self.panels.push(Panel {
            title: title.to_owned(),
            about: about.to_owned(),
            unit,
            curves: Vec::new(),
        });
        Curves(self)
    }

    /// The curves' values of one second.
    pub(crate) fn values(&self, between: &Between) -> Vec<Option<f64>> {
        let rounded = |value: f64| (value * 1_000.0).round() / 1_000.0;
        self.take.iter().map(|take| take(between).map(rounded)).collect()
    }

    /// The four.
    pub(crate) fn kpis(&self, page: &Scrape, history: &History) -> Vec<Kpi> {
        let (ever, since) = history.counted(UPTIME_SECONDS);
        let (minute, of_minute) = history.counted(ERROR_SECONDS);
        let (lately, seconds) = history.counted(THROUGHPUT_SECONDS);
        let Words { asked, done, taken } = self.words;
        let share = |part: f64, of: f64| (of > 0.0).then(|| part / of);

        let free = share(ever.asked - ever.errors, ever.asked);
        let uptime = Kpi {
            name: "Free of errors".to_owned(),
            value: free,
            text: percent(free, f64::floor),
            note: format!("of {} {asked} in {}", count(ever.asked), span(since)),
            tone: tone(free, |free| free >= 0.9999, |free| free >= 0.999),
        };
        let (used, limit) = (self.concurrency)(page);
        let full = share(used, limit);
        let concurrency = Kpi {
            name: "Concurrency".to_owned(),
            value: full,
            text: percent(full, f64::ceil),
            note: taken(used, limit),
            tone: tone(full, |full| full < 0.7, |full| full < 0.9),
        };
        let rate = (seconds > 0.0).then(|| lately.done / seconds);
        let throughput = Kpi {
            name: "Throughput".to_owned(),
            value: rate,
            text: rate.map_or_else(|| "-".to_owned(), |rate| format!("{}/s", figure(rate))),
            note: format!("{done}, {} in {}", count(ever.done), span(since)),
            tone: Tone::Plain,
        };
        let failed = share(minute.errors + minute.shed, minute.asked);
        let errors = Kpi {
            name: "Error rate".to_owned(),
            value: failed,
            text: percent(failed, f64::ceil),
            note: format!(
                "{} errors, {} shed in {}",
                count(minute.errors),
                count(minute.shed),
                span(of_minute)
            ),
            tone: tone(failed, |failed| failed <= 0.0001, |failed| failed < 0.01),
        };
        vec![uptime, concurrency, throughput, errors]
    }
}

/// The panel that was begun last.
struct Curves<'a>(&'a mut Plan);

impl Curves<'_> {
    fn curve(self, name: &str, tone: Tone, take: fn(&Between) -> Option<f64>) -> Self {
        if let Some(panel) = self.0.panels.last_mut() {
            panel.curves.push(Curve {
                name: name.to_owned(),
                tone,
            });
            self.0.take.push(take);
        }
        self
    }
}

fn outcomes(page: &Scrape, among: &[&str]) -> f64 {
    page.total_of(&router::HTTP_REQUESTS, "outcome", among)
}

/// Connections that found no place: no request was read from them.
fn turned_away(page: &Scrape) -> f64 {
    page.total_of(&router::SHED, "reason", &["connections"])
}

fn gauge(between: &Between, metric: &Metric) -> Option<f64> {
    between.now.has(metric).then(|| between.now.total(metric))
}

fn milliseconds(between: &Between, metric: &Metric, share: f64) -> Option<f64> {
    between.quantile(metric, share).map(|seconds| seconds * 1_000.0)
}

fn tone(value: Option<f64>, good: impl Fn(f64) -> bool, fair: impl Fn(f64) -> bool) -> Tone {
    match value {
        None => Tone::Plain,
        Some(value) if good(value) => Tone::Good,
        Some(value) if fair(value) => Tone::Warn,
        Some(_) => Tone::Bad,
    }
}

/// To the third place; rounded to the worse side, so that nothing is called perfect that is not.
fn percent(share: Option<f64>, to_worse: fn(f64) -> f64) -> String {
    let Some(share) = share else { return "-".to_owned() };
    // What is a little off because it is binary is not worse.
    let thousandths = share * 100_000.0;
    let whole = thousandths.round();
    let whole = if (thousandths - whole).abs() < 1e-6 {
        whole
    } else {
        to_worse(thousandths)
    };
    let text = format!("{:.3}", whole / 1_000.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn figure(value: f64) -> String {
    if value >= 100.0 {
        count(value)
    } else {
        format!("{value:.1}")
    }
}

/// A whole number in groups of three digits.
fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes(value: f64) -> String {
    match value {
        small if small < 1_048_576.0 => format!("{:.0} KiB", small / 1_024.0),
        large => format!("{:.0} MiB", large / 1_048_576.0),
    }
}

fn span(seconds: f64) -> String {
    match seconds {
        short if short < 120.0 => format!("{short:.0} s"),
        long => format!("{:.0} min", long / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Second;

    fn router(ok: u32, errors: u32, shed: u32, tickets: u32) -> Scrape {
        let page = format!(
            "rotunda_http_requests_total{{route=\"a\",method=\"POST\",outcome=\"ok\"}} {ok}\n\
             rotunda_http_requests_total{{route=\"a\",method=\"POST\",outcome=\"error\"}} {errors}\n\
             rotunda_http_requests_total{{route=\"a\",method=\"POST\",outcome=\"sold_out\"}} 0\n\
             rotunda_router_shed_total{{reason=\"connections\"}} {shed}\n\
             rotunda_router_shed_total{{reason=\"in_flight\"}} 99\n\
             rotunda_tickets_issued_total{{venue=\"v\",channel=\"web\"}} {tickets}\n\
             rotunda_router_inflight_requests 230\nrotunda_router_concurrency_limit 256\n"
        );
        Scrape::read(&page, Plan::router().wanted)
    }

    /// The KPIs after these, a second apart.
    fn kpis(pages: &[Scrape]) -> Vec<Kpi> {
        let (plan, mut history) = (Plan::router(), History::default());
        for (n, page) in pages.iter().enumerate() {
            history.push(Second {
                time: n as u64 * 1_000,
                values: Vec::new(),
                totals: (plan.totals)(page),
            });
        }
        plan.kpis(pages.last().expect("one"), &history)
    }

    #[test]
    fn the_four_kpis_are_as_they_are_defined() {
        let found = kpis(&[router(0, 0, 0, 0), router(99_989, 1, 10, 1_234)]);
        let texts: Vec<&str> = found.iter().map(|kpi| kpi.text.as_str()).collect();
        // A connection that is shed is an error by rate, and not an error of ours.
        assert_eq!(texts, ["99.999 %", "89.844 %", "1,234/s", "0.011 %"]);
        let tones: Vec<Tone> = found.iter().map(|kpi| kpi.tone).collect();
        assert_eq!(tones, [Tone::Good, Tone::Warn, Tone::Plain, Tone::Warn]);
        assert_eq!(found[0].note, "of 100,000 requests in 1 s");
        assert_eq!(found[1].note, "230 of 256 requests in flight");
        assert_eq!(found[3].note, "1 errors, 10 shed in 1 s");
    }

    #[test]
    fn nothing_is_said_of_what_nobody_asked() {
        let found = kpis(&[router(0, 0, 0, 0), router(0, 0, 0, 0)]);
        assert_eq!(
            (found[0].value, found[0].text.as_str(), found[0].tone),
            (None, "-", Tone::Plain)
        );
        assert_eq!(found[3].text, "-");
    }

    #[test]
    fn what_is_not_perfect_is_not_called_so() {
        assert_eq!(percent(Some(0.999_999_9), f64::floor), "99.999 %");
        assert_eq!(percent(Some(1.0), f64::floor), "100 %");
        assert_eq!(percent(Some(0.000_000_1), f64::ceil), "0.001 %");
        assert_eq!(percent(Some(0.5), f64::ceil), "50 %");
        assert_eq!(
            (count(999.0), count(1_000.0), count(1_234_567.4)),
            ("999".into(), "1,000".into(), "1,234,567".into())
        );
    }

    #[test]
    fn every_curve_has_its_value_and_is_registered_under_that_name() {
        for plan in [Plan::router(), Plan::node()] {
            let curves: usize = plan.panels.iter().map(|panel| panel.curves.len()).sum();
            assert_eq!(curves, plan.take.len());
            let all = rotunda_metrics::all();
            for metric in plan.wanted {
                assert!(all.iter().any(|known| known.name == metric.name), "{}", metric.name);
            }
        }
        let (before, now) = (router(0, 0, 0, 0), router(40, 2, 4, 30));
        let between = Between {
            before: &before,
            now: &now,
            seconds: 2.0,
        };
        let values = Plan::router().values(&between);
        let wanted = [
            Some(15.0),
            Some(20.0),
            Some(0.0),
            Some(2.0),
            Some(1.0),
            Some(230.0),
            Some(256.0),
            None,
            None,
        ];
        assert_eq!(values, wanted);
    }
}
