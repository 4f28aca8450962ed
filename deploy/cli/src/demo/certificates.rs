//! The demo's own authority: a certificate for each process and one for the demo, in the demo's folder, gone with it. The inside
//! is as secure as a cluster should be; the door is plain and on loopback, for whoever pastes a line into a terminal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rotunda_tls::authority::{Authority, Holder, LEAF_DAYS};
use rotunda_tls::files::Files;
use rotunda_tls::identity::Role;
use rotunda_tls::mutual::Trust;

use crate::args::DemoArguments;
use crate::failure::Failure;

const CLUSTER: &str = "demo";

/// The demo's own name among them.
const OWN: &str = "demo";

/// See the module.
pub(crate) struct Certificates {
    authority: Authority,
}

impl Certificates {
    /// One for each process that is to be started, below `folder`.
    pub(crate) fn make(folder: &Path, arguments: &DemoArguments) -> Result<Self, Failure> {
        let authority = Authority::found(&folder.join("certs"), CLUSTER)?;
        let nodes = (1..=arguments.nodes).map(Role::Node);
        let routers = (1..=arguments.routers).map(|id| Role::Router(id.to_string()));
        for role in nodes.chain(routers).chain([Role::Client(OWN.to_owned())]) {
            authority.add(&Holder::Process(role), &[], LEAF_DAYS)?;
        }
        Ok(Self { authority })
    }

    fn of(&self, role: &Role) -> PathBuf {
        self.authority.folder_of(&Holder::Process(role.clone()))
    }

    /// What a process is told.
    pub(crate) fn flags(&self, role: &Role) -> Vec<String> {
        let files = Files::within(&self.of(role));
        [
            ("--tls-ca", files.ca),
            ("--tls-cert", files.cert),
            ("--tls-key", files.key),
        ]
        .into_iter()
        .flat_map(|(flag, file)| [flag.to_owned(), file.display().to_string()])
        .collect()
    }

    /// The demo's own.
    pub(crate) fn own(&self) -> Result<Arc<Trust>, Failure> {
        let files = Files::within(&self.of(&Role::Client(OWN.to_owned())));
        Trust::read(files).map_err(|problem| {
            Failure::failed(format!("a certificate that was just made cannot be used: {problem}"))
                .next("check this machine's clock, or rotunda demo --plain-inside")
        })
    }
}
