//! Encryption at rest: what a lost, stolen or returned disk gives away. Every file that RocksDB writes for either database
//! is encrypted with AES-256 in counter mode under a key of its own; that key stands at the head of the file, sealed
//! (AES-256-GCM) with one of the operator's [`Keys`]. RocksDB's encrypted file system does the rest
//! ([`crate::engine`], `shim/encrypted_env.cc`).
//!
//! What it does not do: whoever can write to the disk can flip bits, which RocksDB's checksums, being no signatures, need
//! not notice; and the names and sizes of files, RocksDB's own `LOG`, which holds no rows, and the mark beside them are as
//! they are.
//!
//! **Rotation.** New files are written with the first key. Give a new one as the first, keep the old one below it, start the
//! node again: it rewrites in the background what the old one opened, and says how many files are left
//! (`rotunda_storage_files_of_older_keys`). When none is, the old key can go.

mod cipher;
pub(crate) mod header;
mod inspect;

use std::fmt;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

pub(crate) use cipher::FileCipher;
pub(crate) use header::HEADER_BYTES;
pub(crate) use inspect::{check, forget_old_identity, to_encrypt_anew};

/// Bytes of a key: AES-256.
pub const KEY_BYTES: usize = 32;

/// Of a key's name.
const MAX_NAME_BYTES: usize = 32;

/// The operator's keys. The first is what new files are written with, the others are there to read older ones.
pub struct Keys(Vec<Key>);

struct Key {
    name: String,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

/// Why keys cannot be used. Says where, and never what the key is.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("cannot read the encryption keys in {place}: {source}. Check the path and whose it is")]
    Io {
        /// The file.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner and group may read the file.
    #[error("everybody on this machine may read the encryption keys in {place}; run `chmod o= {place}`")]
    Exposed {
        /// The file.
        place: String,
    },
    /// A line is not one.
    #[error(
        "line {line} of the encryption keys in {place}: {what}. A line is a name and 64 hexadecimal digits, as `echo \"2026-11 $(openssl rand -hex 32)\"` prints"
    )]
    Line {
        /// The file or variable.
        place: String,
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is no key.
    #[error("there is no encryption key in {place}; `echo \"2026-11 $(openssl rand -hex 32)\"` prints one")]
    None {
        /// The file or variable.
        place: String,
    },
}

impl Keys {
    /// Reads the keys in a file, which others must not be able to read.
    ///
    /// # Errors
    /// Where it cannot be read, others may read it, or it does not hold keys.
    pub fn from_file(path: &Path) -> Result<Self, KeysError> {
        let place = path.display().to_string();
        let failed = |source| KeysError::Io {
            place: place.clone(),
            source,
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
            if mode & 0o007 != 0 {
                return Err(KeysError::Exposed { place });
            }
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
        Self::from_text(&text, &place)
    }

    /// Reads keys: a line each, name and 64 hexadecimal digits; `#` begins a remark. `place` is said where a line is wrong.
    ///
    /// # Errors
    /// Where a line is no key, a name is there twice, or there is none.
    pub fn from_text(text: &str, place: &str) -> Result<Self, KeysError> {
        let mut keys: Vec<Key> = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let wrong = |what| KeysError::Line {
                place: place.to_owned(),
                line: n + 1,
                what,
            };
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(name) = words.next() else { continue };
            let digits = words.next().ok_or_else(|| wrong("the key is missing"))?;
            if words.next().is_some() {
                return Err(wrong("something follows the key"));
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if name.len() > MAX_NAME_BYTES || !name.chars().all(plain) {
                return Err(wrong(
                    "the name has to be 1 to 32 letters, digits, dots, hyphens or underscores",
                ));
            }
            if keys.iter().any(|known| known.name == name) {
                return Err(wrong("the name is there already; a name is never given to another key"));
            }
            let mut bytes = Zeroizing::new([0; KEY_BYTES]);
            hex::decode_to_slice(digits, &mut *bytes).map_err(|_| wrong("the key is not 64 hexadecimal digits"))?;
            keys.push(Key {
                name: name.to_owned(),
                bytes,
            });
        }
        if keys.is_empty() {
            return Err(KeysError::None {
                place: place.to_owned(),
            });
        }
        Ok(Self(keys))
    }

    /// What new files are written with.
    fn newest(&self) -> &Key {
        // There is one: `from_text`.
        &self.0[0]
    }

    fn named(&self, name: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.name == name)
    }

    /// Names, the one for new files first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.name.as_str())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const DIGITS: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn wrong(text: &str) -> String {
        Keys::from_text(text, "keys").unwrap_err().to_string()
    }

    #[test]
    fn the_first_key_is_for_new_files() {
        let keys = Keys::from_text(&format!("# ours\n\n2026-11 {DIGITS} # new\n2025 {DIGITS}\n"), "keys").unwrap();
        assert_eq!(keys.names().collect::<Vec<_>>(), ["2026-11", "2025"]);
        assert_eq!(keys.newest().name, "2026-11");
        assert_eq!(keys.named("2025").unwrap().bytes[31], 31);
    }

    #[test]
    fn a_line_that_is_no_key_is_named_and_never_quoted() {
        let cases = [
            ("a", "line 1 of the encryption keys in keys: the key is missing"),
            ("\na 00", "line 2"),
            (&format!("a {DIGITS} b"), "something follows"),
            (&format!("a/b {DIGITS}"), "the name has to be"),
            (&format!("a {DIGITS}\na {DIGITS}"), "line 2"),
            (&format!("a {}zz", &DIGITS[2..]), "64 hexadecimal digits"),
            ("# none", "there is no encryption key in keys"),
        ];
        for (text, said) in cases {
            let error = wrong(text);
            assert!(error.contains(said), "{text}: {error}");
            assert!(!error.contains(&DIGITS[..8]), "{error}");
        }
    }

    #[test]
    fn a_file_that_all_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, format!("a {DIGITS}\n")).unwrap();
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o644);
        assert!(Keys::from_file(&path).unwrap_err().to_string().contains("chmod o="));
        set(0o640);
        assert_eq!(format!("{:?}", Keys::from_file(&path).unwrap()), "[\"a\"]");
    }
}
