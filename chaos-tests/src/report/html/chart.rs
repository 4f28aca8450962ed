//! The picture: what was broken, over throughput, latency and errors, on one axis of time.

use std::fmt::{self, Write as _};

use super::Escaped;
use crate::history::lines::Healing;
use crate::report::timeline::{Column, Lane, Timeline};

/// Units of a drawing; it stretches with the page.
const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 100.0;

type Count = fn(&Column) -> u64;
type Latency = fn(&Column) -> Option<u64>;

/// Writes it.
pub(crate) fn write(page: &mut String, timeline: &Timeline) -> fmt::Result {
    page.push_str("<div class=\"charts\">\n");
    if timeline.lanes.is_empty() {
        page.push_str("<figure><figcaption><b>Nothing was broken</b></figcaption></figure>\n");
    }
    for lane in &timeline.lanes {
        write_lane(page, timeline, lane)?;
    }
    throughput(page, timeline)?;
    latency(page, timeline)?;
    errors(page, timeline)?;
    axis(page, timeline)?;
    page.push_str("</div>\n");
    Ok(())
}

/// A length of time as people say it.
pub(crate) fn duration(ns: u64) -> String {
    let (micros, millis, seconds) = (ns / 1_000, ns / 1_000_000, ns / 1_000_000_000);
    match ns {
        0 => "0".to_owned(),
        1..1_000_000 => format!("{micros} µs"),
        1_000_000..10_000_000 => format!("{millis}.{} ms", micros / 100 % 10),
        10_000_000..1_000_000_000 => format!("{millis} ms"),
        1_000_000_000..10_000_000_000 => format!("{seconds}.{} s", millis / 100 % 10),
        10_000_000_000..120_000_000_000 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a place on the page, not an amount")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn x(timeline: &Timeline, ns: u64) -> f64 {
    share(ns, timeline.end_ns) * WIDTH
}

fn write_lane(page: &mut String, timeline: &Timeline, lane: &Lane) -> fmt::Result {
    writeln!(
        page,
        "<figure><figcaption><b>{}</b><span class=\"key fault\"><span>{} times</span></span></figcaption>",
        Escaped(&lane.fault),
        lane.spans.len()
    )?;
    open(page, &format!("when {} was on", lane.fault), "low")?;
    for (from, until, target) in &lane.spans {
        let left = x(timeline, *from);
        // A moment is still seen.
        let width = (x(timeline, *until) - left).max(2.0);
        writeln!(
            page,
            "<rect class=\"fault\" x=\"{left:.1}\" y=\"12\" width=\"{width:.1}\" height=\"76\"><title>{} of {}, {} to {}</title></rect>",
            Escaped(&lane.fault),
            Escaped(target),
            duration(*from),
            duration(*until)
        )?;
    }
    page.push_str("</svg></figure>\n");
    Ok(())
}

fn open(page: &mut String, label: &str, class: &str) -> fmt::Result {
    writeln!(
        page,
        "<svg class=\"{class}\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\">",
        Escaped(label)
    )
}

/// The faults as bands behind, a line across the middle, and the heal phase.
fn backdrop(page: &mut String, timeline: &Timeline) -> fmt::Result {
    for (from, until, _) in timeline.lanes.iter().flat_map(|lane| &lane.spans) {
        let left = x(timeline, *from);
        let width = (x(timeline, *until) - left).max(1.0);
        writeln!(
            page,
            "<rect class=\"band\" x=\"{left:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{HEIGHT}\" />"
        )?;
    }
    writeln!(
        page,
        "<line class=\"grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"50\" y2=\"50\" />"
    )?;
    for (phase, at) in &timeline.heals {
        let left = x(timeline, *at);
        let text = match phase {
            Healing::Begin => "all faults off",
            Healing::Served => "served again",
        };
        writeln!(
            page,
            "<line class=\"heal\" x1=\"{left:.1}\" x2=\"{left:.1}\" y1=\"0\" y2=\"{HEIGHT}\"><title>{text} at {}</title></line>",
            duration(*at)
        )?;
    }
    Ok(())
}

/// Bars, one class on the other.
fn bars(page: &mut String, timeline: &Timeline, most: u64, parts: [(&str, Count); 2]) -> fmt::Result {
    for (number, column) in timeline.columns.iter().enumerate() {
        let left = x(timeline, number as u64 * timeline.column_ns);
        let width = x(timeline, timeline.column_ns);
        let mut below = 0;
        for (class, count) in parts {
            let count = count(column);
            if count == 0 {
                continue;
            }
            let height = share(count, most) * HEIGHT;
            let top = HEIGHT - share(below + count, most) * HEIGHT;
            writeln!(
                page,
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.2}\" width=\"{width:.1}\" height=\"{height:.2}\" />"
            )?;
            below += count;
        }
    }
    Ok(())
}

fn per_second(timeline: &Timeline, count: u64) -> String {
    let scaled = u128::from(count) * 10_000_000_000 / u128::from(timeline.column_ns.max(1));
    if scaled >= 100 {
        format!("{}/s", scaled / 10)
    } else {
        format!("{}.{}/s", scaled / 10, scaled % 10)
    }
}

fn throughput(page: &mut String, timeline: &Timeline) -> fmt::Result {
    let answered = |column: &Column| column.ok + column.refused;
    let most = timeline.columns.iter().map(answered).max().unwrap_or(0).max(1);
    writeln!(
        page,
        "<figure><figcaption><b>Answers</b><span class=\"key ok\"><span>done</span></span><span class=\"key refused\">\
         <span>refused by the rules</span></span><i>top: {}</i></figcaption>",
        per_second(timeline, most)
    )?;
    open(page, "answers over time", "tall")?;
    backdrop(page, timeline)?;
    bars(
        page,
        timeline,
        most,
        [("ok", |column| column.ok), ("refused", |column| column.refused)],
    )?;
    page.push_str("</svg></figure>\n");
    Ok(())
}

/// Latencies lie far apart, so the scale is of powers: each step up is ten times as long.
fn height(ns: u64, least: u64, most: u64) -> f64 {
    let log = |ns: u64| share(ns.max(1), 1).log10();
    let range = (log(most) - log(least)).max(0.1);
    HEIGHT - ((log(ns) - log(least)) / range).clamp(0.0, 1.0) * HEIGHT
}

fn latency(page: &mut String, timeline: &Timeline) -> fmt::Result {
    let all = || {
        timeline
            .columns
            .iter()
            .flat_map(|column| [column.p50_ns, column.p99_ns])
            .flatten()
    };
    let tenfold = |ns: u64| 10u64.saturating_pow(ns.max(1).ilog10());
    let least = tenfold(all().min().unwrap_or(1_000_000));
    let most = tenfold(all().max().unwrap_or(10_000_000)).saturating_mul(10);
    writeln!(
        page,
        "<figure><figcaption><b>Latency</b><span class=\"key median\"><span>p50</span></span><span class=\"key slow\">\
         <span>p99</span></span><i>{} to {}, by powers of ten</i></figcaption>",
        duration(least),
        duration(most)
    )?;
    open(
        page,
        "latency over time, half of the answers and all but one of a hundred",
        "tall",
    )?;
    backdrop(page, timeline)?;
    let lines: [(&str, Latency); 2] = [("slow", |column| column.p99_ns), ("median", |column| column.p50_ns)];
    for (class, latency) in lines {
        let mut path = String::new();
        let mut pen = 'M';
        for (number, column) in timeline.columns.iter().enumerate() {
            match latency(column) {
                None => pen = 'M',
                Some(ns) => {
                    let (left, top) = (x(timeline, number as u64 * timeline.column_ns), height(ns, least, most));
                    let right = left + x(timeline, timeline.column_ns);
                    // A step as wide as the column: a lone one is seen too.
                    write!(path, "{pen}{left:.1} {top:.2}H{right:.1}")?;
                    pen = 'L';
                }
            }
        }
        if !path.is_empty() {
            writeln!(page, "<path class=\"{class}\" d=\"{path}\" />")?;
        }
    }
    page.push_str("</svg></figure>\n");
    Ok(())
}

fn errors(page: &mut String, timeline: &Timeline) -> fmt::Result {
    let failed = |column: &Column| column.unknown + column.turned_away;
    let most = timeline.columns.iter().map(failed).max().unwrap_or(0);
    let top = if most == 0 {
        "none".to_owned()
    } else {
        format!("top: {}", per_second(timeline, most))
    };
    writeln!(
        page,
        "<figure><figcaption><b>Errors</b><span class=\"key unknown\"><span>unknown</span></span><span class=\"key away\">\
         <span>turned away</span></span><i>{top}</i></figcaption>"
    )?;
    open(page, "errors over time", "tall")?;
    backdrop(page, timeline)?;
    bars(
        page,
        timeline,
        most.max(1),
        [
            ("unknown", |column| column.unknown),
            ("away", |column| column.turned_away),
        ],
    )?;
    page.push_str("</svg></figure>\n");
    Ok(())
}

fn axis(page: &mut String, timeline: &Timeline) -> fmt::Result {
    page.push_str("<div class=\"axis\">");
    for quarter in 0..=4 {
        write!(page, "<span>{}</span>", duration(timeline.end_ns / 4 * quarter))?;
    }
    page.push_str("</div>\n");
    if !timeline.heals.is_empty() {
        page.push_str("<p class=\"key heal\"><span>dashed: all faults off, and served again</span></p>\n");
    }
    Ok(())
}
