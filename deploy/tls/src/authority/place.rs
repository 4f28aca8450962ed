//! The authority's folder. Each file is written beside its place, synced and then put there, so that a server that looks at
//! any time finds the old one or the new one; a key is nobody else's to read from its first byte.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::AuthorityError;
use super::issue::Issued;
use crate::files::{Certificate, Named};

const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// See the module.
pub(super) struct Place(PathBuf);

fn cannot(what: &str, path: &Path, error: &io::Error) -> AuthorityError {
    AuthorityError {
        problem: format!("cannot {what} {}: {error}", path.display()),
        next: "check the path and whose it is".to_owned(),
    }
}

impl Place {
    pub(super) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub(super) fn of(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn signing(&self) -> PathBuf {
        self.of("authority")
    }

    pub(super) fn has_authority(&self) -> bool {
        self.signing().join("cert.pem").exists()
    }

    pub(super) fn authority(&self) -> Result<Issued, AuthorityError> {
        Ok(Issued {
            pem: read(&self.signing().join("cert.pem"))?,
            key: read(&self.signing().join("key.pem"))?,
        })
    }

    /// Whom processes are to believe, as the file says it.
    pub(super) fn believed(&self) -> Result<String, AuthorityError> {
        read(&self.signing().join("ca.pem"))
    }

    pub(super) fn authorities(&self) -> Result<Vec<Certificate>, AuthorityError> {
        let path = self.signing().join("ca.pem");
        let file = Named {
            setting: "ca",
            path: &path,
        };
        file.certificates().map_err(|problem| AuthorityError {
            problem: problem.to_string(),
            next: "restore the authority's folder from a copy".to_owned(),
        })
    }

    /// Keeps the one that signs, and those that are believed. In this order a stop in between leaves one that can sign and is
    /// not yet believed, which doing the same again mends.
    pub(super) fn keep_authority(&self, signing: &Issued, believed: &[String]) -> Result<(), AuthorityError> {
        let folder = self.signing();
        make_folder(&folder, 0o700)?;
        write(&folder.join("ca.pem"), &believed.concat(), PUBLIC)?;
        write(&folder.join("key.pem"), &signing.key, SECRET)?;
        write(&folder.join("cert.pem"), &signing.pem, PUBLIC)
    }

    /// Keeps a holder's certificate.
    pub(super) fn keep(&self, name: &str, issued: &Issued) -> Result<(), AuthorityError> {
        let folder = self.of(name);
        make_folder(&folder, 0o755)?;
        self.hand_believed(name)?;
        write(&folder.join("key.pem"), &issued.key, SECRET)?;
        write(&folder.join("cert.pem"), &issued.pem, PUBLIC)
    }

    /// Tells a holder whom to believe.
    pub(super) fn hand_believed(&self, name: &str) -> Result<(), AuthorityError> {
        write(&self.of(name).join("ca.pem"), &self.believed()?, PUBLIC)
    }

    /// Folders with a certificate, in order; the authority's is none of them.
    pub(super) fn names(&self) -> Result<Vec<String>, AuthorityError> {
        let failed = |error: io::Error| cannot("look into", &self.0, &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().into_string()
                && entry.path().join("cert.pem").exists()
                && name != "authority"
            {
                names.push(name);
            }
        }
        names.sort_by_key(|name| {
            let digits = name.rsplit('-').next().and_then(|end| end.parse::<u32>().ok());
            (
                name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned(),
                digits,
                name.clone(),
            )
        });
        Ok(names)
    }
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    fs::read_to_string(path).map_err(|error| cannot("read", path, &error))
}

fn make_folder(path: &Path, mode: u32) -> Result<(), AuthorityError> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|error| cannot("make", path, &error))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), AuthorityError> {
    let beside = path.with_extension("pem.new");
    let written = || {
        // What a run before was stopped at; it may have another mode.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    written().map_err(|error| cannot("write", path, &error))
}
