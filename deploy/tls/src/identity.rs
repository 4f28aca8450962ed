//! What a certificate says about its holder: one DNS name, `node-3.meridian.rotunda`. It is a name that nobody resolves: a
//! process may be reached under any address, and is still the one that its certificate names.

use std::fmt;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// What the names of all clusters end with. `rotunda` is no top-level domain, so no public authority signs one.
const SUFFIX: &str = ".rotunda";

/// Bytes of one part of a DNS name.
const MAX_LABEL_BYTES: usize = 63;

/// What a process is in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Keeps replicas: the node with this id.
    Node(u32),
    /// Takes visitors' requests.
    Router(String),
    /// A person's tool or a program beside the cluster.
    Client(String),
}

impl Role {
    /// A role as it stands in a certificate: `node-3`, `router-a`, `client-audit`.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        let (kind, name) = label.split_once('-').filter(|(_, name)| !name.is_empty())?;
        match kind {
            // No second spelling of one id: `03` is not 3.
            "node" => name
                .parse()
                .ok()
                .filter(|id: &u32| *id > 0 && id.to_string() == name)
                .map(Self::Node),
            "router" => Some(Self::Router(name.to_owned())),
            "client" => Some(Self::Client(name.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "node-{id}"),
            Self::Router(name) => write!(f, "router-{name}"),
            Self::Client(name) => write!(f, "client-{name}"),
        }
    }
}

/// A process of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster's name, in small letters: DNS names have no others.
    pub cluster: String,
    /// Which process.
    pub role: Role,
}

/// Why a certificate names no process of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    /// The bytes are no certificate.
    #[error("it cannot be read as an X.509 certificate: {0}")]
    Unreadable(String),
    /// It is made for something else.
    #[error("none of its DNS names ends with .rotunda; `rotunda certs add` makes one that does")]
    None,
    /// It would pass for two.
    #[error("it names two processes, {0} and {1}; a certificate is one process's")]
    Two(String, String),
    /// What stands before `.rotunda` is no process and no cluster.
    #[error(
        "{0:?} names no process; expected node-ID.CLUSTER.rotunda, router-NAME.CLUSTER.rotunda or client-NAME.CLUSTER.rotunda"
    )]
    Unknown(String),
}

impl Identity {
    /// Of `role` in `cluster`.
    #[must_use]
    pub fn new(cluster: &str, role: Role) -> Self {
        Self {
            cluster: cluster.to_ascii_lowercase(),
            role,
        }
    }

    /// Whether this is a process of the cluster that is called `cluster` in settings.
    #[must_use]
    pub fn is_of(&self, cluster: &str) -> bool {
        self.cluster.eq_ignore_ascii_case(cluster)
    }

    /// From a DNS name.
    ///
    /// # Errors
    /// Where it is none of a process.
    pub fn parse(name: &str) -> Result<Self, NoIdentity> {
        let unknown = || NoIdentity::Unknown(name.to_owned());
        let lower = name.to_ascii_lowercase();
        let before = lower.strip_suffix(SUFFIX).ok_or_else(unknown)?;
        let (label, cluster) = before.split_once('.').ok_or_else(unknown)?;
        let role = Role::parse(label).ok_or_else(unknown)?;
        if !is_label(label) || !is_label(cluster) {
            return Err(unknown());
        }
        Ok(Self {
            cluster: cluster.to_owned(),
            role,
        })
    }

    /// What this certificate, in DER, says.
    ///
    /// # Errors
    /// Where it names no process, or more than one.
    pub fn of_certificate(der: &[u8]) -> Result<Self, NoIdentity> {
        let certificate = CertificateDer::from(der);
        let certificate =
            EndEntityCert::try_from(&certificate).map_err(|error| NoIdentity::Unreadable(error.to_string()))?;
        let mut found: Option<&str> = None;
        for name in certificate.valid_dns_names() {
            if !name.to_ascii_lowercase().ends_with(SUFFIX) {
                continue;
            }
            if let Some(first) = found {
                return Err(NoIdentity::Two(first.to_owned(), name.to_owned()));
            }
            found = Some(name);
        }
        Self::parse(found.ok_or(NoIdentity::None)?)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{SUFFIX}", self.role, self.cluster)
    }
}

/// Whether this can be one part of a DNS name, as a cluster's name or a router's in a certificate.
#[must_use]
pub fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_LABEL_BYTES
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_as_it_is_read() {
        for name in [
            "node-3.meridian.rotunda",
            "router-a.meridian.rotunda",
            "client-night-audit.big_house.rotunda",
        ] {
            assert_eq!(
                Identity::parse(name).map(|identity| identity.to_string()),
                Ok(name.to_owned())
            );
        }
        let node = Identity::new("Meridian", Role::Node(3));
        assert_eq!(Identity::parse("NODE-3.MERIDIAN.ROTUNDA"), Ok(node.clone()));
        assert!(node.is_of("Meridian") && !node.is_of("meridian-2"));
    }

    #[test]
    fn what_could_pass_for_two_names_is_none() {
        for name in [
            "node-03.meridian.rotunda",
            "node-0.meridian.rotunda",
            "node-3.rotunda",
            "node-.meridian.rotunda",
            "node-3.a.b.rotunda",
            "node-3.meridian.rotunda.example.org",
            "3.meridian.rotunda",
            "*.meridian.rotunda",
            "node-4294967296.meridian.rotunda",
        ] {
            assert!(Identity::parse(name).is_err(), "{name}");
        }
    }
}
