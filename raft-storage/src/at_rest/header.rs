//! The head of an encrypted file: whose key opens it, and the file's own key, sealed with that one.
//!
//! ```text
//!   0  magic           16 bytes
//!  16  version          1       of this layout
//!  17  name's length    1
//!  18  name            32       of the operator's key, padded with zeros
//!  50  counter         16       at which the file's key stream begins
//!  66  nonce           12       of the seal
//!  78  sealed key      32 + 16  AES-256-GCM under the operator's key; what stands above is bound by it
//! 126  zeros                    up to 4,096, a page: direct writes want whole ones
//! ```

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use zeroize::Zeroizing;

use super::{FileCipher, KEY_BYTES, Keys, MAX_NAME_BYTES};

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 4096;

const MAGIC: &[u8; 16] = b"rotunda at rest\n";
const VERSION: u8 = 1;

const NAME: usize = 18;
const COUNTER: usize = NAME + MAX_NAME_BYTES;
const NONCE: usize = COUNTER + 16;
const SEALED: usize = NONCE + 12;
const TAG: usize = SEALED + KEY_BYTES;
const END: usize = TAG + 16;

/// Why a file's header does not open it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("it is not encrypted")]
    Plain,
    #[error("it is encrypted in a way that this version does not know (version {0})")]
    Version(u8),
    #[error("it was encrypted with the key {0:?}, which is not among those given")]
    UnknownKey(String),
    #[error("the key {0:?} that was given is not the one that it was encrypted with, or its header is damaged")]
    WrongKey(String),
}

/// What a header says before any key is tried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing was written yet, or nothing that a loss of power left: a header is written, and synced, before what follows it.
    Blank,
    /// The name of the key that opens it.
    Sealed(String),
}

/// Whose key opens the file that begins with `head`.
pub(crate) fn place(head: &[u8]) -> Result<Place, HeaderError> {
    let Some(head) = head.get(..END) else {
        let blank = head.iter().all(|byte| *byte == 0);
        return if blank {
            Ok(Place::Blank)
        } else {
            Err(HeaderError::Plain)
        };
    };
    if head.iter().all(|byte| *byte == 0) {
        return Ok(Place::Blank);
    }
    if !head.starts_with(MAGIC) {
        return Err(HeaderError::Plain);
    }
    if head[16] != VERSION {
        return Err(HeaderError::Version(head[16]));
    }
    let name = &head[NAME..NAME + usize::from(head[17]).min(MAX_NAME_BYTES)];
    Ok(Place::Sealed(String::from_utf8_lossy(name).into_owned()))
}

/// Writes the header of a new file, with a key of its own. `false` where the system has no randomness.
pub(crate) fn write(keys: &Keys, header: &mut [u8]) -> bool {
    let key = keys.newest();
    let mut own = Zeroizing::new([0; KEY_BYTES]);
    header.fill(0);
    let Some(head) = header.get_mut(..END) else {
        return false;
    };
    head[..16].copy_from_slice(MAGIC);
    head[16] = VERSION;
    head[17] = u8::try_from(key.name.len()).unwrap_or(u8::MAX);
    head[NAME..NAME + key.name.len()].copy_from_slice(key.name.as_bytes());
    let (bound, sealed) = head.split_at_mut(NONCE);
    let (nonce, sealed) = sealed.split_at_mut(SEALED - NONCE);
    if getrandom::fill(&mut *own).is_err()
        || getrandom::fill(&mut bound[COUNTER..]).is_err()
        || getrandom::fill(nonce).is_err()
    {
        return false;
    }
    let (text, tag) = sealed.split_at_mut(KEY_BYTES);
    text.copy_from_slice(&*own);
    let Ok(nonce) = <&aes_gcm::Nonce<_>>::try_from(&*nonce) else {
        return false;
    };
    match Aes256Gcm::new((&*key.bytes).into()).encrypt_inout_detached(nonce, bound, text.into()) {
        Ok(seal) => tag.copy_from_slice(&seal),
        Err(_) => return false,
    }
    true
}

/// The cipher of the file with this header.
pub(crate) fn open(keys: &Keys, header: &[u8]) -> Result<FileCipher, HeaderError> {
    let Place::Sealed(name) = place(header)? else {
        return Ok(FileCipher::blank());
    };
    let Some(key) = keys.named(&name) else {
        return Err(HeaderError::UnknownKey(name));
    };
    let opened = || {
        let nonce = header[NONCE..SEALED].try_into().ok()?;
        let tag = header[TAG..END].try_into().ok()?;
        let mut own = Zeroizing::new([0; KEY_BYTES]);
        own.copy_from_slice(&header[SEALED..TAG]);
        Aes256Gcm::new((&*key.bytes).into())
            .decrypt_inout_detached(nonce, &header[..NONCE], own.as_mut_slice().into(), tag)
            .ok()?;
        let counter: [u8; 16] = header[COUNTER..NONCE].try_into().ok()?;
        Some(FileCipher::new(&own, counter))
    };
    opened().ok_or(HeaderError::WrongKey(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn keys(lines: &[(&str, u8)]) -> Keys {
        let lines: Vec<String> = lines
            .iter()
            .map(|(name, byte)| format!("{name} {}", hex::encode([*byte; 32])))
            .collect();
        Keys::from_text(&lines.join("\n"), "test").unwrap()
    }

    fn header(keys: &Keys) -> Vec<u8> {
        let mut header = vec![0xff; HEADER_BYTES];
        assert!(write(keys, &mut header));
        header
    }

    #[test]
    fn what_was_written_with_a_key_is_read_with_it() {
        let old = keys(&[("old", 1)]);
        let head = header(&old);
        assert_eq!(place(&head).unwrap(), Place::Sealed("old".to_owned()));
        let mut data = *b"ten o'clock";
        open(&old, &head).unwrap().apply(5000, &mut data);
        assert_ne!(&data, b"ten o'clock");
        // After a rotation, too.
        open(&keys(&[("new", 2), ("old", 1)]), &head)
            .unwrap()
            .apply(5000, &mut data);
        assert_eq!(&data, b"ten o'clock");
    }

    #[test]
    fn no_two_files_have_a_key_in_common() {
        let keys = keys(&[("a", 1)]);
        let stream = |head: &[u8]| {
            let mut zeros = [0; 64];
            open(&keys, head).unwrap().apply(0, &mut zeros);
            zeros
        };
        assert_ne!(stream(&header(&keys)), stream(&header(&keys)));
    }

    #[test]
    fn a_header_that_does_not_open_says_why() {
        let head = header(&keys(&[("a", 1)]));
        let why = |lines, head: &[u8]| open(&keys(lines), head).map(|_| ()).unwrap_err();
        assert_eq!(why(&[("b", 1)], &head), HeaderError::UnknownKey("a".to_owned()));
        assert_eq!(why(&[("a", 2)], &head), HeaderError::WrongKey("a".to_owned()));
        assert_eq!(why(&[("a", 1)], &[b'x'; HEADER_BYTES]), HeaderError::Plain);
        assert_eq!(why(&[("a", 1)], b"MANIFEST-000004\n"), HeaderError::Plain);
        let mut newer = head.clone();
        newer[16] = 2;
        assert_eq!(why(&[("a", 1)], &newer), HeaderError::Version(2));
        // Each byte of it counts.
        for n in 0..END {
            let mut damaged = head.clone();
            damaged[n] ^= 1;
            assert!(open(&keys(&[("a", 1)]), &damaged).is_err(), "byte {n}");
        }
    }

    #[test]
    fn a_file_that_power_was_lost_on_reads_as_what_is_there() {
        let keys = keys(&[("a", 1)]);
        for head in [&[0; HEADER_BYTES][..], &[], &[0; 7]] {
            let mut data = [0; 32];
            open(&keys, head).unwrap().apply(4096, &mut data);
            assert_eq!(data, [0; 32]);
        }
    }
}
