//! A cluster's own authority: a folder from which `rotunda certs` makes, renews and shows certificates. Below it is a folder
//! for each process, to be copied to that process's machine as it is; `authority/` stays where it was made, for whoever has
//! its key can be anybody.
//!
//! ```text
//! DIR/authority/cert.pem key.pem    the authority that signs
//! DIR/authority/ca.pem              whom processes are to believe: it, and those before it that are not yet retired
//! DIR/node-3/ca.pem cert.pem key.pem
//! DIR/router-a/ ...  DIR/client-audit/ ...  DIR/door-a/ ...
//! ```
//!
//! An authority is replaced in three steps, each of which must have reached every process before the next: all believe both
//! ([`Authority::succeed`]), all show certificates of the new one ([`Authority::renew`]), all believe the new one alone
//! ([`Authority::retire`]).

mod issue;
mod place;

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::files::{Certificate, Named};
use crate::identity::{Role, is_label};
use issue::{Issued, Purpose};
use place::Place;

/// How long a process's certificate lasts where nothing else is said. Renewing takes no restart, so it may come often.
pub const LEAF_DAYS: u32 = 365;

/// How long an authority lasts.
pub const AUTHORITY_DAYS: u32 = 3_650;

/// No certificate lasts longer: what is forgotten for a century is not renewed then either.
pub const MAX_DAYS: u32 = 36_500;

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct AuthorityError {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub next: String,
}

fn refuse<T>(problem: impl Into<String>, next: impl Into<String>) -> Result<T, AuthorityError> {
    Err(AuthorityError {
        problem: problem.into(),
        next: next.into(),
    })
}

/// Whose certificate it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process of the cluster, for connections inside.
    Process(Role),
    /// What visitors see, under names that are their own.
    Door(String),
}

impl Holder {
    /// From the name of its folder.
    #[must_use]
    pub fn parse(folder: &str) -> Option<Self> {
        match folder.strip_prefix("door-") {
            Some(name) => is_label(name).then(|| Self::Door(name.to_owned())),
            None => Role::parse(folder).filter(|_| is_label(folder)).map(Self::Process),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(role) => write!(f, "{role}"),
            Self::Door(name) => write!(f, "door-{name}"),
        }
    }
}

/// A certificate in the folder.
#[derive(Clone, Debug)]
pub struct Holding {
    /// `authority`, or a holder's name.
    pub name: String,
    /// All its DNS names and addresses.
    pub names: Vec<String>,
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Whether the authority that signs now has signed it.
    pub is_current: bool,
}

/// See the module.
pub struct Authority {
    place: Place,
    cluster: String,
    signing: Issued,
}

impl Authority {
    /// Makes a cluster's authority in `folder`.
    ///
    /// # Errors
    /// Where one is there, the name is none, or the folder cannot be written.
    pub fn found(folder: &Path, cluster: &str) -> Result<Self, AuthorityError> {
        let cluster = cluster_name(cluster)?;
        let place = Place::at(folder);
        if place.has_authority() {
            return refuse(
                format!("{} has an authority already", folder.display()),
                format!(
                    "rotunda certs add --dir {0} to use it, rotunda certs rotate --ca --dir {0} to replace it",
                    folder.display()
                ),
            );
        }
        let signing = issue::authority(&cluster, AUTHORITY_DAYS)?;
        place.keep_authority(&signing, std::slice::from_ref(&signing.pem))?;
        Ok(Self {
            place,
            cluster,
            signing,
        })
    }

    /// Opens the one in `folder`.
    ///
    /// # Errors
    /// Where there is none that can be used.
    pub fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let place = Place::at(folder);
        if !place.has_authority() {
            return refuse(
                format!("{} has no authority", folder.display()),
                format!("rotunda certs init {} --cluster NAME", folder.display()),
            );
        }
        let signing = place.authority()?;
        let cluster = issue::cluster_of(&signing)?;
        Ok(Self {
            place,
            cluster,
            signing,
        })
    }

    /// Of which cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Where a holder's files are.
    #[must_use]
    pub fn folder_of(&self, holder: &Holder) -> PathBuf {
        self.place.of(&holder.to_string())
    }

    /// Makes a certificate for `holder`; it is also good for these further DNS names and addresses.
    ///
    /// # Errors
    /// Where the holder has one, a name is none, or the folder cannot be written.
    pub fn add(&self, holder: &Holder, names: &[String], days: u32) -> Result<PathBuf, AuthorityError> {
        let folder = self.folder_of(holder);
        if Holder::parse(&holder.to_string()).as_ref() != Some(holder) {
            return refuse(
                format!("{holder} is no name that a certificate can carry"),
                "use letters, digits and '-', at most 50 of them",
            );
        }
        if folder.exists() {
            return refuse(
                format!("{holder} has a certificate already, in {}", folder.display()),
                "rotunda certs rotate renews all; remove the folder to begin anew",
            );
        }
        if matches!(holder, Holder::Door(_)) && names.is_empty() {
            return refuse(
                "a door needs the name under which visitors reach it",
                "add --dns tickets.example.org",
            );
        }
        self.issue(holder, names, days)?;
        Ok(folder)
    }

    /// Makes all certificates anew, each as long-lived as it was and with a key of its own. Gives their names.
    ///
    /// # Errors
    /// Where one cannot be read or written.
    pub fn renew(&self) -> Result<Vec<String>, AuthorityError> {
        let mut renewed = Vec::new();
        for (holder, certificate) in self.held()? {
            let names = certificate.contents.names.clone();
            let own = self.own_name(&holder);
            let names: Vec<String> = names.into_iter().filter(|name| Some(name) != own.as_ref()).collect();
            let seconds = certificate.contents.not_after.as_second() - certificate.contents.not_before.as_second();
            let days = u32::try_from(seconds / issue::DAY_SECONDS).unwrap_or(LEAF_DAYS);
            // A day of it was given for clocks that are behind.
            self.issue(&holder, &names, days.saturating_sub(issue::BACKDATED_DAYS).max(1))?;
            renewed.push(holder.to_string());
        }
        Ok(renewed)
    }

    /// The first step to another authority: it is made and signs from now on; all are to believe both. The key of the one
    /// before is gone.
    ///
    /// # Errors
    /// Where a file cannot be read or written.
    pub fn succeed(&mut self) -> Result<(), AuthorityError> {
        let signing = issue::authority(&self.cluster, AUTHORITY_DAYS)?;
        let mut believed = vec![signing.pem.clone()];
        believed.push(self.place.believed()?);
        self.place.keep_authority(&signing, &believed)?;
        self.signing = signing;
        self.hand_out_believed()
    }

    /// The last step: the one that signs is believed alone.
    ///
    /// # Errors
    /// Where a certificate that another one signed is still there.
    pub fn retire(&self) -> Result<(), AuthorityError> {
        let left: Vec<String> = self
            .show()?
            .into_iter()
            .filter(|holding| !holding.is_current && holding.name != "authority")
            .map(|holding| holding.name)
            .collect();
        if !left.is_empty() {
            return refuse(
                format!("signed by an authority that would be retired: {}", left.join(", ")),
                "rotunda certs rotate, and copy the folders to their machines, first",
            );
        }
        self.place
            .keep_authority(&self.signing, std::slice::from_ref(&self.signing.pem))?;
        self.hand_out_believed()
    }

    /// Everything that is there, the authorities that are believed first.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn show(&self) -> Result<Vec<Holding>, AuthorityError> {
        let signing = self.signing.certificate()?;
        let mut shown = Vec::new();
        for certificate in self.place.authorities()? {
            shown.push(Holding {
                name: "authority".to_owned(),
                names: Vec::new(),
                not_before: certificate.contents.not_before,
                not_after: certificate.contents.not_after,
                is_current: certificate.der == signing.der,
            });
        }
        for (holder, certificate) in self.held()? {
            shown.push(Holding {
                name: holder.to_string(),
                names: certificate.contents.names.clone(),
                not_before: certificate.contents.not_before,
                not_after: certificate.contents.not_after,
                is_current: issue::is_signed_by(&certificate, &signing),
            });
        }
        Ok(shown)
    }

    fn own_name(&self, holder: &Holder) -> Option<String> {
        match holder {
            Holder::Process(role) => Some(crate::identity::Identity::new(&self.cluster, role.clone()).to_string()),
            Holder::Door(_) => None,
        }
    }

    fn issue(&self, holder: &Holder, names: &[String], days: u32) -> Result<(), AuthorityError> {
        let purpose = match holder {
            Holder::Process(Role::Node(_)) => Purpose::BothEnds,
            Holder::Process(_) => Purpose::Calling,
            Holder::Door(_) => Purpose::Called,
        };
        let all: Vec<String> = self.own_name(holder).into_iter().chain(names.iter().cloned()).collect();
        let issued = issue::leaf(&self.signing, &holder.to_string(), &all, purpose, days)?;
        self.place.keep(&holder.to_string(), &issued)
    }

    fn hand_out_believed(&self) -> Result<(), AuthorityError> {
        for (holder, _) in self.held()? {
            self.place.hand_believed(&holder.to_string())?;
        }
        Ok(())
    }

    /// All holders, in the order of their names.
    fn held(&self) -> Result<Vec<(Holder, Certificate)>, AuthorityError> {
        let mut held = Vec::new();
        for name in self.place.names()? {
            let Some(holder) = Holder::parse(&name) else { continue };
            let path = self.place.of(&name).join("cert.pem");
            let file = Named {
                setting: "cert",
                path: &path,
            };
            let certificates = file.certificates().map_err(|problem| AuthorityError {
                problem: problem.to_string(),
                next: format!("remove {} and add {name} anew", self.place.of(&name).display()),
            })?;
            held.extend(certificates.into_iter().next().map(|first| (holder, first)));
        }
        Ok(held)
    }
}

/// A cluster's name as certificates carry it.
fn cluster_name(cluster: &str) -> Result<String, AuthorityError> {
    if !is_label(cluster) {
        return refuse(
            format!("{cluster:?} is no name of a cluster that a certificate can carry"),
            "use letters, digits, '-' and '_', at most 63, and no '-' at either end",
        );
    }
    Ok(cluster.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
