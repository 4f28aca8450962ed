//! How visitors arrive when a sale begins: quiet, then thousands a second within ten seconds, then a long decay. The file is
//! drawn after published on-sales; `--scale` fits it to a machine.

/// Seconds and arrivals, behind a line of heading.
const ARRIVALS: &str = include_str!("onsale-arrivals.csv");

/// The seconds around the opening, which is at 120: from the quiet into the peak.
const RUSH: std::ops::Range<usize> = 115..175;

/// Arrivals in the minute of the opening alone, times `scale`.
#[must_use]
pub fn rush(scale: f64) -> Vec<u64> {
    let mut arrivals = arrivals(scale);
    arrivals.truncate(RUSH.end);
    arrivals.split_off(RUSH.start.min(arrivals.len()))
}

/// Arrivals in each second, times `scale`.
#[must_use]
pub fn arrivals(scale: f64) -> Vec<u64> {
    let counts = ARRIVALS
        .lines()
        .filter_map(|line| line.split_once(',')?.1.parse::<u32>().ok());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of people"
    )]
    counts
        .map(|count| (f64::from(count) * scale).round().max(0.0) as u64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_to_its_end() {
        let whole = arrivals(1.0);
        assert_eq!(
            whole.len(),
            ARRIVALS
                .lines()
                .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
                .count()
        );
        assert!(whole.iter().max() >= Some(&3_000), "the spike is in it");
        let sum = |counts: &[u64]| counts.iter().sum::<u64>();
        let half = sum(&arrivals(0.5));
        let rush = rush(1.0);
        assert_eq!(rush.len(), RUSH.len());
        assert_eq!(rush.iter().max(), whole.iter().max());
        assert!(rush[0] < rush[30] / 10, "it begins in the quiet");
        assert!(half.abs_diff(sum(&whole) / 2) <= whole.len() as u64);
    }
}
