//! Crockford's base 32: digits and capitals without I, L, O and U, so that an id survives being read over the telephone.
//!
//! Whole bytes, most significant first; where the bits do not fill the last character the *first* one is padded with
//! zero bits, so texts sort as the bytes do. Source: <https://www.crockford.com/base32.html>; its optional check
//! symbol and hyphens are not used.

use super::IdError;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters that `bytes` bytes take.
pub(crate) const fn text_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Appends `bytes` to `out`.
pub(crate) fn encode(bytes: &[u8], out: &mut String) {
    // Five bytes are eight characters; what is over stands at the front, where the padding is.
    let (head, groups) = bytes.split_at(bytes.len() % GROUP);
    push_group(head, out);
    for group in groups.chunks_exact(GROUP) {
        push_group(group, out);
    }
}

/// Bytes that fill whole characters.
const GROUP: usize = 5;

fn push_group(bytes: &[u8], out: &mut String) {
    let mut bits = bytes.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut text = [b'0'; text_len(GROUP)];
    for character in text.iter_mut().rev() {
        *character = ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
    let text = &text[text_len(GROUP) - text_len(bytes.len())..];
    out.push_str(std::str::from_utf8(text).unwrap_or_default());
}

/// Reads exactly `N` bytes. Small letters count as capitals; I and L as 1; O as 0.
pub(crate) fn decode<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let mut bytes = [0; N];
    decode_into(text, &mut bytes)?;
    Ok(bytes)
}

/// Reads as many bytes as the text has, as [`decode`] does. Whoever calls bounds the text.
pub(crate) fn decode_all(text: &str) -> Result<Vec<u8>, IdError> {
    let mut bytes = vec![0; text.len() * 5 / 8];
    decode_into(text, &mut bytes)?;
    Ok(bytes)
}

fn decode_into(text: &str, bytes: &mut [u8]) -> Result<(), IdError> {
    let found = text.chars().count();
    let expected = text_len(bytes.len());
    if found != expected {
        return Err(IdError::Length { expected, found });
    }
    let mut filled = 0;
    let mut pending = 0_u32;
    let mut bits = 0;
    let padding = expected * 5 - bytes.len() * 8;
    for (position, character) in text.chars().enumerate() {
        let value = value(character).ok_or(IdError::Character { position, character })?;
        if position == 0 && padding > 0 {
            if value >> (5 - padding) != 0 {
                return Err(IdError::OutOfRange);
            }
            bits = 5 - padding;
            pending = value;
            continue;
        }
        pending = pending << 5 | value;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes[filled] = (pending >> bits) as u8;
            filled += 1;
            pending &= (1 << bits) - 1;
        }
    }
    Ok(())
}

fn value(character: char) -> Option<u32> {
    let capital = match character.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    };
    ALPHABET
        .iter()
        .position(|symbol| char::from(*symbol) == capital)
        .map(|at| at as u32)
}
