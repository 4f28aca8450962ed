//! Booking references: what people read out at the counter, `TIDES-7QK2-M9`. A reference finds a booking, it does not
//! open it: that takes the id, which cannot be guessed.
//!
//! The last word of the venue's id, five Crockford base-32 characters, and a check character that catches any one wrong
//! character and any two neighbours swapped. The five are the booking's sequence number, scattered by a bijection so that
//! neighbours look unlike: no two of a venue's first 33 million bookings have the same reference.

use std::ops::Deref;

/// Crockford's alphabet: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The longest word that is shown.
const WORD: usize = 8;

/// Data characters, of five bits each.
const CHARACTERS: u32 = 5;

/// The longest reference: a word, two hyphens, the characters and their check.
const LONGEST: usize = WORD + 2 + CHARACTERS as usize + 1;

/// The reference of a booking, on the stack.
pub(crate) struct Reference {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Deref for Reference {
    type Target = str;
    fn deref(&self) -> &str {
        // ASCII, and so never empty for this reason.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Reference {
    /// Of the booking with this sequence number.
    pub(crate) fn new(slug: &str, seq: u64) -> Self {
        let mut reference = Self {
            bytes: [0; LONGEST],
            length: 0,
        };
        let word = slug.rsplit('-').find(|word| !word.is_empty()).unwrap_or("BOOKING");
        let characters = word.bytes().filter(u8::is_ascii_alphanumeric);
        for character in characters.take(WORD) {
            reference.push(character.to_ascii_uppercase());
        }
        let scattered = scatter(seq);
        let digits: [u8; CHARACTERS as usize] =
            std::array::from_fn(|place| (scattered >> (5 * (CHARACTERS as usize - 1 - place)) & 31) as u8);
        reference.push(b'-');
        for (place, digit) in digits.into_iter().chain([check(&digits)]).enumerate() {
            if place == 4 {
                reference.push(b'-');
            }
            reference.push(ALPHABET[usize::from(digit)]);
        }
        reference
    }

    fn push(&mut self, character: u8) {
        self.bytes[self.length] = character;
        self.length += 1;
    }
}

/// A bijection on 25 bits: odd multiplications and shifts that can each be undone.
fn scatter(seq: u64) -> u32 {
    const MASK: u32 = (1 << (5 * CHARACTERS)) - 1;
    let mut bits = (seq & u64::from(MASK)) as u32;
    for multiplier in [0x009E_3779, 0x0145_A6D5] {
        bits = bits.wrapping_mul(multiplier) & MASK;
        bits ^= bits >> 13;
    }
    bits
}

/// The digit that makes the sum of digits, each times its own power of 2 in GF(32), vanish.
fn check(digits: &[u8]) -> u8 {
    digits.iter().fold(0, |sum, digit| double(sum ^ digit))
}

/// Times 2 in GF(32), modulo x^5 + x^2 + 1.
fn double(value: u8) -> u8 {
    let shifted = value << 1;
    if shifted & 32 == 0 {
        shifted
    } else {
        shifted ^ 0b10_0101
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn reference(slug: &str, seq: u64) -> String {
        Reference::new(slug, seq).to_string()
    }

    /// True for a reference whose check character is right.
    fn is_right(reference: &str) -> bool {
        let digits: Option<Vec<u8>> = reference
            .split('-')
            .skip(1)
            .flat_map(str::bytes)
            .map(|c| ALPHABET.iter().position(|known| *known == c).map(|digit| digit as u8))
            .collect();
        digits.is_some_and(|digits| digits.split_last().is_some_and(|(last, data)| check(data) == *last))
    }

    #[test]
    fn the_last_word_of_the_venue_leads() {
        assert!(reference("lisbon-tides", 1).starts_with("TIDES-"));
        assert!(reference("reykjavik-observatory", 1).starts_with("OBSERVAT-"));
        assert!(reference("-", 1).starts_with("BOOKING-"));
        assert_eq!(reference("lisbon-tides", 1).len(), "TIDES-7QK2-M9".len());
    }

    #[test]
    fn no_two_bookings_of_a_venue_share_a_reference() {
        let seen: BTreeSet<u32> = (0..200_000).chain((1 << 25) - 200_000..1 << 25).map(scatter).collect();
        assert_eq!(seen.len(), 400_000);
    }

    #[test]
    fn one_wrong_character_or_two_swapped_are_noticed() {
        for seq in [1, 77, 1234, 33_000_000] {
            let right = reference("a-tides", seq);
            assert!(is_right(&right));
            let (word, tail) = right.split_at("TIDES-".len());
            let bytes = tail.as_bytes();
            for place in (0..bytes.len()).filter(|place| bytes[*place] != b'-') {
                for other in ALPHABET.iter().filter(|other| **other != bytes[place]) {
                    let mut wrong = bytes.to_vec();
                    wrong[place] = *other;
                    assert!(!is_right(&format!("{word}{}", String::from_utf8_lossy(&wrong))));
                }
                let next = if place + 1 < bytes.len() && bytes[place + 1] == b'-' {
                    place + 2
                } else {
                    place + 1
                };
                if next < bytes.len() && bytes[next] != bytes[place] {
                    let mut wrong = bytes.to_vec();
                    wrong.swap(place, next);
                    assert!(!is_right(&format!("{word}{}", String::from_utf8_lossy(&wrong))));
                }
            }
        }
    }
}
