//! Where certificates lie, and what is asked of the files before anything is believed: a key that others can read is no
//! secret, a key that belongs to another certificate would fail at the first caller.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::der::Contents;

/// What is wrong with a certificate, a key or an authority, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct Problem {
    /// The setting that names the file: `ca`, `cert` or `key`.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong and what to do.
    pub problem: String,
}

/// A file and the setting that names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) setting: &'static str,
    pub(crate) path: &'a Path,
}

impl Named<'_> {
    pub(crate) fn problem(self, problem: impl Into<String>) -> Problem {
        Problem {
            setting: self.setting,
            path: self.path.to_owned(),
            problem: problem.into(),
        }
    }

    fn read(self) -> Result<Vec<u8>, Problem> {
        std::fs::read(self.path)
            .map_err(|error| self.problem(format!("cannot be read: {error}. Check the path and whose it is")))
    }

    /// The certificates of the file, at least one.
    pub(crate) fn certificates(self) -> Result<Vec<Certificate>, Problem> {
        let pem = self.read()?;
        let mut certificates = Vec::new();
        for der in CertificateDer::pem_slice_iter(&pem) {
            let der = der.map_err(|error| self.problem(format!("is no PEM file: {error:?}")))?;
            certificates.push(Certificate::of(der).map_err(|problem| self.problem(problem))?);
        }
        if certificates.is_empty() {
            return Err(self.problem("holds no certificate; it begins with -----BEGIN CERTIFICATE-----"));
        }
        Ok(certificates)
    }

    /// The private key of the file, which nobody else may be able to read.
    pub(crate) fn key(self) -> Result<PrivateKeyDer<'static>, Problem> {
        let pem = self.read()?;
        let about =
            std::fs::metadata(self.path).map_err(|error| self.problem(format!("cannot be looked at: {error}")))?;
        // As PostgreSQL has it: a group may read what belongs to root, which is how containers are handed their secrets.
        let allowed = if about.uid() == 0 { 0o640 } else { 0o600 };
        let mode = about.mode() & 0o777;
        if mode & !allowed & 0o077 != 0 {
            return Err(self.problem(format!(
                "others on this machine can read the key (mode {mode:04o}): chmod 600 {}",
                self.path.display()
            )));
        }
        PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| self.problem("holds no private key; it begins with -----BEGIN PRIVATE KEY-----"))
    }
}

/// A certificate and what stands in it.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) contents: Contents,
}

impl Certificate {
    pub(crate) fn of(der: CertificateDer<'_>) -> Result<Self, String> {
        let contents = Contents::read(&der).ok_or_else(|| "holds what is no certificate".to_owned())?;
        Ok(Self {
            contents,
            der: der.into_owned(),
        })
    }

    /// Whether it is good now, or why not.
    pub(crate) fn in_force(&self, now: Timestamp) -> Result<(), String> {
        if now > self.contents.not_after {
            return Err(format!(
                "expired on {}; `rotunda certs rotate` makes a new one",
                self.contents.not_after
            ));
        }
        if now < self.contents.not_before {
            return Err(format!(
                "is not good before {}; is this machine's clock right?",
                self.contents.not_before
            ));
        }
        Ok(())
    }
}

/// `[tls]` in the settings of a node or a router: all of it, or nothing.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Whom to believe: the cluster's authority, PEM; several while one follows another [default: no TLS].
    #[arg(id = "tls_ca", long = "tls-ca", env = "ROTUNDA_TLS_CA", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// This process's certificate, PEM. `rotunda certs` makes it.
    #[arg(id = "tls_cert", long = "tls-cert", env = "ROTUNDA_TLS_CERT", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its key, PEM. Nobody else may read it.
    #[arg(id = "tls_key", long = "tls-key", env = "ROTUNDA_TLS_KEY", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// Settings of which a part is missing: which, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is missing: give ca, cert and key, or none of them")]
pub struct Incomplete {
    /// The setting that is missing.
    pub setting: &'static str,
}

impl TlsSettings {
    /// The files; `None` where TLS is off.
    ///
    /// # Errors
    /// Where only a part is given.
    pub fn files(&self) -> Result<Option<Files>, Incomplete> {
        let missing = |setting| Err(Incomplete { setting });
        match (&self.ca, &self.cert, &self.key) {
            (None, None, None) => Ok(None),
            (Some(ca), Some(cert), Some(key)) => Ok(Some(Files {
                ca: ca.clone(),
                cert: cert.clone(),
                key: key.clone(),
            })),
            (None, _, _) => missing("ca"),
            (_, None, _) => missing("cert"),
            (_, _, None) => missing("key"),
        }
    }
}

/// A process's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// See [`TlsSettings`].
    pub ca: PathBuf,
    /// See [`TlsSettings`].
    pub cert: PathBuf,
    /// See [`TlsSettings`].
    pub key: PathBuf,
}

impl Files {
    /// Of a folder that `rotunda certs` has made.
    #[must_use]
    pub fn within(folder: &Path) -> Self {
        Self {
            ca: folder.join("ca.pem"),
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        }
    }

    pub(crate) fn ca(&self) -> Named<'_> {
        Named {
            setting: "ca",
            path: &self.ca,
        }
    }

    pub(crate) fn cert(&self) -> Named<'_> {
        Named {
            setting: "cert",
            path: &self.cert,
        }
    }

    pub(crate) fn key(&self) -> Named<'_> {
        Named {
            setting: "key",
            path: &self.key,
        }
    }
}
