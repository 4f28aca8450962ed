//! A byte of a stopped node's data that is no longer what was written, and what has to follow: the node refuses to start,
//! with advice, or it mends itself; it never serves what is wrong.
//!
//! The advice of a damaged node is to move its directory away and to have its replicas rebuilt under new ids. Under the same
//! ids an empty directory would forget votes, so the harness does not do that; moving replicas is not there yet. What it
//! does instead is what an operator with a copy of the stopped node's disk does: the directory as it was, then a start. That
//! is safe where the node refused, for it has not voted since; a node that served keeps what it has, and only the byte is
//! put back. A copy of the file alone would not do: a start that is refused has already let RocksDB rewrite its logs.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::lab::tools;

/// What of a node's data is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The log's write-ahead log, below what was synced.
    Wal,
    /// A table of the rows.
    Sst,
    /// The rows that a snapshot from a peer brought.
    Snapshot,
}

impl Part {
    /// As it stands in histories.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Part::Wal => "damaged-wal",
            Part::Sst => "damaged-sst",
            Part::Snapshot => "damaged-snapshot",
        }
    }
}

/// A byte that was changed.
#[derive(Clone, Debug)]
pub struct Damage {
    file: PathBuf,
    at: u64,
    was: u8,
    data: PathBuf,
    /// The directory as it was.
    copy: PathBuf,
}

impl Damage {
    /// Changes one bit of a byte in the middle of what is used of the part's largest file (of its newest, of a snapshot).
    ///
    /// # Errors
    /// Where there is no such file.
    pub fn do_to(data: &Path, part: Part) -> Result<Self, String> {
        let (folder, extension) = match part {
            Part::Wal => (data.join("raftdb"), "log"),
            Part::Sst | Part::Snapshot => (data.join("statedb"), "sst"),
        };
        let mut files = files(&folder, extension).map_err(|error| format!("{}: {error}", folder.display()))?;
        files.sort_by_key(|(_, size, modified)| match part {
            Part::Snapshot => (*modified, *size),
            _ => (std::time::SystemTime::UNIX_EPOCH, *size),
        });
        let (file, _, _) = files
            .pop()
            .ok_or_else(|| format!("no .{extension} file in {}", folder.display()))?;
        let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        // Written ahead with zeros, where RocksDB has allocated more than it used.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let Some(was) = bytes.get(used / 2).copied().filter(|_| used > 0) else {
            return Err(format!("{} is empty", file.display()));
        };
        let copy = data.with_extension("as-it-was");
        let (from, to) = (data.display().to_string(), copy.display().to_string());
        tools::run(&["cp", "--archive", &from, &to])?;
        let damage = Damage {
            file,
            at: (used / 2) as u64,
            was,
            data: data.to_owned(),
            copy,
        };
        damage.write(was ^ 0x10)?;
        Ok(damage)
    }

    /// Puts the directory back as it was, where the node refused to start; else the byte, where its file is still there
    /// (whoever rewrote the file has read it).
    ///
    /// # Errors
    /// Where something cannot be written.
    pub fn undo(&self, refused: bool) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.data.display());
        if refused {
            fs::remove_dir_all(&self.data).map_err(failed)?;
            return fs::rename(&self.copy, &self.data).map_err(failed);
        }
        fs::remove_dir_all(&self.copy).map_err(failed)?;
        if self.file.exists() {
            self.write(self.was)
        } else {
            Ok(())
        }
    }

    /// Which byte.
    #[must_use]
    pub fn place(&self) -> String {
        let name = self.file.file_name().map(|name| name.to_string_lossy().into_owned());
        format!("byte {} of {}", self.at, name.unwrap_or_default())
    }

    fn write(&self, byte: u8) -> Result<(), String> {
        let file = fs::File::options().write(true).open(&self.file);
        let written = file.and_then(|file| {
            file.write_all_at(&[byte], self.at)?;
            file.sync_all()
        });
        written.map_err(|error| format!("{}: {error}", self.file.display()))
    }
}

type Found = (PathBuf, u64, std::time::SystemTime);

fn files(folder: &Path, extension: &str) -> std::io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|found| found == extension) {
            let facts = entry.metadata()?;
            found.push((path, facts.len(), facts.modified()?));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_in_the_middle_of_what_is_used_and_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let raftdb = data.join("raftdb");
        fs::create_dir_all(&raftdb).expect("a folder");
        let mut bytes = vec![7; 100];
        bytes.extend([0; 900]);
        fs::write(raftdb.join("000004.log"), &bytes).expect("a file");
        fs::write(raftdb.join("000003.log"), [1; 10]).expect("a file");
        let damage = Damage::do_to(&data, Part::Wal).expect("damage");
        let read = || fs::read(raftdb.join("000004.log")).expect("a file");
        assert_eq!(read()[50], 7 ^ 0x10);
        assert_eq!(read().iter().zip(&bytes).filter(|(new, old)| new != old).count(), 1);
        assert_eq!(damage.undo(false), Ok(()));
        assert_eq!(read(), bytes);

        // Refused, and rewritten while it was.
        let damage = Damage::do_to(&data, Part::Wal).expect("damage");
        fs::remove_file(raftdb.join("000004.log")).expect("a file");
        fs::write(raftdb.join("000005.log"), [3; 30]).expect("a file");
        assert_eq!(damage.undo(true), Ok(()));
        assert_eq!(read(), bytes);
        assert!(!raftdb.join("000005.log").exists());
        assert!(Damage::do_to(&data, Part::Sst).is_err());
    }
}
