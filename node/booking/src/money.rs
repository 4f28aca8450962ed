//! Money: whole minor units of one currency, as `i64`. No fraction, no float, no exchange.
//!
//! Apply prices lines with it. Only [`currency_digits`] opens a table, and only the importer calls it: the digits
//! travel in the catalogue, for two versions of a binary may carry different tables.

/// Tax contained in `total`, where `total` includes it: `total x bp / (10000 + bp)`, rounded half away from zero.
/// `basis_points` of 600 are 6 %.
#[must_use]
pub fn contained_tax(total: i64, basis_points: u32) -> i64 {
    // What fits is divided by the processor; wider numbers take a function that is ten times as long.
    if let (Ok(total), Some(denominator)) = (i32::try_from(total), 10_000u32.checked_add(basis_points))
        && basis_points <= 1_000_000
    {
        let (numerator, denominator) = (i64::from(total) * i64::from(basis_points), i64::from(denominator));
        let magnitude = (2 * numerator.abs() + denominator) / (2 * denominator);
        return magnitude * numerator.signum();
    }
    let numerator = i128::from(total) * i128::from(basis_points);
    let denominator = 10_000 + i128::from(basis_points);
    let magnitude = (2 * numerator.abs() + denominator) / (2 * denominator);
    // The tax is a part of the total, so it fits where the total did.
    (magnitude * numerator.signum()) as i64
}

/// `price x quantity`, or `None` where it does not fit.
#[must_use]
pub fn line_total(price: i64, quantity: u32) -> Option<i64> {
    price.checked_mul(i64::from(quantity))
}

/// Splits `total` in proportion to `weights`, so that the parts sum to it exactly: each part gets its share rounded
/// towards zero, and the units left over go one each to the largest remainders, the earlier part first among equals.
///
/// Negative weights count as zero; where no weight is positive the parts are as equal as they can be. A negative total
/// gives the negated parts of the positive one. Without weights there are no parts.
#[must_use]
pub fn largest_remainder(total: i64, weights: &[i64]) -> Vec<i64> {
    let mut weights: Vec<i128> = weights.iter().map(|weight| i128::from((*weight).max(0))).collect();
    if weights.iter().all(|weight| *weight == 0) {
        weights.fill(1);
    }
    let sum: i128 = weights.iter().sum();
    let magnitude = i128::from(total).abs();
    let mut parts: Vec<i128> = weights.iter().map(|weight| magnitude * weight / sum).collect();
    let left_over = magnitude - parts.iter().sum::<i128>();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    // The sort is stable, so equal remainders stay in order of position.
    by_remainder.sort_by_key(|part| std::cmp::Reverse(magnitude * weights[*part] % sum));
    // Fewer units are left over than there are parts: each share lost less than one.
    for part in by_remainder.into_iter().take(usize::try_from(left_over).unwrap_or(0)) {
        parts[part] += 1;
    }
    let sign = i128::from(total.signum());
    parts.into_iter().map(|part| (part * sign) as i64).collect()
}

/// Digits of the minor unit of an ISO 4217 currency (JPY 0, EUR 2, KWD 3), or `None` where the code is not that of
/// money in use (funds, metals and test codes are not). For the importer; apply takes the digits from the catalogue.
#[must_use]
pub fn currency_digits(code: &str) -> Option<u8> {
    let currency = iso_currency::Currency::from_code(code)?;
    if currency.is_fund() || currency.is_special() {
        return None;
    }
    u8::try_from(currency.exponent()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tax_is_rounded_half_away_from_zero() {
        // 6 % in 14.00 euro: 0.792...
        assert_eq!(contained_tax(1_400, 600), 79);
        assert_eq!(contained_tax(3_000, 888), 245);
        assert_eq!(contained_tax(2_000, 1_000), 182);
        assert_eq!(contained_tax(0, 600), 0);
        assert_eq!(contained_tax(2_500, 0), 0);
        // Exactly a half: 100 % of 1 and of 3.
        assert_eq!(contained_tax(1, 10_000), 1);
        assert_eq!(contained_tax(-1, 10_000), -1);
        assert_eq!(contained_tax(3, 10_000), 2);
        assert_eq!(contained_tax(-3, 10_000), -2);
        assert_eq!(contained_tax(i64::MIN, u32::MAX), -9_223_350_562_068_290_692);
    }

    #[test]
    fn a_line_that_does_not_fit_is_noticed() {
        assert_eq!(line_total(1_400, 3), Some(4_200));
        assert_eq!(line_total(i64::MAX, 2), None);
        assert_eq!(line_total(i64::MAX, 0), Some(0));
    }

    #[test]
    fn what_is_left_over_goes_to_the_largest_remainder() {
        assert_eq!(largest_remainder(1_900, &[1_400, 800]), [1_209, 691]);
        assert_eq!(largest_remainder(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(largest_remainder(-10, &[1, 1, 1]), [-4, -3, -3]);
        assert_eq!(largest_remainder(11, &[0, 0, 0]), [4, 4, 3]);
        assert_eq!(largest_remainder(5, &[0, 3]), [0, 5]);
        assert_eq!(largest_remainder(5, &[-7, 3]), [0, 5]);
        assert_eq!(largest_remainder(0, &[2, 3]), [0, 0]);
        assert_eq!(largest_remainder(5, &[]), [0_i64; 0]);
    }

    #[test]
    fn currencies_have_their_own_digits() {
        for (code, digits) in [
            ("JPY", 0),
            ("EUR", 2),
            ("USD", 2),
            ("NPR", 2),
            ("KWD", 3),
            ("CLP", 0),
            ("TND", 3),
        ] {
            assert_eq!(currency_digits(code), Some(digits), "{code}");
        }
        for code in ["", "eur", "EURO", "XXX", "XTS", "XAU", "ZZZ", "E\u{dc}R"] {
            assert_eq!(currency_digits(code), None, "{code}");
        }
    }

    proptest! {
        #[test]
        fn tax_lies_within_half_a_unit(total: i64, basis_points in prop_oneof![0..=30_000_u32, any::<u32>()]) {
            let tax = i128::from(contained_tax(total, basis_points));
            let denominator = 10_000 + i128::from(basis_points);
            let error = tax * denominator - i128::from(total) * i128::from(basis_points);
            prop_assert!(2 * error.abs() <= denominator);
            prop_assert!(tax.abs() <= i128::from(total).abs());
        }

        #[test]
        fn tax_of_a_refund_mirrors_that_of_the_sale(total in 0..=i64::MAX, basis_points: u32) {
            prop_assert_eq!(contained_tax(-total, basis_points), -contained_tax(total, basis_points));
        }

        #[test]
        fn parts_sum_to_the_total(total: i64, weights in prop::collection::vec(any::<i64>(), 1..20)) {
            let parts = largest_remainder(total, &weights);
            prop_assert_eq!(parts.len(), weights.len());
            prop_assert_eq!(parts.iter().map(|part| i128::from(*part)).sum::<i128>(), i128::from(total));
            prop_assert!(parts.iter().all(|part| part.signum() * total.signum() >= 0));
            prop_assert_eq!(parts, largest_remainder(total, &weights));
        }

        #[test]
        fn no_part_is_a_unit_off_its_share(total: i64, weights in prop::collection::vec(1..=i64::MAX, 1..20)) {
            let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
            for (part, weight) in largest_remainder(total, &weights).into_iter().zip(&weights) {
                // Compared as quotients: part * sum would not fit.
                let share = i128::from(total) * i128::from(*weight);
                prop_assert!((i128::from(part) - share / sum).abs() <= 1);
            }
        }
    }
}
