//! How long it took, many times: percentiles in words, and a picture of the distribution.

use std::fmt::Write as _;
use std::time::Duration;

/// Bars of the picture.
const BARS: usize = 40;
const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 320.0;
/// Room around the bars: left, right, top, bottom.
const MARGIN: [f64; 4] = [50.0, 20.0, 50.0, 50.0];

/// A distribution of times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    sorted: Vec<Duration>,
}

impl Times {
    /// Of these.
    #[must_use]
    pub fn of(times: &[Duration]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        Times { sorted }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The time that so many in a hundred do not exceed: the nearest rank. None of none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied()
    }

    /// In one line. None of none.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(|percent| self.percentile(percent));
        Some(format!(
            "{} times: p50 {} ms, p90 {} ms, p99 {} ms, max {} ms",
            self.count(),
            p50?.as_millis(),
            p90?.as_millis(),
            p99?.as_millis(),
            max?.as_millis()
        ))
    }

    /// Every time in milliseconds, in order of length, ten a line.
    #[must_use]
    pub fn in_full(&self) -> String {
        let lines = self.sorted.chunks(10).map(|chunk| {
            let numbers: Vec<String> = chunk.iter().map(|time| time.as_millis().to_string()).collect();
            format!("{}\n", numbers.join(" "))
        });
        lines.collect()
    }

    /// A histogram as SVG, with p50, p99 and the longest marked. None of none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    pub fn picture(&self, title: &str) -> Option<String> {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        let longest = ms(self.percentile(100)?);
        let [left, right, top, bottom] = MARGIN;
        let (width, height) = (WIDTH - left - right, HEIGHT - top - bottom);
        let step = round_up(longest / BARS as f64);
        let end = step * BARS as f64;
        let mut bars = [0_usize; BARS];
        for time in &self.sorted {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bar's number")]
            let bar = ((ms(*time) / step) as usize).min(BARS - 1);
            bars[bar] += 1;
        }
        let tallest = bars.iter().copied().max().unwrap_or(1).max(1);
        let x = |ms: f64| left + ms / end * width;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{left}\" y=\"20\" font-size=\"15\">{}</text>\n",
            escaped(title)
        );
        for (number, count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
            let tall = *count as f64 / tallest as f64 * height;
            // Writing into a string does not fail.
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" fill=\"#2b6cb0\"><title>{:.0} to {:.0} ms: {count}</title></rect>",
                x(number as f64 * step) + 0.5,
                top + height - tall,
                width / BARS as f64 - 1.0,
                number as f64 * step,
                (number + 1) as f64 * step,
            );
        }
        let base = top + height;
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{base}\" x2=\"{:.1}\" y2=\"{base}\" stroke=\"#444\"/>",
            left + width
        );
        for tick in 0..=5 {
            let at = end * f64::from(tick) / 5.0;
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at:.0} ms</text>",
                x(at),
                base + 18.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{tallest}</text>",
            left - 6.0,
            top + 10.0
        );
        for (row, (name, percent, colour)) in [("p50", 50, "#2f855a"), ("p99", 99, "#c05621"), ("max", 100, "#c53030")]
            .into_iter()
            .enumerate()
        {
            let at = ms(self.percentile(percent)?);
            let _ = writeln!(
                svg,
                "<line x1=\"{0:.1}\" y1=\"{top}\" x2=\"{0:.1}\" y2=\"{base}\" stroke=\"{colour}\" stroke-dasharray=\"4 3\"/>\n\
                 <text x=\"{1:.1}\" y=\"38\" fill=\"{colour}\">{name} {at:.0} ms</text>",
                x(at),
                left + 130.0 * row as f64,
            );
        }
        svg.push_str("</svg>\n");
        Some(svg)
    }
}

/// 1, 2 or 5 times a power of ten, and at least one.
fn round_up(wanted: f64) -> f64 {
    let mut power = 1.0;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if power * factor >= wanted {
                return power * factor;
            }
        }
        power *= 10.0;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up_to(last: u64) -> Times {
        let times: Vec<Duration> = (1..=last).rev().map(Duration::from_millis).collect();
        Times::of(&times)
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = up_to(500);
        assert_eq!(times.percentile(50), Some(Duration::from_millis(250)));
        assert_eq!(times.percentile(99), Some(Duration::from_millis(495)));
        assert_eq!(times.percentile(100), Some(Duration::from_millis(500)));
        assert_eq!(up_to(1).percentile(50), Some(Duration::from_millis(1)));
        assert_eq!(Times::of(&[]).percentile(50), None);
        assert_eq!(
            times.in_words().as_deref(),
            Some("500 times: p50 250 ms, p90 450 ms, p99 495 ms, max 500 ms")
        );
        assert_eq!(times.in_full().lines().count(), 50);
    }

    #[test]
    fn the_picture_shows_every_time_and_marks_the_slowest() {
        let svg = up_to(437).picture("kill < booking").expect("a picture");
        let counted: usize = svg
            .match_indices(" ms: ")
            .map(|(at, word)| {
                let rest = &svg[at + word.len()..];
                rest[..rest.find('<').expect("an end")]
                    .parse::<usize>()
                    .expect("a count")
            })
            .sum();
        assert_eq!(counted, 437);
        assert!(
            svg.contains("p50 219 ms") && svg.contains("p99 433 ms") && svg.contains("max 437 ms"),
            "{svg}"
        );
        assert!(svg.contains("kill &lt; booking"));
        assert_eq!(Times::of(&[]).picture("none"), None);
    }

    #[test]
    fn bars_have_round_lengths() {
        for (wanted, got) in [(0.1, 1.0), (1.5, 2.0), (3.0, 5.0), (9.0, 10.0), (130.0, 200.0)] {
            assert!((round_up(wanted) - got).abs() < f64::EPSILON, "{wanted}");
        }
    }
}
