//! What is encrypted in a directory, and with whose keys: looked up in the files' headers, before RocksDB opens any of them,
//! so that a node with the wrong keys, or with none, is told so in words and changes nothing.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Keys;
use super::header::{self, HEADER_BYTES, HeaderError, Place, place};
use crate::error::OpenError;

/// Whether these keys open every file of the databases in `dir`; without keys, whether none is encrypted.
pub(crate) fn check(dir: &Path, databases: &[&str], keys: Option<&Keys>) -> Result<(), OpenError> {
    for database in databases {
        let dir = dir.join(database);
        let failed = |source| OpenError::Io {
            path: dir.clone(),
            source,
        };
        for (file, head) in heads(&dir).map_err(failed)? {
            let locked = |error: HeaderError| match error {
                HeaderError::Plain => OpenError::NotEncrypted { file: file.clone() },
                error => OpenError::Locked {
                    file: file.clone(),
                    detail: error.to_string(),
                },
            };
            match (place(&head), keys) {
                (Ok(Place::Blank), _) | (Err(HeaderError::Plain), None) => {}
                (Ok(Place::Sealed(name)), None) => return Err(locked(HeaderError::UnknownKey(name))),
                (Ok(Place::Sealed(_)), Some(keys)) => drop(header::open(keys, &head).map_err(locked)?),
                (Err(error), _) => return Err(locked(error)),
            }
        }
    }
    Ok(())
}

/// Files of a database that another key opens than the one for new files.
pub(crate) fn to_encrypt_anew(dir: &Path, keys: &Keys) -> io::Result<usize> {
    let newest = keys.newest().name.as_str();
    let older = |head: &[u8]| matches!(place(head), Ok(Place::Sealed(name)) if name != newest);
    Ok(heads(dir)?.iter().filter(|(_, head)| older(head)).count())
}

/// RocksDB writes a database's `IDENTITY` once, and again only where it is missing, from the manifest. So it is removed where
/// an older key opens it, before the database is opened: everything else is written anew in time.
pub(crate) fn forget_old_identity(dir: &Path, keys: &Keys) -> io::Result<()> {
    let path = dir.join("IDENTITY");
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => {
            let mut head = Vec::new();
            file?.take(HEADER_BYTES as u64).read_to_end(&mut head)?;
            match place(&head) {
                Ok(Place::Sealed(name)) if name != keys.newest().name => std::fs::remove_file(&path),
                _ => Ok(()),
            }
        }
    }
}

/// The beginning of each file of a database, but for those that never hold rows.
fn heads(dir: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match std::fs::read_dir(dir) {
        Err(error) if missing(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut heads = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // RocksDB's lock and its own log pass the encrypted file system by; DIRECT is a file that was tried. OPTIONS are
        // settings that nobody reads, and the last two stay however old they are.
        let no_rows = matches!(name, "LOCK" | "DIRECT") || name.starts_with("LOG") || name.starts_with("OPTIONS");
        if no_rows || !path.is_file() {
            continue;
        }
        match File::open(&path) {
            Ok(file) => {
                let mut head = Vec::new();
                file.take(HEADER_BYTES as u64).read_to_end(&mut head)?;
                heads.push((path, head));
            }
            // RocksDB has deleted it meanwhile.
            Err(error) if missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(heads)
}
