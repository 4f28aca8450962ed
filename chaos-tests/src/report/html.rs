//! A run on one page: one file, no script, nothing fetched. The picture first, then what was found, then the invariants with
//! their counts, then where it ran and what repeats it.
//!
//! Shapes are inline SVG that stretches with the page; all words are HTML beside them, so that they keep their size on a
//! phone. Colours come from variables with a second set for the dark.

pub(crate) mod chart;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::timeline::Timeline;
use crate::history::lines::Phase;
use crate::history::reader::Saved;
use crate::invariants::{Finding, Ruling, Verdict, is_sound};

/// A text from outside, on its way into the page.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // A page may not hold them, not even as references.
                control if control.is_control() && control != '\n' && control != '\t' => f.write_str("\u{fffd}")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = include_str!("html/style.css");

/// The page.
#[must_use]
pub fn page(saved: &Saved, verdicts: &[Verdict]) -> String {
    let mut page = String::with_capacity(64 << 10);
    // Writing into a string does not fail.
    let _ = write(&mut page, saved, verdicts);
    page
}

fn write(page: &mut String, saved: &Saved, verdicts: &[Verdict]) -> fmt::Result {
    let header = &saved.header;
    let name = if header.name.is_empty() { "a run" } else { &header.name };
    begin(page, name)?;
    headline(page, saved, verdicts, name)?;
    let timeline = Timeline::of(saved);
    tiles_of(page, saved, &timeline)?;
    chart::write(page, &timeline)?;
    findings(page, verdicts)?;
    invariants(page, verdicts)?;
    environment(page, saved)?;
    end(page);
    Ok(())
}

/// What a page begins with.
pub(crate) fn begin(page: &mut String, name: &str) -> fmt::Result {
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\" />\n\
         <title>Rotunda: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        Escaped(name)
    )
}

/// What it ends with.
pub(crate) fn end(page: &mut String) {
    page.push_str("</main>\n</body>\n</html>\n");
}

fn headline(page: &mut String, saved: &Saved, verdicts: &[Verdict], name: &str) -> fmt::Result {
    let violated: Vec<&str> = verdicts
        .iter()
        .filter(|verdict| verdict.found > 0)
        .map(|verdict| verdict.id)
        .collect();
    let (class, text) = if is_sound(verdicts) {
        let open = verdicts
            .iter()
            .filter(|verdict| verdict.ruling() != Ruling::Sound)
            .count();
        let text = match open {
            0 => "Sound: every invariant held".to_owned(),
            open => format!(
                "Sound as far as was looked: {} invariants held, {open} open",
                verdicts.len() - open
            ),
        };
        ("sound", text)
    } else {
        ("violated", format!("Violated: {}", violated.join(", ")))
    };
    let seed = saved
        .header
        .seed
        .map(|seed| format!(", seed {seed}"))
        .unwrap_or_default();
    writeln!(
        page,
        "<header class=\"{class}\"><p>{}{seed}</p><h1>{}</h1></header>",
        Escaped(name),
        Escaped(&text)
    )
}

fn tiles_of(page: &mut String, saved: &Saved, timeline: &Timeline) -> fmt::Result {
    let whole = &timeline.whole;
    let faults = saved.faults.iter().filter(|fault| fault.phase == Phase::Begin).count();
    let latency = |ns: Option<u64>| ns.map_or("none".to_owned(), chart::duration);
    let numbers = [
        ("operations", saved.operations.len().to_string()),
        ("done", whole.ok.to_string()),
        ("refused by the rules", whole.refused.to_string()),
        ("turned away", whole.turned_away.to_string()),
        ("unknown", whole.unknown.to_string()),
        ("faults", faults.to_string()),
        ("p50", latency(whole.p50_ns)),
        ("p99", latency(whole.p99_ns)),
        ("length", chart::duration(timeline.end_ns)),
    ];
    tiles(page, &numbers)
}

/// The numbers that one looks at first.
pub(crate) fn tiles(page: &mut String, tiles: &[(&str, String)]) -> fmt::Result {
    page.push_str("<dl class=\"tiles\">\n");
    for (name, value) in tiles {
        writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(value))?;
    }
    page.push_str("</dl>\n");
    Ok(())
}

fn class(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::Sound => "sound",
        Ruling::Violated => "violated",
        Ruling::Undecided | Ruling::NotCovered => "open",
    }
}

fn invariants(page: &mut String, verdicts: &[Verdict]) -> fmt::Result {
    page.push_str(
        "<section>\n<h2>Invariants</h2>\n<table>\n<thead><tr><th>Invariant</th><th>What holds</th><th>Looked at</th>\
         <th>Verdict</th></tr></thead>\n<tbody>\n",
    );
    for verdict in verdicts {
        let counts = verdict.looked_at.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(what, count)| format!("{count} {what}")).collect();
        let ruling = verdict.ruling();
        let mut looked_at = counts.join(", ");
        for reason in verdict.undecided.iter().chain(&verdict.not_covered) {
            let joint = if looked_at.is_empty() { "" } else { "; " };
            let _ = write!(looked_at, "{joint}{reason}");
        }
        writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"{}\">{ruling}</td></tr>",
            Escaped(verdict.id),
            Escaped(verdict.promise),
            Escaped(&looked_at),
            class(ruling)
        )?;
    }
    page.push_str("</tbody>\n</table>\n</section>\n");
    Ok(())
}

fn findings(page: &mut String, verdicts: &[Verdict]) -> fmt::Result {
    for verdict in verdicts.iter().filter(|verdict| verdict.found > 0) {
        writeln!(
            page,
            "<section>\n<h2>{} violated, findings: {}</h2>",
            Escaped(verdict.id),
            verdict.found
        )?;
        for (number, finding) in verdict.findings.iter().enumerate() {
            write_finding(page, finding, number == 0)?;
        }
        let more = verdict.found - verdict.findings.len() as u64;
        if more > 0 {
            writeln!(page, "<p>and {more} more</p>")?;
        }
        page.push_str("</section>\n");
    }
    Ok(())
}

fn write_finding(page: &mut String, finding: &Finding, open: bool) -> fmt::Result {
    let open = if open { " open=\"open\"" } else { "" };
    writeln!(
        page,
        "<details{open}><summary>{}</summary>",
        Escaped(&finding.to_string())
    )?;
    if !finding.last_events.is_empty() {
        page.push_str("<ol>\n");
        for event in &finding.last_events {
            writeln!(page, "<li>{}</li>", Escaped(event))?;
        }
        page.push_str("</ol>\n");
    }
    page.push_str("</details>\n");
    Ok(())
}

fn environment(page: &mut String, saved: &Saved) -> fmt::Result {
    repeat(page, &saved.header.command, &saved.header.environment)
}

/// The command that does it again, and where it was done.
pub(crate) fn repeat(page: &mut String, command: &str, environment: &BTreeMap<String, String>) -> fmt::Result {
    page.push_str("<section>\n<h2>To repeat it</h2>\n");
    if command.is_empty() {
        page.push_str("<p>The history does not say.</p>\n");
    } else {
        writeln!(page, "<pre>{}</pre>", Escaped(command))?;
    }
    page.push_str("<h2>Where it ran</h2>\n<dl class=\"environment\">\n");
    for (name, value) in environment {
        writeln!(page, "<dt>{}</dt><dd>{}</dd>", Escaped(name), Escaped(value))?;
    }
    if environment.is_empty() {
        page.push_str("<dt>environment</dt><dd>the history does not say</dd>\n");
    }
    page.push_str("</dl>\n</section>\n");
    Ok(())
}

#[cfg(test)]
mod tests;
