//! How a cluster's processes speak to each other: with certificates of an authority of the cluster's own, as users run it, or
//! plainly.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rotunda_protocol::dial::{Dial, Secured, Tcp};
use rotunda_tls::authority::{AUTHORITY_DAYS, Authority, Holder};
use rotunda_tls::files::Files;
use rotunda_tls::identity::Role;
use rotunda_tls::mutual::Trust;

/// The router's name in its certificate.
pub(super) const ROUTER: &str = "a";

/// The harness's own.
const CLIENT: &str = "harness";

/// See the module.
#[derive(Clone, Debug)]
pub enum Inside {
    /// No certificates.
    Plain,
    /// The authority is in this folder.
    Secured(PathBuf),
}

impl Inside {
    pub(super) fn secured(folder: &Path, cluster: &str, nodes: u32) -> Self {
        // As long as can be: tests set clocks to another year. A cluster in a folder that stays may be started again.
        let authority = Authority::open(folder).or_else(|_| Authority::found(folder, cluster));
        let authority = authority.unwrap_or_else(|error| panic!("no authority: {error}"));
        let others = [Role::Router(ROUTER.to_owned()), Role::Client(CLIENT.to_owned())];
        for role in (1..=nodes).map(Role::Node).chain(others) {
            let holder = Holder::Process(role);
            if !authority.folder_of(&holder).exists() {
                let made = authority.add(&holder, &[], AUTHORITY_DAYS);
                made.unwrap_or_else(|error| panic!("no certificate for {holder}: {error}"));
            }
        }
        Self::Secured(folder.to_owned())
    }

    /// What a node at this address is called under.
    #[must_use]
    pub fn url(&self, address: SocketAddr) -> String {
        match self {
            Self::Plain => format!("http://{address}"),
            Self::Secured(_) => format!("https://{address}"),
        }
    }

    /// What an operator's tool that speaks to nodes is given.
    #[must_use]
    pub fn tool_flags(&self) -> Vec<String> {
        self.flags(&Role::Client(CLIENT.to_owned()))
    }

    /// The files of a process.
    ///
    /// # Panics
    /// In a plain cluster.
    #[must_use]
    pub fn files(&self, role: &Role) -> Files {
        match self {
            Self::Plain => panic!("a plain cluster has no certificates"),
            Self::Secured(folder) => Files::within(&folder.join(role.to_string())),
        }
    }

    pub(super) fn flags(&self, role: &Role) -> Vec<String> {
        if matches!(self, Self::Plain) {
            return Vec::new();
        }
        let files = self.files(role);
        [
            ("--tls-ca", files.ca),
            ("--tls-cert", files.cert),
            ("--tls-key", files.key),
        ]
        .into_iter()
        .flat_map(|(flag, file)| [flag.to_owned(), file.display().to_string()])
        .collect()
    }

    /// How the harness calls nodes.
    ///
    /// # Panics
    /// As [`Inside::dial_as`].
    #[must_use]
    pub fn dial(&self) -> Arc<dyn Dial> {
        self.dial_as(&Role::Client(CLIENT.to_owned()))
    }

    /// How whoever holds this certificate calls nodes. Takes new ones up, as they do. Must be called within a tokio runtime.
    ///
    /// # Panics
    /// Where the certificate cannot be used.
    #[must_use]
    pub fn dial_as(&self, role: &Role) -> Arc<dyn Dial> {
        if matches!(self, Self::Plain) {
            return Tcp::shared();
        }
        let trust = Trust::read(self.files(role));
        let trust = trust.unwrap_or_else(|problem| panic!("{role} cannot be used: {problem}"));
        tokio::spawn(Arc::clone(&trust).follow());
        Secured::with(trust)
    }

    /// The authority that signs.
    ///
    /// # Panics
    /// In a plain cluster.
    #[must_use]
    pub fn authority(&self) -> Authority {
        match self {
            Self::Plain => panic!("a plain cluster has no authority"),
            Self::Secured(folder) => Authority::open(folder).unwrap_or_else(|error| panic!("no authority: {error}")),
        }
    }
}
