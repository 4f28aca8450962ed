//! A benchmark as a page: rate and latency by the second, who used the processor, what the audit says, what repeats it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::report::{thousands, way};
use super::run::{Outcome, Plan, median};
use crate::report::html::{self, Escaped, chart};

/// The page of several runs of one plan; the picture is of the median.
#[must_use]
pub fn page(plan: &Plan, outcomes: &[Outcome], command: &str) -> String {
    let mut page = String::with_capacity(64 << 10);
    // Writing into a string does not fail.
    let _ = write(&mut page, plan, outcomes, command);
    page
}

fn write(page: &mut String, plan: &Plan, outcomes: &[Outcome], command: &str) -> fmt::Result {
    let headline = plan.workload.headline();
    html::begin(page, &format!("bench {}", plan.workload))?;
    let sound = outcomes.iter().all(|outcome| outcome.audit.is_sound());
    let Some(middle) = median(outcomes, headline) else {
        html::end(page);
        return Ok(());
    };
    writeln!(
        page,
        "<header class=\"{}\"><p>{}, {}, {} clients, {} shards{}</p><h1>{} {headline:?} a second</h1></header>",
        if sound { "sound" } else { "violated" },
        plan.workload,
        way(plan.way),
        plan.clients,
        plan.shards,
        if sound {
            "; the audit is sound"
        } else {
            "; THE AUDIT FOUND SOMETHING"
        },
        thousands(middle.rate(headline))
    )?;
    if let Some(outcome) = middle.deeds.get(&headline) {
        let latency = |micros: u64| chart::duration(micros * 1_000);
        let (counts, times) = (outcome.counts, outcome.corrected_us.unwrap_or(outcome.latency_us));
        html::tiles(
            page,
            &[
                ("done", counts.done.to_string()),
                ("refused by the rules", counts.refused.to_string()),
                ("turned away", counts.shed.to_string()),
                ("failed", counts.failed.to_string()),
                ("p50", latency(times.p50)),
                ("p99", latency(times.p99)),
                ("p99.9", latency(times.p999)),
                ("longest", latency(times.max)),
                ("runs", outcomes.len().to_string()),
            ],
        )?;
    }
    if let Some(samples) = &middle.samples {
        chart::write(page, &samples.timeline())?;
    }
    processes(page, middle)?;
    audits(page, outcomes)?;
    html::repeat(page, command, &environment(plan))?;
    html::end(page);
    Ok(())
}

fn processes(page: &mut String, outcome: &Outcome) -> fmt::Result {
    page.push_str(
        "<section>\n<h2>Who used the processor</h2>\n<table>\n<thead><tr><th>Process</th><th>Cores</th>\
         <th>Microseconds for each</th><th>Memory</th></tr></thead>\n<tbody>\n",
    );
    for used in &outcome.cpu {
        writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{:.2}</td><td>{:.1}</td><td>{} MiB</td></tr>",
            Escaped(&used.name),
            used.cores,
            used.us_each,
            used.resident >> 20
        )?;
    }
    page.push_str("</tbody>\n</table>\n</section>\n");
    Ok(())
}

fn audits(page: &mut String, outcomes: &[Outcome]) -> fmt::Result {
    page.push_str("<section>\n<h2>Audit</h2>\n<ul>\n");
    for outcome in outcomes {
        let audit = &outcome.audit;
        writeln!(
            page,
            "<li>{} acknowledgements found in the log, {} places acknowledged, {} taken, {} unknown</li>",
            audit.in_the_log, audit.places_acknowledged, audit.places_taken, audit.places_unknown
        )?;
        for finding in &audit.findings {
            writeln!(page, "<li>{}</li>", Escaped(finding))?;
        }
    }
    page.push_str("</ul>\n</section>\n");
    Ok(())
}

fn environment(plan: &Plan) -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let mut environment = BTreeMap::from([
        ("cores".to_owned(), cores.to_string()),
        ("rotunda-bench".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("seconds".to_owned(), plan.span.as_secs().to_string()),
        ("warm-up".to_owned(), plan.warm_up.as_secs().to_string()),
    ]);
    for (name, file) in [
        ("kernel", "/proc/sys/kernel/osrelease"),
        ("load when it ended", "/proc/loadavg"),
    ] {
        if let Ok(text) = std::fs::read_to_string(file) {
            environment.insert(name.to_owned(), text.trim().to_owned());
        }
    }
    environment
}
