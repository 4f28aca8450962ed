//! `[tls]` and `[https]`: whether their files can be used. Found before the router starts, and not by nodes and visitors.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use rotunda_tls::door::{Door, DoorFiles};
use rotunda_tls::files::{Problem, TlsSettings};
use rotunda_tls::identity::Role;
use rotunda_tls::mutual::Mutual;
use rotunda_tls::renewal::Material as _;
use serde::{Deserialize, Serialize};

use super::{Wrong, wrong};

/// `[https]`: the door under TLS 1.3, beside the plain one. All of it, or nothing.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpsSettings {
    /// Address for visitors' requests over TLS 1.3, as 0.0.0.0:8443 [default: none]
    #[arg(id = "https", long = "https", env = "ROTUNDA_HTTPS", value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Certificate that visitors are shown, with those between it and an authority that they know, PEM
    #[arg(
        id = "https_cert",
        long = "https-cert",
        env = "ROTUNDA_HTTPS_CERT",
        value_name = "FILE"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its key, PEM. Nobody else may read it
    #[arg(id = "https_key", long = "https-key", env = "ROTUNDA_HTTPS_KEY", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl HttpsSettings {
    /// Where to listen, and the files; `None` where there is no such door or not all of it is said.
    #[must_use]
    pub fn door(&self) -> Option<(SocketAddr, DoorFiles)> {
        let files = DoorFiles {
            cert: self.cert.clone()?,
            key: self.key.clone()?,
        };
        Some((self.listen?, files))
    }

    fn is_empty(&self) -> bool {
        self.listen.is_none() && self.cert.is_none() && self.key.is_none()
    }
}

/// Says whether nodes are called with a certificate.
pub(super) fn check(tls: &TlsSettings, https: &HttpsSettings) -> Result<bool, Wrong> {
    match https.door() {
        Some((_, files)) => {
            Door::read(&files).map_err(|problem| of_file("https", &problem))?;
        }
        None if https.is_empty() => {}
        None => {
            let problem = "https: a part is missing: give listen, cert and key, or none of them";
            wrong("https", problem)?;
        }
    }
    let files = match tls.files() {
        Ok(None) => return Ok(false),
        Ok(Some(files)) => files,
        Err(incomplete) => {
            wrong("tls", format!("tls.{}: {incomplete}", incomplete.setting))?;
            return Ok(false);
        }
    };
    let mutual = Mutual::read(&files).map_err(|problem| of_file("tls", &problem))?;
    let identity = mutual.identity();
    if !matches!(identity.role, Role::Router(_)) {
        let problem = format!(
            "tls.cert: {} is the certificate of {identity}, and this is a router: give it one that `rotunda certs add router \
             NAME` makes",
            files.cert.display()
        );
        wrong("tls.cert", problem)?;
    }
    Ok(true)
}

fn of_file(table: &str, problem: &Problem) -> Wrong {
    let key = format!("{table}.{}", problem.setting);
    Wrong {
        problem: format!("{key}: {problem}"),
        key,
    }
}
