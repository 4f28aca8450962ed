//! Where the demo keeps data and logs, and how it leaves that place as it found it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::failure::Failure;

/// The demo's folder.
pub(crate) struct Folder {
    path: PathBuf,
    /// What goes when the demo ends.
    removal: Removal,
}

enum Removal {
    /// Ours from the root; also goes where the demo panics.
    Temporary(TempDir),
    /// The caller's name, but we made it.
    Made,
    /// It was there, empty: what we put in goes, the folder stays.
    Contents,
    /// `--keep`.
    Nothing,
}

impl Folder {
    /// Makes the folder.
    ///
    /// # Errors
    /// Where it cannot be made, or holds something already.
    pub(crate) fn make(wanted: Option<&Path>, keep: bool) -> Result<Self, Failure> {
        let failed = |path: &Path, error: std::io::Error| {
            Failure::failed(format!("cannot use {}: {error}", path.display()))
                .next("name a folder that you may write to: rotunda demo --data DIR")
        };
        let Some(wanted) = wanted else {
            let made = tempfile::Builder::new()
                .prefix("rotunda-demo-")
                .tempdir()
                .map_err(|error| failed(&std::env::temp_dir(), error))?;
            let path = made.path().to_path_buf();
            if keep {
                return Ok(Folder {
                    path: made.keep(),
                    removal: Removal::Nothing,
                });
            }
            return Ok(Folder {
                path,
                removal: Removal::Temporary(made),
            });
        };
        let existed = wanted.exists();
        std::fs::create_dir_all(wanted).map_err(|error| failed(wanted, error))?;
        // Absolute, because the ready file hands it to programs that run elsewhere.
        let path = wanted.canonicalize().map_err(|error| failed(wanted, error))?;
        if std::fs::read_dir(&path)
            .map_err(|error| failed(wanted, error))?
            .next()
            .is_some()
        {
            return Err(
                Failure::failed(format!("{} is not empty, and a demo starts afresh", path.display()))
                    .next("name a new or empty folder: rotunda demo --data DIR"),
            );
        }
        let removal = match (keep, existed) {
            (true, _) => Removal::Nothing,
            (false, true) => Removal::Contents,
            (false, false) => Removal::Made,
        };
        Ok(Folder { path, removal })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn kept(&self) -> bool {
        matches!(self.removal, Removal::Nothing)
    }

    /// Removes what the demo made. All processes must have ended.
    ///
    /// # Errors
    /// Where something could not be removed; names it.
    pub(crate) fn remove(self) -> Result<(), Failure> {
        let removed = match self.removal {
            Removal::Temporary(made) => made.close(),
            Removal::Made => std::fs::remove_dir_all(&self.path),
            Removal::Contents => remove_contents(&self.path),
            Removal::Nothing => Ok(()),
        };
        removed.map_err(|error| {
            Failure::failed(format!("{} could not be removed: {error}", self.path.display()))
                .next(format!("rm -r {}", self.path.display()))
        })
    }
}

fn remove_contents(path: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_folder_that_was_there_stays_and_what_was_put_in_goes() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::make(Some(outer.path()), false).unwrap();
        std::fs::create_dir(folder.path().join("node-1")).unwrap();
        std::fs::write(folder.path().join("node-1.log"), "x").unwrap();
        folder.remove().unwrap();
        assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_the_demo_made_goes() {
        let outer = tempfile::tempdir().unwrap();
        let wanted = outer.path().join("demo");
        Folder::make(Some(&wanted), false).unwrap().remove().unwrap();
        assert!(!wanted.exists());
    }

    #[test]
    fn a_folder_with_somebodys_files_is_refused_and_left_alone() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("thesis.tex"), "x").unwrap();
        assert!(Folder::make(Some(outer.path()), false).is_err());
        assert!(outer.path().join("thesis.tex").exists());
    }

    #[test]
    fn keep_leaves_everything_behind() {
        let outer = tempfile::tempdir().unwrap();
        let wanted = outer.path().join("demo");
        Folder::make(Some(&wanted), true).unwrap().remove().unwrap();
        assert!(wanted.exists());
    }
}
